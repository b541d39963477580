#![doc = include_str!("../README.md")]

mod accept;
mod config;
mod cores;
mod edge;
mod ending;
mod front;
mod headers;
mod limit;
mod media;
mod meter;
mod pages;
mod route;
mod size;
mod target;
mod tls;
mod web;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use quartet_chassis::parts::Parts;
use quartet_chassis::serve::{Drain, Health, accept, own_routes};
use quartet_chassis::upstream::Upstream;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use self::accept::{Arrival, serve_connection};
pub use self::config::Config;
use self::edge::{Edge, Shared};
use self::headers::RequestIds;
use self::limit::{Accounts, Peers};
pub use self::limit::{Network, NotANetwork};
use self::meter::Meter;
use self::pages::Jwks;
use self::route::Table;
use self::target::Target;
use self::tls::Tls;

/// The package whose `KeyService` has the keys of `/.well-known/jwks.json`.
const IDENTITY: &str = "quartet.identity";

/// The public port, ready to be served.
pub struct Gateway {
    shared: Arc<Shared>,
    targets: Vec<Target>,
}

impl Gateway {
    /// `routes` lead from packages, `quartet.identity`, to who serves everything below them. `health` is what `/readyz` and
    /// `grpc.health.v1` answer; `Upstream::check` makes the check of a service elsewhere.
    pub fn new(
        config: &Config,
        parts: &Parts,
        routes: Vec<(&str, Upstream)>,
        health: Health,
        drain: Drain,
    ) -> anyhow::Result<Gateway> {
        let packages: Vec<String> = routes.iter().map(|(package, _)| (*package).to_owned()).collect();
        let reflection = config.reflection.unwrap_or(false);
        let table = Table::new(&packages, reflection)?;
        let services = table.services();
        let tls = match (&config.tls_cert, &config.tls_key) {
            (Some(cert), Some(key)) => Some(Tls::read(cert, key)?),
            _ => None,
        };
        let shared = Shared {
            config: config.clone(),
            peers: Arc::new(Peers::new(config.clone())),
            accounts: Accounts::new(config.rate_per_account),
            ids: RequestIds::new(),
            auth: parts.auth.clone(),
            drain,
            cors: web::cors(&config.cors_origins)?,
            tls,
            own: own_routes(&health, reflection.then_some(services.as_slice()))?,
            health,
            unknown: Meter::new("unknown"),
            calls: AtomicUsize::new(0),
            table,
        };
        let targets = routes.into_iter().map(|(package, upstream)| Target::new(package, upstream)).collect();
        Ok(Gateway { shared: Arc::new(shared), targets })
    }

    /// Serves the public port on the current runtime, beside the services of the same process, until the process stops and its
    /// connections have ended, or the drain's time is over. A gateway of its own is faster by `run`.
    pub async fn serve(self, listener: TcpListener) -> anyhow::Result<()> {
        let mut helpers = self.start_helpers();
        let edge = Arc::new(self.edge(false));
        let each = |(stream, address): (TcpStream, SocketAddr)| {
            if let Some((client, connected)) = self.shared.peers.connect(address.ip()) {
                self.shared.drain.spawn(serve_connection(edge.clone(), Arrival { stream, client, connected }));
            }
        };
        accept(self.shared.drain.stopping(), |cx| listener.poll_accept(cx), each).await;
        drop(listener);
        self.shared.drain.finished().await;
        helpers.abort_all();
        Ok(())
    }

    fn edge(&self, fresh: bool) -> Edge {
        let connect = |target: &Target| if fresh { target.fresh() } else { target.share() };
        let targets: Vec<Target> = self.targets.iter().map(connect).collect();
        let identity = targets.iter().find(|target| target.package == IDENTITY);
        let jwks = Jwks::new(identity.map(|target| target.upstream.clone()));
        Edge { shared: self.shared.clone(), targets, jwks }
    }

    /// What goes on beside the calls.
    fn start_helpers(&self) -> JoinSet<()> {
        let mut helpers = JoinSet::new();
        for target in &self.targets {
            let (target, auth) = (target.share(), self.shared.auth.clone());
            helpers.spawn(async move { target.renew_token(auth).await });
        }
        if let Some(tls) = self.shared.tls.clone() {
            helpers.spawn(async move { tls.follow().await });
        }
        helpers
    }
}
