//! The operator's commands.

mod admin;
mod clients;
mod import;
mod keys;
mod mail;
mod media;
pub mod migrate;
mod push;
mod seed;
mod seed_course;

use std::io::Write as _;

use crate::settings::Options;
use crate::task::{Admin, Clients, Import, Keys, Push, Task};

/// Carries out a command.
pub async fn run(task: Task, options: &Options) -> anyhow::Result<()> {
    match task {
        Task::Migrate { only } => migrate::run(options, only).await,
        Task::Import(Import::Movies { file }) => import::movies(options, &file).await,
        Task::Import(Import::Accounts { file, format }) => import::accounts(options, &file, format).await,
        Task::Admin(Admin::Create { email, password_file }) => admin::create(options, email, password_file).await,
        Task::Clients(Clients::Create { name, scopes }) => clients::create(options, name, scopes).await,
        Task::Clients(Clients::List) => clients::list(options).await,
        Task::Clients(Clients::Delete { name }) => clients::delete(options, name).await,
        Task::Keys(Keys::Rotate { withdraw_now }) => keys::rotate(options, withdraw_now).await,
        Task::Mail(wanted) => mail::print(options, &wanted).await,
        Task::Media { tool: Some(tool) } => media::run(tool, options).await,
        Task::Push(Push::Test { device }) => push::test(options, device).await,
        Task::Seed { yes } => seed::run(options, yes).await,
        Task::Identity
        | Task::Catalogue
        | Task::Media { tool: None }
        | Task::Messaging
        | Task::Gateway
        | Task::Config => {
            anyhow::bail!("this is no command")
        }
    }
}

/// Prints a line. Whoever reads our output may stop reading.
pub fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
