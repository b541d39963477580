//! Contestants in turn, round after round, so that whatever else the machine does hits them alike.

use crate::load::{Load, run};
use crate::process::Meter;
use crate::report::{figure, median};
use crate::settings::Settings;

pub struct Contestant {
    pub name: String,
    pub load: Load,
    /// Whose time is measured: the proxy, the service, the database.
    pub meters: Vec<Meter>,
}

/// The medians over all rounds.
#[derive(Clone, Debug)]
pub struct Result {
    pub rate: f64,
    /// Milliseconds.
    pub p50: f64,
    pub p99: f64,
    /// Microseconds a call, for each meter.
    pub cpu: Vec<f64>,
}

impl Result {
    pub fn cpu(&self, meter: usize) -> f64 {
        self.cpu.get(meter).copied().unwrap_or(f64::NAN)
    }

    pub fn cpu_text(&self, meter: usize) -> String {
        self.cpu.get(meter).map_or_else(|| "–".to_owned(), |cpu| figure(*cpu))
    }
}

pub fn contest(settings: &Settings, contestants: &[Contestant]) -> anyhow::Result<Vec<Result>> {
    let mut outcomes: Vec<Vec<_>> = contestants.iter().map(|_| Vec::new()).collect();
    for _ in 0..settings.rounds {
        for (contestant, outcomes) in contestants.iter().zip(&mut outcomes) {
            let meters: Vec<&Meter> = contestant.meters.iter().collect();
            outcomes.push(run(&[&contestant.load], settings.warm, settings.slice, &meters)?);
        }
    }
    let results = contestants.iter().zip(&outcomes).map(|(contestant, outcomes)| {
        let of = |value: &dyn Fn(&crate::load::Outcome) -> f64| median(outcomes.iter().map(value));
        let first = |outcome: &crate::load::Outcome| outcome.loads.first().cloned();
        Result {
            rate: of(&|outcome| first(outcome).map_or(f64::NAN, |load| load.rate)),
            p50: of(&|outcome| first(outcome).map_or(f64::NAN, |load| load.p50.as_secs_f64() * 1e3)),
            p99: of(&|outcome| first(outcome).map_or(f64::NAN, |load| load.p99.as_secs_f64() * 1e3)),
            cpu: (0..contestant.meters.len()).map(|meter| of(&|outcome| outcome.cpu_per_call(meter))).collect(),
        }
    });
    Ok(results.collect())
}
