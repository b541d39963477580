//! The instances of a service, each called in turn.

use std::convert::Infallible;
use std::future::ready;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use tonic::body::Body;

use super::address::{Address, Target};
use super::answer;
use super::instance::{Instance, Sender};

/// How often names are resolved anew while calls come in.
const RESOLVE_EVERY: Duration = Duration::from_secs(5);
/// The same while none could be resolved yet.
const RESOLVE_AGAIN: Duration = Duration::from_millis(500);

type Answer = BoxFuture<'static, Result<Response<Body>, Infallible>>;

/// The instances behind some addresses. Connections are made when the first call needs them, in the runtime of that call: a runtime
/// that ends takes them along, so each runtime has a `Remote` of its own ([`Remote::fresh`]).
#[derive(Clone)]
pub struct Remote(Arc<Pool>);

struct Pool {
    addresses: Vec<Address>,
    connections: usize,
    instances: ArcSwap<Vec<Arc<Instance>>>,
    next: AtomicUsize,
    has_names: bool,
    resolved: Mutex<Option<Instant>>,
    resolving: AtomicBool,
    /// Held by the first call while it resolves, so that the others wait for it.
    first: tokio::sync::Mutex<()>,
}

impl Remote {
    pub fn new(addresses: Vec<Address>) -> Remote {
        Remote::with_connections(addresses, 2)
    }

    /// With this many connections to each instance. One is enough where a single thread sends.
    pub fn with_connections(addresses: Vec<Address>, connections: usize) -> Remote {
        let has_names = addresses.iter().any(Address::is_name);
        Remote(Arc::new(Pool {
            addresses,
            connections,
            instances: ArcSwap::default(),
            next: AtomicUsize::new(0),
            has_names,
            resolved: Mutex::new(None),
            resolving: AtomicBool::new(false),
            first: tokio::sync::Mutex::new(()),
        }))
    }

    /// The same addresses with connections of their own, one to each instance.
    pub fn fresh(&self) -> Remote {
        Remote::with_connections(self.0.addresses.clone(), 1)
    }

    /// Sends a call to the next instance that takes it. One that could not be sent goes to the instance after it; one that was sent
    /// is never sent again.
    pub(super) fn send(&self, request: Request<Body>) -> Answer {
        let Some(request) = prepare(request) else { return Box::pin(ready(Ok(answer::unavailable()))) };
        let start = self.0.next.fetch_add(1, Ordering::Relaxed);
        // Most calls find an open connection. They are on their way before anything waits, and what waits is small.
        let Some(mut sender) = self.open(start) else {
            let remote = self.clone();
            return Box::pin(async move { Ok(remote.try_each(request, start).await) });
        };
        let sent = sender.try_send_request(request);
        let remote = self.clone();
        Box::pin(async move {
            match sent.await {
                Ok(response) => Ok(answer::answered(response)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => Ok(Box::pin(remote.try_each(unsent, start.wrapping_add(1))).await),
                    None => Ok(answer::failed(&error.into_error())),
                },
            }
        })
    }

    /// The open connection of the instance whose turn it is, if it has one.
    fn open(&self, turn: usize) -> Option<Sender> {
        self.resolve_soon();
        let instances = self.0.instances.load();
        let instance = instances.get(turn.checked_rem(instances.len())?)?;
        if instance.is_usable() { instance.open(turn / instances.len()) } else { None }
    }

    async fn try_each(&self, mut request: Request<Body>, start: usize) -> Response<Body> {
        let instances = self.instances().await;
        // One try more than there are instances: a lone instance gets a second one, on a new connection, when the first was just closed.
        let turns = if instances.is_empty() { 0 } else { instances.len() + 1 };
        for turn in (0..turns).map(|turn| start.wrapping_add(turn)) {
            let instance = &instances[turn % instances.len()];
            if !instance.is_usable() {
                continue;
            }
            let Some(mut sender) = instance.sender(turn / instances.len()).await else { continue };
            match sender.try_send_request(request).await {
                Ok(response) => return answer::answered(response),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return answer::failed(&error.into_error()),
                },
            }
        }
        self.resolve_soon();
        answer::unavailable()
    }

    async fn instances(&self) -> Arc<Vec<Arc<Instance>>> {
        let instances = self.0.instances.load_full();
        if instances.is_empty() {
            let _turn = self.0.first.lock().await;
            if self.0.instances.load().is_empty() && self.0.is_due(RESOLVE_AGAIN) {
                self.0.resolve().await;
            }
            return self.0.instances.load_full();
        }
        instances
    }

    fn resolve_soon(&self) {
        if self.0.has_names && self.0.is_due(RESOLVE_EVERY) && !self.0.resolving.swap(true, Ordering::Relaxed) {
            let pool = self.0.clone();
            tokio::spawn(async move {
                pool.resolve().await;
                pool.resolving.store(false, Ordering::Relaxed);
            });
        }
    }
}

impl Pool {
    fn is_due(&self, interval: Duration) -> bool {
        let resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        resolved.is_none_or(|at| at.elapsed() >= interval)
    }

    /// Looks where the addresses lead now. Instances that are still there keep their connections; if no name can be resolved, all stay.
    async fn resolve(&self) {
        let mut targets: Vec<Target> = Vec::new();
        for address in &self.addresses {
            for target in address.targets().await {
                if !targets.contains(&target) {
                    targets.push(target);
                }
            }
        }
        *self.resolved.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if targets.is_empty() {
            return;
        }
        let known = self.instances.load();
        let keep = |target: Target| match known.iter().find(|instance| instance.target == target) {
            Some(instance) => instance.clone(),
            None => Arc::new(Instance::new(target, self.connections)),
        };
        let instances = targets.into_iter().map(keep).collect();
        self.instances.store(Arc::new(instances));
    }
}

/// What HTTP/2 asks of a request: scheme, authority and version. `None` for one that has no path.
fn prepare(mut request: Request<Body>) -> Option<Request<Body>> {
    *request.version_mut() = Version::HTTP_2;
    if request.uri().scheme().is_some() && request.uri().authority().is_some() {
        return Some(request);
    }
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(Authority::from_static("quartet"));
    parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    Some(request)
}
