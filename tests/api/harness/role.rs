//! This binary as the executable.

use std::io::Write as _;

use super::process::{ARGUMENTS, BEGIN, SEPARATOR};

/// No test: the process that a test has started to be a role or a command of the installation.
#[test]
fn a_process_of_the_installation() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    print!("{BEGIN}");
    let _ = std::io::stdout().flush();
    let arguments = arguments.split(SEPARATOR).filter(|argument| !argument.is_empty()).map(Into::into);
    std::process::exit(quartet::main_from(std::iter::once("quartet".into()).chain(arguments)));
}
