//! What a role's own listener serves: its services, health, and reflection where it is wanted.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use quartet_proto::r#type::v1::ErrorReason;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::service::Routes;
use tonic::{Code, Status};

use super::health::Health;
use crate::failure::Failure;
use crate::upstream::Upstream;

/// Several contexts behind one listener, with `grpc.health.v1` and, if wanted, `grpc.reflection`.
#[derive(Clone)]
pub struct Role {
    contexts: Arc<[(String, Upstream)]>,
    own: Routes,
}

impl Role {
    /// `contexts` are packages, `quartet.identity`, and who serves everything below them.
    pub fn new(contexts: Vec<(&str, Upstream)>, health: &Health, reflection: bool) -> anyhow::Result<Role> {
        let services = contexts.iter().flat_map(|(package, _)| super::services_of(package)).collect::<Vec<_>>();
        let contexts = contexts.into_iter().map(|(package, upstream)| (format!("/{package}."), upstream)).collect();
        Ok(Role { contexts, own: own_routes(health, reflection.then_some(services.as_slice()))? })
    }
}

impl Service<Request<Body>> for Role {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        if let Some((_, upstream)) = self.contexts.iter().find(|(prefix, _)| path.starts_with(prefix.as_str())) {
            return upstream.clone().call(request);
        }
        if path.starts_with("/grpc.") {
            return Box::pin(self.own.call(request));
        }
        let unknown = Failure::new(Code::Unimplemented, ErrorReason::MethodUnknown, "there is no such rpc");
        Box::pin(async { Ok(Status::from(unknown).into_http()) })
    }
}

/// `grpc.health.v1` and, given the names of services to show, `grpc.reflection` v1 and v1alpha.
pub fn own_routes(health: &Health, reflection: Option<&[String]>) -> anyhow::Result<Routes> {
    let mut routes = Routes::new(health.server());
    if let Some(services) = reflection {
        routes = routes
            .add_service(reflect(services).build_v1().context("reflection")?)
            .add_service(reflect(services).build_v1alpha().context("reflection")?);
    }
    Ok(routes.prepare())
}

fn reflect(services: &[String]) -> tonic_reflection::server::Builder<'static> {
    let builder = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(quartet_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name("grpc.health.v1.Health")
        .with_service_name("grpc.reflection.v1.ServerReflection")
        .with_service_name("grpc.reflection.v1alpha.ServerReflection");
    services.iter().fold(builder, |builder, service| builder.with_service_name(service))
}
