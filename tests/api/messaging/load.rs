//! What the processes take that carry messages.

use std::path::PathBuf;

use crate::harness::prelude::*;

/// A process, by name.
pub struct Carrier {
    pub name: &'static str,
    place: PathBuf,
}

/// The processes of a world that carry messages.
pub async fn carriers(world: &World) -> Vec<Carrier> {
    let of = |name, id: u32| Carrier { name, place: PathBuf::from(format!("/proc/{id}")) };
    match world.fleet() {
        Some(fleet) => {
            let messagings = fleet.messagings.iter().map(|messaging| of("messaging", messaging.id()));
            messagings.chain([of("gateway", fleet.gateway.id())]).collect()
        }
        None => vec![of("everything", world.process().id().await)],
    }
}

impl Carrier {
    /// What it holds in memory of its own, in MiB: without the parts of its program that were read so far.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(self.place.join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
    }

    /// How many files and connections it has open.
    pub fn files(&self) -> usize {
        std::fs::read_dir(self.place.join("fd")).unwrap().count()
    }
}
