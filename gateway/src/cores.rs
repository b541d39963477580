//! A runtime per core: one acceptor hands connections to them in turn, and a call never changes threads.

use std::sync::Arc;
use std::thread;

use anyhow::Context as _;
use quartet_chassis::serve::accept;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::Gateway;
use crate::accept::{Arrival, serve_connection};

/// How many connections may wait for one core before more are refused.
const WAITING: usize = 1024;

type Arrivals = mpsc::Sender<Arrival<std::net::TcpStream>>;

impl Gateway {
    /// Serves the public port in a process of its own until the process stops and its connections have ended, or the drain's time is
    /// over. With `SO_REUSEPORT` in place of the one acceptor a second gateway would silently share the port, and few connections may
    /// land on one core.
    pub async fn run(self, listener: TcpListener) -> anyhow::Result<()> {
        let mut helpers = self.start_helpers();
        let cores = self.shared.config.threads.or_else(|| thread::available_parallelism().ok().map(usize::from));
        let cores: Vec<Arrivals> =
            (0..cores.unwrap_or(1).max(1)).map(|n| self.start_core(n)).collect::<Result<_, _>>()?;

        let mut turn = cores.iter().cycle();
        let each = |(stream, address): (TcpStream, std::net::SocketAddr)| {
            let Some((client, connected)) = self.shared.peers.connect(address.ip()) else { return };
            let Ok(stream) = stream.into_std() else { return };
            if let Some(core) = turn.next()
                && core.try_send(Arrival { stream, client, connected }).is_err()
            {
                tracing::warn!("a connection is refused: its core is too busy");
            }
        };
        accept(self.shared.drain.stopping(), |cx| listener.poll_accept(cx), each).await;
        drop(listener);
        drop(cores);
        self.shared.drain.finished().await;
        helpers.abort_all();
        Ok(())
    }

    fn start_core(&self, number: usize) -> anyhow::Result<Arrivals> {
        let (sender, mut arrivals) = mpsc::channel(WAITING);
        let (shared, edge) = (self.shared.clone(), self.edge(true));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let serve = async move {
            let edge = Arc::new(edge);
            while let Some(Arrival { stream, client, connected }) = arrivals.recv().await {
                let Ok(stream) = TcpStream::from_std(stream) else { continue };
                shared.drain.spawn(serve_connection(edge.clone(), Arrival { stream, client, connected }));
            }
            shared.drain.finished().await;
        };
        let thread = thread::Builder::new().name(format!("gateway-{number}"));
        thread.spawn(move || runtime.block_on(serve)).context("a thread can't be started")?;
        Ok(sender)
    }
}
