//! `quartet admin create`: makes an administrator. The password never stands on a command line.

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use quartet_proto::identity::v1::CreateAdministratorRequest;
use quartet_proto::identity::v1::administration_service_client::AdministrationServiceClient;

use super::say;
use crate::reach::{Reached, failed, operator};
use crate::settings::Options;
use crate::task::Context;

pub async fn create(options: &Options, email: String, password_file: Option<PathBuf>) -> anyhow::Result<()> {
    let password = match password_file {
        Some(file) => read(&file)?,
        None => ask(&email)?,
    };
    let reached = Reached::open(options, Context::Identity).await?;
    let mut client = AdministrationServiceClient::new(reached.upstream.clone());
    let answer =
        client.create_administrator(operator(CreateAdministratorRequest { email: email.clone(), password })).await;
    reached.close().await;
    let answer = answer.map_err(failed)?.into_inner();
    let what = if answer.created { "is a new administrator" } else { "is an administrator now, with this password" };
    say(format_args!("{email} {what} (account {})", answer.account_id));
    Ok(())
}

/// The first line of a file.
fn read(file: &Path) -> anyhow::Result<String> {
    let source: Box<dyn Read> = if file.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).with_context(|| format!("can't read {}", file.display()))?)
    };
    let mut line = String::new();
    BufReader::new(source).read_line(&mut line).with_context(|| format!("can't read {}", file.display()))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn ask(email: &str) -> anyhow::Result<String> {
    let no_terminal = "there is no terminal to ask for the password on: use `--password-file`";
    let password = rpassword::prompt_password(format!("Password for {email}: ")).context(no_terminal)?;
    let again = rpassword::prompt_password("The same again: ").context(no_terminal)?;
    if password != again {
        bail!("the two passwords differ");
    }
    Ok(password)
}
