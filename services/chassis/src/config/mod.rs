//! Settings: flags and `QUARTET_*` variables, read so that one start shows every mistake.
//!
//! A program describes its settings as a clap `Command`, whose doc comments are their reference. Arguments marked `hide_env_values` are
//! secrets: they are never printed, and each is also taken from the file that `…_FILE` names.

mod in_force;
mod mistakes;
mod secret;

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Arg, ArgMatches, Command};

pub use self::in_force::Setting;
pub use self::mistakes::Mistakes;

/// The beginning of every variable's name.
pub const PREFIX: &str = "QUARTET_";

/// What a command line and an environment say.
pub struct Given {
    command: Command,
    matches: ArgMatches,
    /// What is wrong. The wrong values themselves are left out of the matches: their defaults stand there.
    pub mistakes: Mistakes,
}

impl Given {
    /// Reads `args` (the program's name first) and the environment. The settings are the arguments of `command` itself; each of its
    /// subcommands takes them too. An `Err` asks for help or the version, or can't be parsed even without its values.
    pub fn read(command: Command, args: Vec<OsString>) -> Result<Given, Error> {
        let command = with_files(command).mut_args(|arg| arg.global(true));
        let mut reading = Reading { command: command.clone(), args, mistakes: Mistakes::default() };
        let matches = reading.parse()?;
        let from_files = secret::read_files(&command, last(&matches), &mut reading.mistakes);
        let matches = if from_files.is_empty() {
            matches
        } else {
            for (id, value) in from_files {
                reading.command = reading.command.mut_arg(id, |arg| arg.default_value(value));
            }
            reading.parse()?
        };
        secret::refuse_samples(&command, last(&matches), &mut reading.mistakes);
        Ok(Given { command, matches, mistakes: reading.mistakes })
    }

    /// Notes every variable that begins with `QUARTET_` and is no setting.
    pub fn check_variables(&mut self, names: impl IntoIterator<Item = OsString>) {
        let known: Vec<String> = self.command.get_arguments().filter_map(variable).collect();
        for name in names {
            let name = name.to_string_lossy();
            if name.starts_with(PREFIX) && !known.iter().any(|known| *known == *name) {
                self.mistakes.unknown(&name, &known);
            }
        }
    }

    /// The matches of the program, in which its subcommand stands.
    pub fn matches(&self) -> &ArgMatches {
        &self.matches
    }

    /// The matches in which all settings stand, wherever on the command line they were given.
    pub fn settings(&self) -> &ArgMatches {
        last(&self.matches)
    }

    /// What is in force, in the order of the reference, secrets hidden.
    pub fn in_force(&self) -> Vec<Setting> {
        in_force::list(&self.command, self.settings())
    }
}

/// The command with an argument beside each secret for the file that it may lie in. `Given::read` does this to every command.
pub fn with_files(command: Command) -> Command {
    let known: Vec<String> = command.get_arguments().map(|arg| arg.get_id().to_string()).collect();
    let files = command.get_arguments().filter(|arg| is_secret(arg)).filter_map(secret::file_argument);
    let files: Vec<Arg> = files.filter(|file| !known.iter().any(|id| id == file.get_id().as_str())).collect();
    command.args(files)
}

fn last(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, matches)| last(matches))
}

fn is_secret(arg: &Arg) -> bool {
    arg.is_hide_env_values_set()
}

fn variable(arg: &Arg) -> Option<String> {
    Some(arg.get_env()?.to_string_lossy().into_owned())
}

/// How people call a setting: by its variable.
fn name(arg: &Arg) -> String {
    variable(arg).unwrap_or_else(|| format!("--{}", arg.get_long().unwrap_or(arg.get_id().as_str())))
}

struct Reading {
    command: Command,
    args: Vec<OsString>,
    mistakes: Mistakes,
}

impl Reading {
    /// Parses again and again, each time without the value that was wrong.
    fn parse(&mut self) -> Result<ArgMatches, Error> {
        loop {
            let error = match self.command.clone().try_get_matches_from(&self.args) {
                Ok(matches) => return Ok(matches),
                Err(error) if !error.use_stderr() => return Err(error),
                Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => return Err(error),
                Err(error) => error,
            };
            match self.setting_of(&error) {
                Some(arg) => self.leave_out(&arg, &error),
                // Not a wrong value but a wrong command line. The environment may have mistakes of its own.
                None if self.args.len() > 1 => {
                    self.mistakes.add(plain(&error));
                    self.args.truncate(1);
                }
                None if self.command.get_arguments().any(|arg| arg.get_env().is_some()) => {
                    self.mistakes.add(plain(&error));
                    self.command = self.command.clone().mut_args(|arg| arg.env(clap::builder::Resettable::Reset));
                }
                None => return Err(error),
            }
        }
    }

    /// The setting whose value is wrong, if that is what the error says.
    fn setting_of(&self, error: &Error) -> Option<Arg> {
        if !matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) {
            return None;
        }
        let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else { return None };
        let long = shown.strip_prefix("--")?.split([' ', '=', '[']).next()?;
        self.command.get_arguments().find(|arg| arg.get_long() == Some(long)).cloned()
    }

    fn leave_out(&mut self, arg: &Arg, error: &Error) {
        let flag = format!("--{}", arg.get_long().unwrap_or_default());
        let on_command_line = remove(&mut self.args, &flag);
        let name = if on_command_line { flag } else { name(arg) };
        if is_secret(arg) {
            self.mistakes.add(format!("`{name}` can't be read as text, or is empty"));
        } else {
            self.mistakes.add(format!("`{name}` {}", reason(error)));
        }
        if !on_command_line {
            self.command = self.command.clone().mut_arg(arg.get_id(), |arg| arg.env(clap::builder::Resettable::Reset));
        }
    }
}

