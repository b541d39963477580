#![doc = include_str!("../README.md")]

mod client;
mod command;
mod control;
mod demands;
mod embedded;
mod home;
mod parts;
mod process;
mod reach;
mod role;
mod running;
mod services;
mod settings;
mod task;

use std::ffi::OsString;

use mimalloc::MiMalloc;

pub use self::process::main_from;
pub use self::running::Running;
pub use self::settings::{Options, Settings};
pub use self::task::Task;

/// A call allocates some hundred small pieces. With this allocator it costs a quarter less than with the system's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Reads settings from a command line (the program's name first) and the environment.
pub fn settings_from(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<Settings> {
    let given = settings::read(args.into_iter().collect())?;
    Ok(Settings::of(given)?)
}

/// Starts what the settings ask for: everything in this process, or one role. Needs a multi-thread runtime. Several installations can
/// live in one process.
pub async fn start(settings: Settings) -> anyhow::Result<Running> {
    match settings.task {
        None => embedded::start(settings.options).await,
        Some(Task::Identity) => role::identity(settings.options).await,
        Some(Task::Catalogue) => role::catalogue(settings.options).await,
        Some(Task::Media { tool: None }) => role::media(settings.options).await,
        Some(Task::Messaging) => role::messaging(settings.options).await,
        Some(Task::Gateway) => role::gateway(settings.options).await,
        Some(_) => anyhow::bail!("this is a command, not a server"),
    }
}
