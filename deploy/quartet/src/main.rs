//! `quartet`: everything in one process, one role of a fleet, or a tool of the operator.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(u8::try_from(quartet::main_from(std::env::args_os())).unwrap_or(1))
}
