//! Whether the process can serve, asked again each second (sooner while it starts) and told to everybody who wants to know.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

/// How often checks are made, and how long one may take.
const EVERY: Duration = Duration::from_secs(1);
/// How often until all is ready for the first time: what a process needs comes while it starts.
const FIRST: Duration = Duration::from_millis(200);
const WAIT: Duration = Duration::from_secs(2);

/// Answers whether a part can serve: its database answers, its migrations are done.
pub type Check = Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// The state of a process. Not ready until every check has been made, and from the moment the process is told to stop.
#[derive(Clone)]
pub struct Health {
    ready: Arc<AtomicBool>,
    reporter: HealthReporter,
}

impl Health {
    /// Begins to check. Each check is named after the package it stands for, `quartet.identity`, and speaks for all services in it;
    /// the empty name of `grpc.health.v1` stands for all together.
    pub async fn start(checks: Vec<(String, Check)>, stopping: CancellationToken) -> Health {
        let health = Health { ready: Arc::default(), reporter: HealthReporter::new() };
        let checks: Vec<_> = checks.into_iter().map(|(package, check)| (services_of(&package), check)).collect();
        for (services, _) in &checks {
            health.report(services, false).await;
        }
        health.report_all(false).await;
        let watching = health.clone();
        tokio::spawn(async move {
            stopping.run_until_cancelled(watching.watch(&checks)).await;
            for (services, _) in &checks {
                watching.report(services, false).await;
            }
            watching.report_all(false).await;
        });
        health
    }

    /// Whether every check passed the last time.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// `grpc.health.v1`.
    pub fn server(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }

    async fn watch(&self, checks: &[(Vec<String>, Check)]) {
        let mut last = vec![false; checks.len()];
        let (mut before, mut every) = (false, FIRST);
        loop {
            let rounds = checks.iter().map(|(_, check)| tokio::time::timeout(WAIT, check()));
            let now: Vec<bool> = join_all(rounds).await.into_iter().map(|answer| answer.unwrap_or(false)).collect();
            for (((services, _), now), last) in checks.iter().zip(&now).zip(&last) {
                if now != last {
                    tracing::info!(service = services.first(), ready = now, "readiness has changed");
                    self.report(services, *now).await;
                }
            }
            let all = now.iter().all(|ready| *ready);
            if all != before {
                self.report_all(all).await;
            }
            (last, before) = (now, all);
            if all {
                every = EVERY;
            }
            tokio::time::sleep(every).await;
        }
    }

    async fn report_all(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
        self.reporter.set_service_status("", status(ready)).await;
    }

    async fn report(&self, services: &[String], ready: bool) {
        for service in services {
            self.reporter.set_service_status(service, status(ready)).await;
        }
    }
}

fn status(ready: bool) -> ServingStatus {
    if ready { ServingStatus::Serving } else { ServingStatus::NotServing }
}

/// The full names of the services whose package is `package` or lies below it.
pub fn services_of(package: &str) -> Vec<String> {
    let descriptors = FileDescriptorSet::decode(quartet_proto::DESCRIPTORS).unwrap_or_default();
    let below = format!("{package}.");
    let mut names = Vec::new();
    for file in &descriptors.file {
        if file.package() == package || file.package().starts_with(&below) {
            names.extend(file.service.iter().map(|service| format!("{}.{}", file.package(), service.name())));
        }
    }
    names
}
