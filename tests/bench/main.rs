//! Benchmarks: Quartet beside its peers in one run, interleaved, with ratios and CPU per call. See README.md.
//!
//! Servers are processes of their own: this very program, run again as a role of Quartet or as a bare echo.

mod audience;
mod board;
mod chat;
mod contest;
mod echo;
mod grpc;
mod installation;
mod load;
mod movies;
mod peer;
mod process;
mod report;
mod scenario;
mod settings;
mod transfer;

use std::ffi::OsString;
use std::process::ExitCode;

use report::Report;
use settings::Settings;

/// The first argument of a process that is to be a role or a command of Quartet; the rest are its own.
pub const QUARTET: &str = "serve-quartet";
/// The first argument of a process that is to be the bare echo.
pub const ECHO: &str = "serve-echo";

type Scenario = fn(&Settings, &mut Report) -> anyhow::Result<()>;

const SCENARIOS: [(&str, Scenario); 16] = [
    ("gateway", scenario::gateway::run),
    ("calls", scenario::calls::run),
    ("signin", scenario::signin::run),
    ("token", scenario::token::run),
    ("storage", scenario::storage::run),
    ("import", scenario::import::run),
    ("search", scenario::search::run),
    ("million", scenario::search::million),
    ("accounts", scenario::accounts::run),
    ("feed", scenario::feed::run),
    ("courses", scenario::courses::run),
    ("files", scenario::files::run),
    ("long", scenario::files::long),
    ("fanout", scenario::fanout::run),
    ("messages", scenario::messages::run),
    ("start", scenario::start::run),
];

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    match arguments.get(1).and_then(|first| first.to_str()) {
        Some(QUARTET) => {
            arguments.splice(0..2, [OsString::from("quartet")]);
            std::process::exit(quartet::main_from(arguments));
        }
        Some(ECHO) => end(echo::serve()),
        _ => end(Settings::parse(arguments).and_then(|settings| benchmark(&settings))),
    }
}

fn end(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn benchmark(settings: &Settings) -> anyhow::Result<()> {
    let mut report = Report::default();
    report.say(&peer::versions());
    if cfg!(debug_assertions) {
        report.say("This is not a release build: its figures say nothing.");
    }
    let mut failed = Vec::new();
    for (name, scenario) in SCENARIOS.into_iter().filter(|(name, _)| settings.wants(name)) {
        report.say(&format!("\n## {name}"));
        if let Err(error) = scenario(settings, &mut report) {
            report.say(&format!("{name} could not be measured: {error:#}"));
            failed.push(name);
        }
    }
    report.conclude();
    anyhow::ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    Ok(())
}
