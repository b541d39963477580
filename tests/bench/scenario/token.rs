//! What it costs to look at an access token: the first time, and when it is known.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use quartet_chassis::auth::{ACCESS_TYPE, AUDIENCE, Auth, Claims, ISSUER, PublicKey, Revocation, Target};
use quartet_chassis::clock::{Clock, unix_seconds};
use quartet_chassis::id::Id;

use crate::report::{Bound, Report, figure, median};
use crate::settings::Settings;

const TOKENS: usize = 10_000;
const REVOKED: usize = 10_000;
const HOUR: Duration = Duration::from_secs(3600);

pub fn run(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let clock = Clock::System;
    let auth = Auth::new(clock.clone(), b"a secret that roles share, of some length");
    let tokens = tokens(&auth, &clock)?;
    auth.revocations().set_complete();
    let until = clock.now() + HOUR;
    let revoked = (0..REVOKED).map(|_| Revocation { target: Target::Session(Id::new(&clock)), expire: until });
    auth.revocations().apply(&revoked.collect::<Vec<_>>());

    let began = Instant::now();
    for token in &tokens {
        auth.verify_now(token, "catalogue").map_err(|refusal| anyhow!("{refusal:?}"))?;
    }
    let first = began.elapsed().as_nanos() as f64 / tokens.len() as f64;
    let one = tokens.get(..1).context("no token")?;
    let threads = std::thread::available_parallelism()?.get();
    let (mut same, mut many, mut shared) = (vec![], vec![], vec![]);
    for _ in 0..settings.rounds {
        same.push(known(&auth, one, settings.slice));
        many.push(known(&auth, &tokens, settings.slice));
        shared.push(std::thread::scope(|scope| {
            let checkers: Vec<_> =
                (0..threads).map(|_| scope.spawn(|| known(&auth, &tokens, settings.slice))).collect();
            median(checkers.into_iter().filter_map(|checker| checker.join().ok()))
        }));
    }
    let (same, many, shared) = (median(same), median(many), median(shared));
    report.say(&format!("{REVOKED} sessions are revoked; tokens of {} bytes", one.first().map_or(0, String::len)));
    report.table(
        &["check of a token", "ns"],
        &[
            vec!["seen for the first time (Ed25519)".to_owned(), figure(first)],
            vec!["known, the same again and again".to_owned(), figure(same)],
            vec![format!("known, {TOKENS} in turn"), figure(many)],
            vec![format!("known, {TOKENS} in turn, on {threads} threads at once"), figure(shared)],
        ],
    );
    report.goal("check of a known token, ns", many, Bound::AtMost(500.0));
    report.say("gateway and service check each call once each: 1,000 ns for both is the goal");
    Ok(())
}

/// Nanoseconds for a check.
fn known(auth: &Auth, tokens: &[String], span: Duration) -> f64 {
    let (began, mut checks) = (Instant::now(), 0_u64);
    while began.elapsed() < span {
        for token in tokens.iter().cycle().take(1000.max(tokens.len())) {
            black_box(auth.verify_now(black_box(token), "catalogue").is_ok());
            checks += 1;
        }
    }
    began.elapsed().as_nanos() as f64 / checks as f64
}

/// Tokens of as many accounts, signed with a key that `auth` knows.
fn tokens(auth: &Auth, clock: &Clock) -> anyhow::Result<Vec<String>> {
    let pair = Ed25519KeyPair::generate()?;
    let x = pair.public_key().as_ref().try_into()?;
    auth.set_keys(&[PublicKey { kid: "bench".to_owned(), x }]);
    let key = EncodingKey::from_ed_der(pair.to_pkcs8v1()?.as_ref());
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(ACCESS_TYPE.to_owned());
    header.kid = Some("bench".to_owned());
    let now = unix_seconds(clock.now());
    let token = |_| {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: Id::new(clock),
            sid: Id::new(clock),
            roles: vec!["user".to_owned()],
            epoch: 0,
            iat: now,
            nbf: now,
            exp: now + 600,
            jti: Id::new(clock).to_string(),
            amr: vec!["pwd".to_owned()],
            act: None,
            kid: String::new(),
        };
        Ok(jsonwebtoken::encode(&header, &claims, &key)?)
    };
    (0..TOKENS).map(token).collect()
}
