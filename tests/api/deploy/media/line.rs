//! The line between a command and its server, which a test watches and breaks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What becomes of the first connection when so many bytes went up or down.
#[derive(Debug, Clone, Copy)]
pub enum Fate {
    /// It is cut.
    Cut(u64),
    /// It stays, and nothing comes through any more.
    Stall(u64),
    None,
}

/// A proxy that takes bytes as they are.
pub struct Line {
    pub address: SocketAddr,
    counts: Arc<Counts>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    up: AtomicU64,
    down: AtomicU64,
    connections: AtomicU64,
    cut: Notify,
}

impl Line {
    pub async fn to(server: SocketAddr, fate: Fate) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let task = tokio::spawn(serve(listener, server, fate, counts.clone()));
        Line { address, counts, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Bytes that went up.
    pub fn up(&self) -> u64 {
        self.counts.up.load(Ordering::Relaxed)
    }

    /// Bytes that came down.
    pub fn down(&self) -> u64 {
        self.counts.down.load(Ordering::Relaxed)
    }

    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// Cuts the connection through which nothing comes any more.
    pub fn cut(&self) {
        self.counts.cut.notify_one();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, server: SocketAddr, fate: Fate, counts: Arc<Counts>) {
    let mut fate = fate;
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        counts.connections.fetch_add(1, Ordering::Relaxed);
        let of_this = std::mem::replace(&mut fate, Fate::None);
        connections.spawn(connect(client, server, of_this, counts.clone()));
    }
}

async fn connect(client: TcpStream, server: SocketAddr, fate: Fate, counts: Arc<Counts>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let both = [AtomicU64::new(0), AtomicU64::new(0)];
    let cut = async {
        match fate {
            Fate::Stall(_) => counts.cut.notified().await,
            Fate::Cut(_) | Fate::None => std::future::pending().await,
        }
    };
    // Whichever ends first takes the other one along.
    tokio::select! {
        () = cut => {}
        () = pass(from_client, to_server, fate, [&counts.up, &both[0]]) => {}
        () = pass(from_server, to_client, fate, [&counts.down, &both[1]]) => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, fate: Fate, counts: [&AtomicU64; 2]) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        counts[0].fetch_add(length as u64, Ordering::Relaxed);
        let passed = counts[1].fetch_add(length as u64, Ordering::Relaxed);
        match fate {
            Fate::Cut(limit) if passed >= limit => return,
            Fate::Stall(limit) if passed >= limit => std::future::pending::<()>().await,
            _ => {}
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