/// Removes a flag and its values from a command line, and says whether it was there.
fn remove(args: &mut Vec<OsString>, flag: &str) -> bool {
    let before = args.len();
    let with_value = format!("{flag}=");
    let mut value_follows = false;
    args.retain(|arg| {
        let is_flag = arg == flag;
        let is_value = std::mem::take(&mut value_follows) && !arg.to_string_lossy().starts_with("--");
        value_follows = is_flag;
        !is_flag && !is_value && !arg.to_string_lossy().starts_with(&with_value)
    });
    args.len() != before
}

fn reason(error: &Error) -> String {
    let value = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) if !value.is_empty() => format!("is `{value}`"),
        _ => "has no value".to_owned(),
    };
    let why = match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(source), _) => Some(source.to_string()),
        (None, Some(ContextValue::Strings(valid))) if !valid.is_empty() => {
            Some(format!("must be one of {}", valid.join(", ")))
        }
        _ => None,
    };
    why.map_or_else(|| value.clone(), |why| format!("{value}: {why}"))
}

/// Clap's words without its advice.
fn plain(error: &Error) -> String {
    let text = error.to_string();
    let text = text.split("\n\nUsage:").next().unwrap_or(&text);
    let text = text.split("\n\nFor more information").next().unwrap_or(text);
    text.trim_start_matches("error: ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::value_parser;

    fn command() -> Command {
        let cost = Arg::new("cost")
            .long("cost")
            .env("QUARTET_COST")
            .value_parser(value_parser!(u32).range(4..=16))
            .default_value("12");
        let port =
            Arg::new("port").long("port").env("QUARTET_PORT").value_parser(value_parser!(u16)).default_value("1");
        let key = Arg::new("key").long("key").env("QUARTET_KEY").hide_env_values(true);
        Command::new("quartet").args([cost, port, key]).subcommand(Command::new("mail"))
    }

    fn read(args: &[&str]) -> Given {
        let args = std::iter::once("quartet").chain(args.iter().copied()).map(OsString::from).collect();
        Given::read(command(), args).unwrap_or_else(|error| panic!("{error}"))
    }

    fn mistakes(args: &[&str]) -> Vec<String> {
        read(args).mistakes.list().to_vec()
    }

    #[test]
    fn i25_every_wrong_value_is_named_together() {
        let given = read(&["--cost", "99", "mail", "--port=x"]);
        assert_found(
            given.mistakes.list(),
            &["`--cost` is `99`: 99 is not in 4..=16", "`--port` is `x`: invalid digit found in string"],
        );
        assert_eq!(given.settings().get_one::<u32>("cost"), Some(&12));
        assert_eq!(given.matches().subcommand_name(), Some("mail"));
    }

    /// Clap's order of finding mistakes is its own affair.
    fn assert_found(found: &[String], expected: &[&str]) {
        let mut found: Vec<&str> = found.iter().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn i25_a_wrong_flag_does_not_hide_the_rest() {
        let found = mistakes(&["--colour", "mail"]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("unexpected argument '--colour' found"), "{found:?}");
    }

    #[test]
    fn i25_an_unknown_variable_is_named_with_the_nearest_known_one() {
        let mut given = read(&[]);
        given.check_variables(["QUARTET_PROT", "PATH", "QUARTET_KEY_FILE"].map(OsString::from));
        assert_eq!(given.mistakes.list(), ["`QUARTET_PROT` is not a setting; the nearest is `QUARTET_PORT`"]);
    }

    #[test]
    fn s60_a_sample_is_refused_by_its_name_alone() {
        assert_eq!(
            mistakes(&["--key", "ChangeMe"]),
            ["`QUARTET_KEY` is a sample that everybody knows: make one of your own"]
        );
        assert_eq!(mistakes(&["--key", ""]), ["`QUARTET_KEY` is empty"]);
    }

    #[test]
    fn x15_secrets_are_hidden() {
        let given = read(&["mail", "--key", "Zk3vQ9", "--cost", "5"]);
        let lines: Vec<String> = given.in_force().iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["QUARTET_COST = 5 (flag)", "QUARTET_PORT = 1 (default)", "QUARTET_KEY = (hidden) (flag)"]);
    }

    #[test]
    fn s60_a_secret_comes_from_a_file_that_others_can_not_read() -> anyhow::Result<()> {
        use std::os::unix::fs::PermissionsExt;

        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), "Zk3vQ9\n")?;
        let path = file.path().to_str().unwrap_or_default();
        assert_eq!(read(&["--key-file", path]).settings().get_one::<String>("key").map(String::as_str), Some("Zk3vQ9"));
        let both = mistakes(&["mail", "--key-file", path, "--key", "other"]);
        assert_eq!(both, ["`QUARTET_KEY` and `QUARTET_KEY_FILE` are both set: set one"]);

        std::fs::set_permissions(file.path(), PermissionsExt::from_mode(0o644))?;
        let open = mistakes(&["--key-file", path]);
        assert_eq!(open, [format!("`QUARTET_KEY_FILE`: everybody on this machine can read {path}: `chmod 600` it")]);
        assert!(mistakes(&["--key-file", "/nowhere"])[0].starts_with("`QUARTET_KEY_FILE`: can't read /nowhere"));
        Ok(())
    }
}
