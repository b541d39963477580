//! The settings in force and where each comes from.

use std::fmt;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use super::{is_secret, name};

/// A setting as `quartet config` shows it: `QUARTET_LISTEN = 127.0.0.1:8000 (flag)`.
#[derive(Debug, Clone)]
pub struct Setting {
    pub name: String,
    /// `None` for one that is not set, `(hidden)` for a secret that is.
    pub value: Option<String>,
    /// `default`, `environment`, `flag` or `file`.
    pub origin: &'static str,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} = {value} ({})", self.name, self.origin),
            None => write!(f, "{} is not set", self.name),
        }
    }
}

pub(super) fn list(command: &Command, matches: &ArgMatches) -> Vec<Setting> {
    // A setting without a variable is for tests.
    let settings = command.get_arguments().filter(|arg| arg.get_long().is_some() && arg.get_env().is_some());
    settings.map(|arg| setting(arg, matches)).filter(|setting| !is_unset_file(setting)).collect()
}

fn setting(arg: &Arg, matches: &ArgMatches) -> Setting {
    let id = arg.get_id().as_str();
    let origin = match matches.value_source(id) {
        Some(ValueSource::CommandLine) => "flag",
        Some(ValueSource::EnvVariable) => "environment",
        // A secret has no default of its own.
        _ if is_secret(arg) => "file",
        _ => "default",
    };
    let values = matches.try_get_raw(id).ok().flatten();
    let value = values.map(|values| {
        if is_secret(arg) {
            return "(hidden)".to_owned();
        }
        values.map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(",")
    });
    Setting { name: name(arg), value, origin }
}

fn is_unset_file(setting: &Setting) -> bool {
    setting.value.is_none() && setting.name.ends_with("_FILE")
}
