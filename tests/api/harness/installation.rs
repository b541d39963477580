//! An installation that tests speak to, in one of two forms.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::embedded::Embedded;
use super::fleet::Fleet;
use super::lone::Lone;

/// How installations are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything in this process, on SQLite.
    Embedded,
    /// A process for each role, on PostgreSQL and Redis.
    Fleet,
}

impl Mode {
    /// What `QUARTET_TEST_MODE` says.
    pub fn of_this_run() -> Mode {
        match std::env::var("QUARTET_TEST_MODE").as_deref() {
            Err(_) | Ok("" | "embedded") => Mode::Embedded,
            Ok("fleet") => Mode::Fleet,
            Ok(other) => panic!("QUARTET_TEST_MODE is `{other}`, must be `embedded` or `fleet`"),
        }
    }
}

/// An installation. It ends when it is dropped.
pub enum Installation {
    Embedded(Embedded),
    Fleet(Fleet),
    /// One process that is meant to crash.
    Lone(Lone),
}

impl Installation {
    /// Starts an installation of this run's mode, with these flags beside the usual ones.
    pub async fn start(flags: &[&str]) -> Installation {
        match Mode::of_this_run() {
            Mode::Embedded => Installation::Embedded(Embedded::start(flags).await),
            Mode::Fleet => Installation::Fleet(Fleet::start(flags).await),
        }
    }

    pub fn gateway(&self) -> SocketAddr {
        match self {
            Installation::Embedded(embedded) => embedded.started.listen,
            Installation::Fleet(fleet) => fleet.gateway.started.listen,
            Installation::Lone(lone) => lone.listen(),
        }
    }

    /// Every process's control port, identity's first.
    pub fn controls(&self) -> Vec<SocketAddr> {
        match self {
            Installation::Embedded(embedded) => vec![embedded.started.control],
            Installation::Fleet(fleet) => fleet.processes().map(|process| process.started.control).collect(),
            Installation::Lone(lone) => vec![lone.started().control],
        }
    }

    /// Every process's admin port.
    pub fn admins(&self) -> Vec<SocketAddr> {
        match self {
            Installation::Embedded(embedded) => vec![embedded.started.admin],
            Installation::Fleet(fleet) => fleet.processes().map(|process| process.started.admin).collect(),
            Installation::Lone(lone) => vec![lone.started().admin],
        }
    }

    /// The data directory, where there is one.
    pub fn data(&self) -> Option<PathBuf> {
        match self {
            Installation::Embedded(embedded) => Some(embedded.started.data.clone()),
            Installation::Fleet(_) => None,
            Installation::Lone(lone) => lone.data(),
        }
    }
}

/// Where a process listens.
#[derive(Debug, Clone)]
pub struct Started {
    /// The role's own port: the gateway's when all is in one process.
    pub listen: SocketAddr,
    pub control: SocketAddr,
    pub admin: SocketAddr,
    pub data: PathBuf,
}
