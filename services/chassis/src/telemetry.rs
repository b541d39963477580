//! What a process tells of itself: its log on the standard error, and its metrics.

use std::io::IsTerminal as _;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::serve::Render;

/// Below `info` these log the headers and bodies that pass through them, tokens included. They say more only when they are named.
const QUIET: &str =
    "h2=info,hyper=info,hyper_util=info,tower=info,rustls=info,tokio_postgres=info,redis=info,lettre=info,diesel=info";
/// Bounds of the histograms, in seconds.
const BUCKETS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// How often what was measured is put into the histograms, whether somebody asks for them or not.
const UPKEEP: Duration = Duration::from_secs(5);

/// How often it is told that something still fails.
const AGAIN: Duration = Duration::from_secs(60);

/// When to tell of something that may fail each second: at once, and while it goes on, once a minute.
#[derive(Debug, Default)]
pub struct Seldom(Option<Instant>);

impl Seldom {
    /// Whether it is time to tell, which is then done.
    pub fn again(&mut self) -> bool {
        let due = self.0.is_none_or(|last| last.elapsed() >= AGAIN);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

/// Begins to log: for people on a terminal, else as JSON. The first call in a process decides.
pub fn log(filter: &str) {
    let filter = EnvFilter::new(format!("{QUIET},{filter}"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Who comes second logs as the first one said.
    let _ = if std::io::stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).with_span_list(false).try_init()
    };
    // The words of a panic would be lines of another form, and can repeat what a client has sent: the place alone says enough.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a defect: the program panicked");
    }));
}

/// Reads a filter: `info`, or `info,quartet_identity=debug`.
pub fn parse_filter(text: &str) -> Result<String, String> {
    EnvFilter::builder().parse(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// Begins to measure, and gives what writes the metrics. To be called before the services are made; again in the same process it gives
/// the same metrics.
pub fn metrics() -> Render {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let handle = HANDLE.get_or_init(|| {
        let builder = PrometheusBuilder::new();
        let recorder = builder.set_buckets(BUCKETS).unwrap_or_default().build_recorder();
        let handle = recorder.handle();
        // Fails only when there is one already, which this very cell excludes.
        let _ = metrics::set_global_recorder(recorder);
        let upkeep = handle.clone();
        let thread = std::thread::Builder::new().name("metrics".to_owned());
        let _ = thread.spawn(move || {
            loop {
                std::thread::sleep(UPKEEP);
                upkeep.run_upkeep();
            }
        });
        handle
    });
    std::sync::Arc::new(|| handle.render())
}
