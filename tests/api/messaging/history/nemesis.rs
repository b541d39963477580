//! What breaks things while people talk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::dice::Dice;
use crate::harness::OwnPostgres;
use crate::harness::prelude::*;

/// What can be done to an installation.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// The process, or an instance of messaging, is killed and started again.
    Kill,
    /// Redis forgets everything.
    Empty,
    /// Redis is away for some time, and comes back empty.
    Silence,
    /// PostgreSQL is stopped and started again.
    Restart,
}

/// Waits until so many steps were made by all writers.
async fn reach(progress: &AtomicU64, steps: u64) {
    let start = Instant::now();
    while progress.load(Ordering::Relaxed) < steps {
        assert!(start.elapsed() < Duration::from_secs(600), "nobody gets on");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub struct Nemesis<'a> {
    pub dice: Dice,
    pub postgres: Option<OwnPostgres>,
    pub progress: &'a AtomicU64,
    /// How many steps the writers make together.
    pub steps: u64,
}

impl Nemesis<'_> {
    /// Does all this, evenly spread over what the writers do.
    pub async fn act(&mut self, world: &mut World, acts: &[Act]) {
        for (number, act) in acts.iter().enumerate() {
            let from = self.steps * (number as u64 + 1) / (acts.len() as u64 + 1);
            let when = from + self.dice.below(1 + self.steps / 40);
            reach(self.progress, when.min(self.steps)).await;
            match act {
                Act::Kill => self.kill(world).await,
                Act::Empty => drop(world.grounds().unwrap().redis.command("FLUSHALL").await.unwrap()),
                Act::Silence => {
                    let redis = world.grounds().unwrap().redis.clone();
                    redis.stop();
                    let some = self.progress.load(Ordering::Relaxed) + 1 + self.steps / 50;
                    reach(self.progress, some.min(self.steps)).await;
                    redis.restart().await;
                }
                Act::Restart => {
                    let postgres = self.postgres.as_ref().unwrap();
                    postgres.act("stop").await;
                    postgres.act("start").await;
                }
            }
        }
    }

    async fn kill(&mut self, world: &mut World) {
        if !world.is_fleet() {
            return world.process().kill().await;
        }
        let instances = &mut world.fleet_mut().messagings;
        let victim = self.dice.place(instances.len());
        instances[victim].kill().await;
        instances[victim].restart().await;
    }
}
