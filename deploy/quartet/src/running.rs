//! A running installation, or one running role of it: its listeners, and its end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use quartet_chassis::parts::Parts;
use quartet_chassis::serve::{self, Check, Drain, Health};
use quartet_chassis::telemetry;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::control::Control;
use crate::home::Home;
use crate::settings::{Options, loopback};

/// How long the end may take in all (F-12).
const END: Duration = Duration::from_millis(9500);

/// What runs. Dropping it without `stop` cuts everything off.
pub struct Running {
    /// The public port, or the role's own.
    pub listen: SocketAddr,
    /// The control service of a server that is there for a test.
    pub control: Option<SocketAddr>,
    pub admin: Option<SocketAddr>,
    /// The data directory. A role that needs none has the folder that it was started in.
    pub data: PathBuf,
    parts: Parts,
    servers: JoinSet<()>,
    helpers: JoinSet<()>,
    home: Option<Home>,
}

impl Running {
    /// Ends: nothing new is taken, what began may finish, and after ten seconds nobody waits.
    pub async fn stop(self) {
        let Running { parts, mut servers, helpers, home, .. } = self;
        parts.stopping.cancel();
        parts.tasks.close();
        let end = async {
            while servers.join_next().await.is_some() {}
            parts.tasks.wait().await;
        };
        if tokio::time::timeout(END, end).await.is_err() {
            tracing::warn!("not everything ended in time");
        }
        // Alive and not ready until the very end.
        drop(helpers);
        drop(home);
    }

    /// Returns when a listener has ended by itself, which none should.
    pub async fn failed(&mut self) {
        if self.servers.join_next().await.is_none() {
            std::future::pending().await
        }
    }
}

/// A process before it serves.
pub struct Start {
    pub parts: Parts,
    pub drain: Drain,
    pub listen: SocketAddr,
    pub home: Option<Home>,
    listener: Option<TcpListener>,
    servers: JoinSet<()>,
    helpers: JoinSet<()>,
    control: Option<SocketAddr>,
}

impl Start {
    /// Takes the address first: nothing else is worth beginning without it.
    pub async fn new(address: SocketAddr, parts: Parts, home: Option<Home>) -> anyhow::Result<Start> {
        let listener = bind(address).await?;
        Ok(Start {
            drain: Drain::new(parts.stopping.clone()),
            listen: listener.local_addr()?,
            listener: Some(listener),
            parts,
            home,
            servers: JoinSet::new(),
            helpers: JoinSet::new(),
            control: None,
        })
    }

    pub fn listener(&mut self) -> anyhow::Result<TcpListener> {
        self.listener.take().context("the listener is in use")
    }

    /// Runs something that ends by itself when the process is told to stop.
    pub fn serve(&mut self, server: impl Future<Output = ()> + Send + 'static) {
        self.servers.spawn(server);
    }

    /// Serves the control service, if this is a test's server.
    pub async fn control(&mut self, options: &Options, is_sent: Option<Check>) -> anyhow::Result<()> {
        let Some(home) = self.home.as_ref().filter(|_| options.trial.ephemeral) else { return Ok(()) };
        let control = Control {
            clock: self.parts.clock.clone(),
            faults: self.parts.faults.clone(),
            mail: mail_directory(options, home.path()),
            is_sent,
        };
        let listener = bind(loopback(0)).await?;
        self.control = Some(listener.local_addr()?);
        let drain = self.drain.clone();
        self.serve(async move { serve::tcp(listener, control.routes(), &drain).await });
        Ok(())
    }

    /// Serves the admin port, if one is wanted.
    pub async fn finish(mut self, options: &Options, health: Health) -> anyhow::Result<Running> {
        let mut admin = None;
        if let Some(address) = options.admin_listen() {
            let listener = bind(address).await?;
            admin = Some(listener.local_addr()?);
            self.helpers.spawn(serve::admin(listener, health, telemetry::metrics()));
        }
        Ok(Running {
            listen: self.listen,
            control: self.control,
            admin,
            data: self.home.as_ref().map_or_else(|| PathBuf::from("."), |home| home.path().to_owned()),
            parts: self.parts,
            servers: self.servers,
            helpers: self.helpers,
            home: self.home,
        })
    }
}

/// The folder that mail is written into when there is no mail server.
pub fn mail_directory(options: &Options, data: &Path) -> PathBuf {
    options.trial.mail_directory.clone().unwrap_or_else(|| data.join("mail"))
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("can't listen on {address}; choose another address"))
}
