//! What a run measures, and for how long.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};

pub struct Settings {
    /// Scenarios whose names contain one of these; all when empty.
    filters: Vec<String>,
    /// How long one contestant is measured in one round.
    pub slice: Duration,
    /// How long it runs before that.
    pub warm: Duration,
    /// How often each contestant has its turn; the medians count.
    pub rounds: usize,
    pub quick: bool,
    /// A movie file to import in place of a generated one.
    pub movies: Option<PathBuf>,
}

impl Settings {
    pub fn parse(arguments: Vec<OsString>) -> anyhow::Result<Settings> {
        let movies = std::env::vars_os().find(|(name, _)| name == "QUARTET_TEST_MOVIES").map(|(_, path)| path.into());
        let mut settings = Settings {
            filters: Vec::new(),
            slice: Duration::from_millis(700),
            warm: Duration::from_millis(200),
            rounds: 3,
            quick: false,
            movies,
        };
        let mut rest = arguments.into_iter().skip(1).map(|argument| argument.to_string_lossy().into_owned());
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--quick" => settings.hurry(),
                "--seconds" => settings.slice = Duration::try_from_secs_f64(value()?.parse()?)?,
                "--rounds" => settings.rounds = value()?.parse::<usize>()?.max(1),
                // What `cargo bench` says to every benchmark.
                "--bench" => {}
                flag if flag.starts_with('-') => bail!("{flag} is unknown; there are --quick, --seconds N, --rounds N"),
                _ => settings.filters.push(argument),
            }
        }
        Ok(settings)
    }

    fn hurry(&mut self) {
        self.quick = true;
        self.slice = Duration::from_millis(150);
        self.warm = Duration::from_millis(50);
        self.rounds = 1;
    }

    pub fn wants(&self, scenario: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| scenario.contains(filter.as_str()))
    }

    /// A slice that is `times` as long, for what happens rarely.
    pub fn longer(&self, times: u32) -> Duration {
        self.slice * times
    }
}
