//! How a command reaches the service that it speaks to.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use quartet_chassis::caller::Operator;
use quartet_chassis::crypt::MasterKey;
use quartet_chassis::parts::Parts;
use quartet_chassis::upstream::Upstream;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::UnixStream;
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::command::migrate;
use crate::home::{self, Held, Home};
use crate::settings::Options;
use crate::task::Context;
use crate::{parts, services};

/// How long a server that is just starting is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// A service that a command speaks to: of the server that holds the data directory, or started within the command.
pub struct Reached {
    pub upstream: Upstream,
    parts: Option<Parts>,
    /// Held for as long as the service within the command lives.
    home: Option<Home>,
}

impl Reached {
    pub async fn open(options: &Options, context: Context) -> anyhow::Result<Reached> {
        if is_fleet(options, context)? {
            let parts = parts::command(options)?;
            return Reached::within(options, context, parts, None).await;
        }
        match Home::hold(&options.data)? {
            Held::Ours(home) => {
                let options = services::with_files(options.clone(), home.path());
                let parts = parts::embedded(&options, &home)?;
                Reached::within(&options, context, parts, Some(home)).await
            }
            Held::Taken(process) => {
                let upstream = held_by(options, process).await?;
                Ok(Reached { upstream, parts: None, home: None })
            }
        }
    }

    /// Starts the one service that is needed, without a listener.
    async fn within(options: &Options, context: Context, parts: Parts, home: Option<Home>) -> anyhow::Result<Reached> {
        if home.is_some() {
            migrate::one(options, context, &parts).await?;
        }
        let guard = match context {
            Context::Identity => quartet_identity::start_idle(&options.identity, &parts).await?,
            Context::Catalogue => quartet_catalogue::start_idle(&options.catalogue, &parts).await?,
            Context::Media => quartet_media::start_idle(&options.media, &parts).await?,
            Context::Messaging => quartet_messaging::start_idle(&options.messaging, &parts).await?,
        };
        Ok(Reached { upstream: Upstream::Local(guard), parts: Some(parts), home })
    }

    /// Lets the service within the command end what it began.
    pub async fn close(self) {
        if let Some(parts) = self.parts {
            parts.stopping.cancel();
            parts.tasks.close();
            tokio::time::timeout(PATIENCE, parts.tasks.wait()).await.ok();
        }
        drop(self.home);
    }
}

/// Both services, for a command that needs them together: of the server that holds the data directory, or started within the command.
pub struct Both {
    pub identity: Upstream,
    pub catalogue: Upstream,
    /// The installation's key.
    pub master: MasterKey,
    parts: Option<Parts>,
    home: Option<Home>,
}

impl Both {
    pub async fn open(options: &Options) -> anyhow::Result<Both> {
        if is_fleet(options, Context::Identity)? {
            let parts = parts::command(options)?;
            return Both::within(options, parts, None).await;
        }
        match Home::hold(&options.data)? {
            Held::Ours(home) => {
                let options = services::with_files(options.clone(), home.path());
                let parts = parts::embedded(&options, &home)?;
                for context in [Context::Identity, Context::Catalogue] {
                    migrate::one(&options, context, &parts).await?;
                }
                Both::within(&options, parts, Some(home)).await
            }
            Held::Taken(process) => {
                let server = held_by(options, process).await?;
                let master = match &options.fleet.master_key {
                    Some(key) => MasterKey::parse(key.expose_secret())?,
                    None => MasterKey::read_or_create(&options.data.join("master.key"))?,
                };
                Ok(Both { identity: server.clone(), catalogue: server, master, parts: None, home: None })
            }
        }
    }

    /// Starts both services on the same parts, so that the one knows whom the other has signed in.
    async fn within(options: &Options, parts: Parts, home: Option<Home>) -> anyhow::Result<Both> {
        let identity = Upstream::Local(quartet_identity::start_idle(&options.identity, &parts).await?);
        let catalogue = Upstream::Local(quartet_catalogue::start_idle(&options.catalogue, &parts).await?);
        Ok(Both { identity, catalogue, master: parts.master.clone(), parts: Some(parts), home })
    }

    /// Lets the services within the command end what they began.
    pub async fn close(self) {
        Reached { upstream: self.identity, parts: self.parts, home: self.home }.close().await;
    }
}

/// Whether the command's service works on a fleet's database and not on a data directory.
fn is_fleet(options: &Options, context: Context) -> anyhow::Result<bool> {
    let url = match context {
        Context::Identity => options.identity.database_url.as_ref(),
        Context::Catalogue => options.catalogue.database_url.as_ref(),
        Context::Media => options.media.database_url.as_ref(),
        Context::Messaging => options.messaging.database_url.as_ref(),
    };
    let on_server = url.is_some_and(|url: &SecretString| !url.expose_secret().starts_with("sqlite:"));
    let has_key = options.fleet.master_key.is_some();
    let has_directory = options.data.join("master.key").exists();
    match context {
        _ if !on_server || (has_directory && !has_key) => Ok(false),
        Context::Identity if !has_key => bail!("`QUARTET_MASTER_KEY` must be set: identity's database is a fleet's"),
        Context::Identity | Context::Catalogue | Context::Media | Context::Messaging => Ok(true),
    }
}

/// The server of this process, which holds the data directory.
async fn held_by(options: &Options, process: Option<u32>) -> anyhow::Result<Upstream> {
    let holds = || format!("{} holds the data directory {}", home::by(process), home::shown(&options.data));
    running(options).await.with_context(holds)
}

/// The server that holds the data directory, once it answers on its socket.
async fn running(options: &Options) -> anyhow::Result<Upstream> {
    let socket = home::socket(&options.data.canonicalize()?);
    let answers = async {
        while UnixStream::connect(&socket).await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    let answered = tokio::time::timeout(PATIENCE, answers).await;
    answered
        .ok()
        .context("it does not answer there: it is no server, or one that hangs; try again when it has ended")?;
    let upstream = on(&socket)?;
    HealthClient::new(upstream.clone()).check(HealthCheckRequest::default()).await.map_err(failed)?;
    Ok(upstream)
}

/// The server that runs on the data directory, if one does.
pub async fn beside(options: &Options) -> anyhow::Result<Option<Upstream>> {
    let socket = home::socket(&options.data);
    match UnixStream::connect(&socket).await {
        Ok(_) => on(&socket.canonicalize()?).map(Some),
        Err(_) => Ok(None),
    }
}

fn on(socket: &Path) -> anyhow::Result<Upstream> {
    Ok(Upstream::remote(&[format!("unix:{}", socket.display())])?)
}

/// A request of the machine's operator. Only in this process the mark counts; the listener on the socket puts one of its own.
pub fn operator<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Operator);
    request
}

/// A refusal in words.
pub fn failed(status: Status) -> anyhow::Error {
    anyhow::anyhow!("{}", status.message())
}
