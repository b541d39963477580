//! What an answer tells about an address: nothing (S-09). Not by its status, its headers, its message nor its trailers.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;

use crate::harness::prelude::*;
use crate::harness::wire::{self, frame};

/// What differs between any two answers.
const OF_EACH: [&str; 2] = ["date", "x-request-id"];

/// A call that names an address.
struct Flow {
    path: &'static str,
    message: fn(&str) -> Vec<u8>,
}

/// A token that belongs to nobody.
const TOKEN: &str = "0000000000000000000000000000000000000000000";

fn flows() -> Vec<Flow> {
    fn of(path: &'static str, message: fn(&str) -> Vec<u8>) -> Flow {
        Flow { path, message }
    }
    vec![
        of("AccountService/Register", |email| {
            RegisterRequest { email: email.into(), password: PASSWORD.into() }.encode_to_vec()
        }),
        of("SessionService/SignIn", |email| {
            SignInRequest { email: email.into(), password: "Wrong1!horse".into(), ..Default::default() }.encode_to_vec()
        }),
        of("AccountService/RequestPasswordReset", |email| {
            RequestPasswordResetRequest { email: email.into() }.encode_to_vec()
        }),
        of("AccountService/ResendActivation", |email| ResendActivationRequest { email: email.into() }.encode_to_vec()),
        of("EmailChangeService/RequestEmailChange", |email| {
            RequestEmailChangeRequest { new_email: email.into(), password: PASSWORD.into() }.encode_to_vec()
        }),
        of("SessionService/RequestSignInCode", |email| {
            RequestSignInCodeRequest { email: email.into() }.encode_to_vec()
        }),
        of("SessionService/SignInWithCode", |email| {
            let proof = Some(sign_in_with_code_request::Proof::Code("x000000".into()));
            SignInWithCodeRequest { email: email.into(), proof, ..Default::default() }.encode_to_vec()
        }),
        of("AccountService/Activate", |email| {
            let proof = Some(activate_request::Proof::Token(TOKEN.into()));
            ActivateRequest { email: email.into(), proof }.encode_to_vec()
        }),
        of("AccountService/VerifyResetCode", |email| {
            VerifyResetCodeRequest { email: email.into(), code: "x000000".into() }.encode_to_vec()
        }),
        of("AccountService/CompletePasswordReset", |email| {
            let proof = Some(complete_password_reset_request::Proof::Token(TOKEN.into()));
            CompletePasswordResetRequest { email: email.into(), proof, password: PASSWORD.into() }.encode_to_vec()
        }),
        of("EmailChangeService/ConfirmEmailChange", |email| {
            let proof = Some(confirm_email_change_request::Proof::Token(TOKEN.into()));
            ConfirmEmailChangeRequest { email: email.into(), proof }.encode_to_vec()
        }),
        of("AccountService/Reactivate", |email| {
            ReactivateRequest { email: email.into(), password: "Wrong1!horse".into(), proof: None }.encode_to_vec()
        }),
    ]
}

/// What came, but for the address and what differs in any case. Addresses of one length are taken, so that lengths compare too.
fn shown(status: u16, mut headers: Vec<(String, Vec<u8>)>, body: &[u8], email: &str) -> String {
    headers.retain(|(name, _)| !OF_EACH.contains(&name.as_str()));
    headers.sort();
    let headers: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value))).collect();
    let body = String::from_utf8_lossy(body).replace(email, "ADDRESS");
    let body: Vec<&str> =
        body.split("\r\n").filter(|line| !OF_EACH.iter().any(|name| line.starts_with(name))).collect();
    format!("{status}\n{}\n{:?}", headers.join("\n"), body)
}

/// Over HTTP/1.1, as a page calls.
async fn by_web(world: &World, flow: &Flow, token: &str, email: &str) -> String {
    let headers = [
        ("content-type", "application/grpc-web+proto"),
        ("x-grpc-web", "1"),
        ("origin", "https://app.example.com"),
        ("authorization", token),
    ];
    let path = format!("/quartet.identity.v1.{}", flow.path);
    let answer = wire::send(world.gateway(), "POST", &path, &headers, &frame(&(flow.message)(email))).await;
    let headers = answer.headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
    shown(answer.status, headers, &answer.body, email)
}

/// Over HTTP/2, with the trailers behind the headers.
async fn natively(world: &World, flow: &Flow, token: &str, email: &str) -> String {
    let stream = tokio::net::TcpStream::connect(world.gateway()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = ::http::Request::post(format!("http://{}/quartet.identity.v1.{}", world.gateway(), flow.path))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", token)
        .body(Full::new(Bytes::from(frame(&(flow.message)(email)))))
        .unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    let headers = head.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    let trailers =
        trailers.iter().map(|(name, value)| (format!("trailer {name}"), value.as_bytes().to_vec())).collect::<Vec<_>>();
    let all = headers.chain(trailers).collect();
    connection.abort();
    shown(head.status.as_u16(), all, &body.to_bytes(), email)
}

#[tokio::test]
async fn s09_a_known_address_gets_the_same_bytes_as_an_unknown_one() {
    let flags = ["--identity-silent-registration", "true", "--identity-mails-per-hour", "1000"];
    let world = World::with(&flags).await;
    let ada = world.sign_up("asker").await;
    let token = format!("Bearer {}", ada.access_token);
    let same_length = |prefix: &str| format!("{prefix}.{:07}@example.com", crate::harness::unique());
    for flow in flows() {
        let known = same_length("known");
        let request = RegisterRequest { email: known.clone(), password: PASSWORD.to_owned() };
        world.accounts().register(request).await.unwrap();
        let proof = Some(activate_request::Proof::Token(world.mail_token(&known).await));
        world.accounts().activate(ActivateRequest { email: known.clone(), proof }).await.unwrap();
        let (waiting, request) = (same_length("waits"), |email: &str| RegisterRequest {
            email: email.to_owned(),
            password: PASSWORD.to_owned(),
        });
        world.accounts().register(request(&waiting)).await.unwrap();
        for natural in [true, false] {
            let mut answers = Vec::new();
            for email in [&known, &waiting, &same_length("nobod")] {
                answers.push(match natural {
                    true => natively(&world, &flow, &token, email).await,
                    false => by_web(&world, &flow, &token, email).await,
                });
            }
            assert_eq!(answers[0], answers[2], "{}: a known address", flow.path);
            assert_eq!(answers[1], answers[2], "{}: one that waits for its activation", flow.path);
            assert!(answers[0].contains("grpc-status"), "{}", answers[0]);
        }
    }
}
