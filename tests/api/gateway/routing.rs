//! Where a call goes, by the exact name of its rpc and nothing like it.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::harness::prelude::*;
use crate::harness::{channel, raw, wire};

/// Spellings that are close to an rpc's path.
fn variants(path: &str) -> Vec<String> {
    let (service, method) = path[1..].split_once('/').unwrap();
    vec![
        format!("//{service}/{method}"),
        format!("/{service}//{method}"),
        format!("/{service}/{method}/"),
        format!("/{service}/{method}//"),
        format!("/{service}%2F{method}"),
        format!("/{service}%2f{method}"),
        format!("/%2F{service}/{method}"),
        format!("/./{service}/{method}"),
        format!("/x/../{service}/{method}"),
        format!("/{service}/./{method}"),
        format!("/{service}/{method}?"),
        format!("/{service}/{method}?x=/y"),
        format!("/{service}/{method};v=1"),
        format!("/{service}/{method}%20"),
        format!("/{service}/{method}%00"),
        format!("/{}/{method}", service.to_uppercase()),
        format!("/{service}/{}", method.to_uppercase()),
        format!("/{service}/{}", method.to_lowercase()),
        format!("/{service}.{method}"),
        format!("/{service}"),
        format!("/{method}"),
    ]
}

#[tokio::test]
async fn s31_only_the_exact_path_of_an_rpc_reaches_a_handler() {
    let world = World::shared().await;
    let ada = world.sign_up("routes").await;
    let paths = crate::house::rpcs().into_iter().map(|rpc| rpc.path);
    for path in paths.filter(|path| !path.contains(".control.")) {
        // A connection bears so many calls that are ended before they are read, and no more.
        let fresh = channel(world.gateway());
        for variant in variants(&path) {
            let Err(status) = raw::call(fresh.clone(), &variant, Some(&ada.access_token), Vec::new()).await else {
                panic!("{variant} was answered");
            };
            assert_eq!(status.code(), Code::Unimplemented, "{variant}: {status:?}");
        }
    }
    ada.accounts(&world).get_me(GetMeRequest {}).await.expect("no variant has signed her out");
}

#[tokio::test]
async fn s31_a_path_without_its_slash_reaches_no_handler() {
    let world = World::shared().await;
    let ada = world.sign_up("slash").await;
    let bearer = format!("Bearer {}", ada.access_token);
    let target = "quartet.identity.v1.SessionService/SignOut";

    let headers = [("content-type", "application/grpc-web+proto"), ("authorization", bearer.as_str())];
    if let Ok(answer) = wire::try_send(world.gateway(), "POST", target, &headers, &wire::frame(&[])).await {
        assert_ne!(answer.header("grpc-status"), Some("0"));
    }

    let stream = tokio::net::TcpStream::connect(world.gateway()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut parts = ::http::uri::Parts::default();
    parts.scheme = Some(::http::uri::Scheme::HTTP);
    parts.authority = Some(world.gateway().to_string().parse().unwrap());
    parts.path_and_query = ::http::uri::PathAndQuery::try_from(target).ok();
    if let Ok(uri) = ::http::Uri::from_parts(parts) {
        let request = ::http::Request::post(uri)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", &bearer)
            .body(Full::new(Bytes::from(wire::frame(&[]))))
            .unwrap();
        if let Ok(answer) = sender.send_request(request).await {
            let _ = answer.into_body().collect().await;
        }
    }
    ada.accounts(&world).get_me(GetMeRequest {}).await.expect("she is still signed in");
}

#[tokio::test]
async fn s31_what_is_for_the_installation_alone_does_not_exist_outside() {
    let world = World::shared().await;
    let admin = world.admin().await;
    let inside = crate::house::rpcs().into_iter().filter(|rpc| !rpc.is_public_api());
    let mut paths: Vec<String> = inside.map(|rpc| rpc.path).collect();
    assert!(paths.len() >= 6, "{paths:?}");
    paths.extend(
        ["/quartet.identity.v1.SessionService/NoSuch", "/quartet.nothing.v1.NoService/NoSuch", "/x/y", "/"]
            .map(str::to_owned),
    );
    for path in paths {
        for token in [None, Some(admin.access_token.as_str())] {
            let refused = refusal(raw::call(world.channel(), &path, token, Vec::new()).await);
            assert_eq!(refused.is(), (Code::Unimplemented, "METHOD_UNKNOWN"), "{path}");
        }
    }
}
