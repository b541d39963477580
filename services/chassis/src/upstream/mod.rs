//! Where a call goes: to a service of this process by function call, or to the instances of one over HTTP/2.
//!
//! Standalone and fleet differ in which variant of [`Upstream`] is handed over, and in nothing else.

mod address;
mod answer;
mod instance;
mod remote;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

pub use self::address::{Address, NotAnAddress};
pub use self::remote::Remote;
use crate::guard::Guard;
use crate::serve::Check;

/// Of several instances, asked in turn, one that is well will do.
const HEALTH_TRIES: usize = 3;

/// A service to call. Generated clients stand on it: `AccountServiceClient::new(upstream)`. Whatever goes wrong on the way comes back
/// as a gRPC status.
#[derive(Clone)]
pub enum Upstream {
    /// In this process.
    Local(Guard),
    /// Elsewhere, on one or more instances.
    Remote(Remote),
}

impl Upstream {
    /// The instances at `addresses`: each `host:port`, `http://host:port` or `unix:PATH`.
    pub fn remote<A: AsRef<str>>(addresses: &[A]) -> Result<Upstream, NotAnAddress> {
        let addresses = addresses.iter().map(|address| address.as_ref().parse()).collect::<Result<_, _>>()?;
        Ok(Upstream::Remote(Remote::new(addresses)))
    }

    /// The same upstream with connections of its own, for a runtime of its own.
    pub fn fresh(&self) -> Upstream {
        match self {
            Upstream::Local(guard) => Upstream::Local(guard.clone()),
            Upstream::Remote(remote) => Upstream::Remote(remote.fresh()),
        }
    }

    pub fn is_local(&self) -> bool {
        matches!(self, Upstream::Local(_))
    }

    /// Whether an instance answers that it can serve. A service of this process has its own check, and counts as well here.
    pub fn check(&self) -> Check {
        let upstream = self.clone();
        Arc::new(move || {
            let upstream = upstream.clone();
            Box::pin(async move { upstream.is_local() || upstream.has_healthy_instance().await })
        })
    }

    async fn has_healthy_instance(&self) -> bool {
        let mut client = HealthClient::new(self.clone());
        for _ in 0..HEALTH_TRIES {
            let answer = client.check(HealthCheckRequest::default()).await;
            if answer.is_ok_and(|answer| answer.get_ref().status() == ServingStatus::Serving) {
                return true;
            }
        }
        false
    }
}

impl Service<Request<Body>> for Upstream {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self {
            Upstream::Local(guard) => guard.call(request),
            Upstream::Remote(remote) => remote.send(request),
        }
    }
}
