//! The executable as a process: what it prints, its signals, and how it ends.

use std::ffi::OsString;
use std::io::Write as _;
use std::process;
use std::time::{Duration, Instant};

use quartet_chassis::config::Given;
use quartet_chassis::telemetry;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::command::{self, say};
use crate::home;
use crate::running::Running;
use crate::settings::{self, Settings};
use crate::task::Task;

/// What the exit code says: all went well.
const DONE: i32 = 0;
/// It did not work.
const FAILED: i32 = 1;
/// It was asked wrongly.
const WRONG: i32 = 2;
/// However a server hangs, it is gone so long after it was told to end (F-12).
const HARD_END: Duration = Duration::from_millis(9800);

/// The whole program: takes the command line (the program's name first) and gives the exit code.
pub fn main_from(args: impl IntoIterator<Item = OsString>) -> i32 {
    let began = Instant::now();
    // Whatever is written, databases and mail above all, is for nobody else.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    // Huge pages make no call faster here, and let threads that have little hold twice the memory. A kernel without them refuses.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let mut given = match settings::read(args.into_iter().collect()) {
        Ok(given) => given,
        Err(answer) => {
            let _ = answer.print();
            return answer.exit_code();
        }
    };
    given.check_variables(std::env::vars_os().map(|(name, _)| name));
    if given.mistakes.is_empty() && given.matches().subcommand_name() == Some("config") {
        show(&given);
    }
    let settings = match Settings::of(given) {
        Ok(settings) => settings,
        Err(mistakes) => {
            complain(mistakes);
            return WRONG;
        }
    };
    let done = match settings.task.clone() {
        Some(Task::Config) => Ok(()),
        Some(task) if !task.is_role() => run_command(task, &settings),
        _ => run_server(settings, began),
    };
    match done {
        Ok(()) => DONE,
        Err(error) => {
            complain(format_args!("{error:#}"));
            FAILED
        }
    }
}

/// Writes what is wrong where it does not mix with the output.
pub fn complain(what: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "quartet: {what}");
}

fn show(given: &Given) {
    given.in_force().iter().for_each(say);
}

fn run_command(task: Task, settings: &Settings) -> anyhow::Result<()> {
    // A command says in its own words what happens; its log is for what is odd.
    let filter = if settings.options.log == "info" { "warn" } else { &settings.options.log };
    telemetry::log(filter);
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(command::run(task, &settings.options));
    runtime.shutdown_background();
    done
}

fn run_server(settings: Settings, began: Instant) -> anyhow::Result<()> {
    telemetry::log(&settings.options.log);
    let runtime = runtime(&settings)?;
    let ended = runtime.block_on(serve(settings, began));
    runtime.shutdown_background();
    ended
}

/// The gateway as a process of its own has threads of its own, one per core, and needs but one beside them.
fn runtime(settings: &Settings) -> std::io::Result<Runtime> {
    match settings.task {
        Some(Task::Gateway) => Builder::new_current_thread().enable_all().build(),
        _ => Builder::new_multi_thread().enable_all().build(),
    }
}

async fn serve(settings: Settings, began: Instant) -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut running = crate::start(settings.clone()).await?;
    introduce(&settings, &running, began);
    let trial = &settings.options.trial;
    let failed = tokio::select! {
        _ = interrupt.recv() => false,
        _ = terminate.recv() => false,
        () = end_of_input(), if trial.ephemeral && trial.exit_with_stdin => false,
        () = running.failed() => true,
    };
    let _ = std::thread::Builder::new().name("deadline".to_owned()).spawn(|| {
        std::thread::sleep(HARD_END);
        process::exit(DONE);
    });
    // Who asks twice does not want to wait.
    tokio::select! {
        () = running.stop() => {}
        _ = interrupt.recv() => process::exit(DONE),
    }
    anyhow::ensure!(!failed, "a listener has ended");
    Ok(())
}

/// Returns when the standard input has ended. Read on a thread of its own, which nothing has to wait for.
async fn end_of_input() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let _ = std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = tell.send(());
    });
    told.await.ok();
}

/// Says where it listens: to a test as a line of JSON, to people with what to try first, to a fleet in the log.
fn introduce(settings: &Settings, running: &Running, began: Instant) {
    let listen = running.listen;
    if settings.options.trial.ephemeral {
        say(serde_json::json!({
            "listen": listen,
            "control": running.control,
            "admin": running.admin,
            "data": running.data,
        }));
        return;
    }
    if let Some(task) = &settings.task {
        tracing::info!(%listen, admin = running.admin.map(tracing::field::display), role = ?task, "listening");
        return;
    }
    let scheme = if settings.options.gateway.tls_cert.is_some() { "https" } else { "http" };
    let data = home::shown(&running.data);
    let mail = match &settings.options.smtp.host {
        Some(host) => format!("mail goes out by {host}"),
        None => format!("mail into {data}/mail, which `quartet mail` prints"),
    };
    say(format_args!(
        "Quartet listens on {scheme}://{listen} (after {} ms): gRPC, gRPC-web, reflection",
        began.elapsed().as_millis()
    ));
    say(format_args!("Data lies in {data}, {mail}"));
    say("Try first, from another terminal:");
    say(format_args!(
        "  buf curl --protocol grpc --http2-prior-knowledge -d '{{\"email\": \"ada@example.com\", \"password\": \"Analytical-1842!\"}}' {scheme}://{listen}/quartet.identity.v1.AccountService/Register"
    ));
    say("  quartet mail --to ada@example.com");
}
