//! Secrets: from files that nobody else can read, and never one that everybody knows.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, value_parser};

use super::{Mistakes, is_secret, name, variable};

/// Values that stand in examples, ours and others'.
const SAMPLES: &[&str] = &[
    "838qkq7dgp34hwij3c8txa5zd2qm9ybt",
    "cfzrk8kllhmw71wqklxbqdzl24fkhisw",
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "admin",
    "change-me",
    "change_me",
    "changeit",
    "changeme",
    "default",
    "example",
    "password",
    "quartet",
    "secret",
    "secretkey",
    "supersecret",
    "test",
    "your-secret-key",
    "your_secret_key",
];

/// The argument that names the file of a secret: `--master-key-file`, `QUARTET_MASTER_KEY_FILE`.
pub(super) fn file_argument(secret: &Arg) -> Option<Arg> {
    let variable = variable(secret)?;
    let help = format!("File with the value of {variable}, which others can't read");
    let file = Arg::new(file_id(secret)).long(format!("{}-file", secret.get_long()?)).env(format!("{variable}_FILE"));
    let file = file.value_name("FILE").value_parser(value_parser!(PathBuf)).help(help);
    Some(match secret.get_help_heading() {
        Some(heading) => file.help_heading(heading.to_owned()),
        None => file,
    })
}

fn file_id(secret: &Arg) -> String {
    format!("{}_file", secret.get_id())
}

/// Reads the secrets that lie in files: the id of each, and its value.
pub(super) fn read_files(command: &Command, matches: &ArgMatches, mistakes: &mut Mistakes) -> Vec<(String, String)> {
    let mut read = Vec::new();
    for secret in command.get_arguments().filter(|arg| is_secret(arg)) {
        let Ok(Some(path)) = matches.try_get_one::<PathBuf>(&file_id(secret)) else { continue };
        let name = name(secret);
        if is_given(matches, secret) {
            mistakes.add(format!("`{name}` and `{name}_FILE` are both set: set one"));
            continue;
        }
        match read_file(path) {
            Ok(value) => read.push((secret.get_id().to_string(), value)),
            Err(mistake) => mistakes.add(format!("`{name}_FILE`: {mistake}")),
        }
    }
    read
}

fn read_file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let unreadable = |error| format!("can't read {shown}: {error}");
    if fs::metadata(path).map_err(unreadable)?.mode() & 0o004 != 0 {
        return Err(format!("everybody on this machine can read {shown}: `chmod 600` it"));
    }
    let value = fs::read_to_string(path).map_err(unreadable)?;
    if value.trim().is_empty() { Err(format!("{shown} is empty")) } else { Ok(value.trim().to_owned()) }
}

/// Notes secrets that are none.
pub(super) fn refuse_samples(command: &Command, matches: &ArgMatches, mistakes: &mut Mistakes) {
    for secret in command.get_arguments().filter(|arg| is_secret(arg)) {
        let Ok(Some(values)) = matches.try_get_raw(secret.get_id().as_str()) else { continue };
        for value in values {
            if value.is_empty() {
                mistakes.add(format!("`{}` is empty", name(secret)));
            }
            if SAMPLES.contains(&value.to_string_lossy().trim().to_lowercase().as_str()) {
                mistakes.add(format!("`{}` is a sample that everybody knows: make one of your own", name(secret)));
            }
        }
    }
}

fn is_given(matches: &ArgMatches, arg: &Arg) -> bool {
    let source = matches.value_source(arg.get_id().as_str());
    matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}
