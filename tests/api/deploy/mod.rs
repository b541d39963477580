//! The executable: its settings, its commands, its data directory and its end.

mod clients;
mod command;
mod ephemeral;
mod home;
mod media;
mod seed;
mod settings;

use std::process::Stdio;

use crate::harness::process::BEGIN;
use crate::harness::{Output, quartet_command};

/// Runs the executable to its end, with variables.
fn quartet_with(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = quartet_command(arguments);
    let output = command.envs(variables.iter().copied()).stdin(Stdio::null()).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stdout = stdout.split_once(BEGIN).map(|(_, own)| own.to_owned()).unwrap_or(stdout);
    Output { status: output.status, stdout, stderr: String::from_utf8_lossy(&output.stderr).into_owned() }
}
