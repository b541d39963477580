//! Forged tokens, and tokens shown in the wrong place.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::{Value, json};

use crate::harness::prelude::*;
use crate::harness::{channel, raw};
use crate::house::rpcs;

pub fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn decode(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// A good token taken apart.
struct Parts {
    header: Value,
    claims: Value,
    signature: String,
}

impl Parts {
    fn of(token: &str) -> Parts {
        let parts: Vec<&str> = token.split('.').collect();
        Parts { header: decode(parts[0]), claims: decode(parts[1]), signature: parts[2].to_owned() }
    }

    /// The header with some fields changed, or removed by a null.
    fn header(&self, changes: Value) -> Value {
        changed(&self.header, changes)
    }

    fn claims(&self, changes: Value) -> Value {
        changed(&self.claims, changes)
    }
}

pub fn changed(value: &Value, changes: Value) -> Value {
    let mut value = value.clone();
    for (name, change) in changes.as_object().unwrap() {
        if change.is_null() {
            value.as_object_mut().unwrap().remove(name);
        } else {
            value[name] = change.clone();
        }
    }
    value
}

/// What a token says.
pub fn claims(token: &str) -> Value {
    Parts::of(token).claims
}

/// The public half of the key that [`signed`] uses.
pub fn public_key() -> [u8; 32] {
    key().public_key().as_ref().try_into().unwrap()
}

pub fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[42; 32]).unwrap()
}

pub fn signed(header: &Value, claims: &Value) -> String {
    let text = format!("{}.{}", encode(header), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key().sign(text.as_bytes()));
    format!("{text}.{signature}")
}

fn hmacked(algorithm: hmac::Algorithm, secret: &[u8], header: &Value, claims: &Value) -> String {
    let text = format!("{}.{}", encode(header), encode(claims));
    let tag = hmac::sign(&hmac::Key::new(algorithm, secret), text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
}

/// The claims of a good token under a signature of our own.
pub fn self_signed(good: &str) -> String {
    let good = Parts::of(good);
    signed(&good.header, &good.claims)
}

/// Tokens that nobody may take, each with what is wrong with it.
fn forged(good: &str, public_key: &str) -> Vec<(String, String)> {
    let parts = Parts::of(good);
    let (head, body) = (encode(&parts.header), encode(&parts.claims));
    let signature = parts.signature.as_str();
    let mut all: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, token: String| all.push((name.to_owned(), token));

    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = encode(&parts.header(json!({ "alg": alg })));
        add(&format!("alg `{alg}` without signature"), format!("{header}.{body}."));
        add(&format!("alg `{alg}` with the signature"), format!("{header}.{body}.{signature}"));
    }
    let raw = URL_SAFE_NO_PAD.decode(public_key).unwrap();
    let prefix = hex::decode("302a300506032b6570032100").unwrap();
    let der = [prefix.as_slice(), &raw].concat();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&der));
    let secrets =
        [("raw", raw.clone()), ("base64", public_key.as_bytes().to_vec()), ("DER", der), ("PEM", pem.into_bytes())];
    for (form, secret) in &secrets {
        for (alg, algorithm) in
            [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)]
        {
            let header = parts.header(json!({ "alg": alg }));
            add(&format!("{alg} with the {form} public key"), hmacked(algorithm, secret, &header, &parts.claims));
        }
        add(
            &format!("EdDSA by name, HMAC with the {form} public key"),
            hmacked(hmac::HMAC_SHA256, secret, &parts.header, &parts.claims),
        );
    }
    for secret in ["", "secret", "changeme", "quartet", "your-256-bit-secret"] {
        let header = parts.header(json!({ "alg": "HS256" }));
        add(&format!("HS256 with `{secret}`"), hmacked(hmac::HMAC_SHA256, secret.as_bytes(), &header, &parts.claims));
    }
    for alg in ["ES256", "ES384", "ES512", "RS256", "PS256", "Ed25519", "Ed448", "eddsa"] {
        add(&format!("alg {alg}"), signed(&parts.header(json!({ "alg": alg })), &parts.claims));
    }
    let x = URL_SAFE_NO_PAD.encode(key().public_key().as_ref());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "alg": "EdDSA", "use": "sig" });
    for (name, change) in [
        ("own key", json!({})),
        ("jwk in the header", json!({ "jwk": jwk })),
        ("jwk without kid", json!({ "jwk": jwk, "kid": null })),
        ("jku", json!({ "jku": "http://127.0.0.1:9/keys.json" })),
        ("x5u", json!({ "x5u": "http://127.0.0.1:9/key.pem" })),
        ("x5c", json!({ "x5c": [x] })),
        ("crit", json!({ "crit": ["exp"] })),
        ("b64", json!({ "b64": false, "crit": ["b64"] })),
        ("no kid", json!({ "kid": null })),
        ("kid is a number", json!({ "kid": 1 })),
        ("kid is a path", json!({ "kid": "../../../../dev/null" })),
        ("kid is SQL", json!({ "kid": "x' union select 'key" })),
        ("kid is an address", json!({ "kid": "http://127.0.0.1:9/key" })),
        ("kid is empty", json!({ "kid": "" })),
        ("kid is long", json!({ "kid": "k".repeat(4000) })),
        ("no typ", json!({ "typ": null })),
        ("typ JWT", json!({ "typ": "JWT" })),
        ("typ refresh", json!({ "typ": "refresh" })),
        ("typ of a service", json!({ "typ": "service+jwt" })),
        ("no alg", json!({ "alg": null })),
        ("alg is a list", json!({ "alg": ["EdDSA"] })),
    ] {
        let header = parts.header(change);
        add(&format!("{name}, signed by another key"), signed(&header, &parts.claims));
        if header != parts.header {
            add(&format!("{name}, with the good signature"), format!("{}.{body}.{signature}", encode(&header)));
        }
    }
    for (name, change) in [
        ("another account", json!({ "sub": "00000000-0000-7000-8000-000000000000" })),
        ("another session", json!({ "sid": "00000000-0000-7000-8000-000000000000" })),
        ("more roles", json!({ "roles": ["admin", "moderator", "user"] })),
        ("a later end", json!({ "exp": 9_999_999_999u64 })),
        ("another audience", json!({ "aud": "identity" })),
        ("an actor", json!({ "act": { "sub": "client:app" } })),
        ("a stronger sign-in", json!({ "amr": ["pwd", "otp", "hwk"] })),
        ("another issuer", json!({ "iss": "elsewhere" })),
        ("no session", json!({ "sid": null })),
    ] {
        add(
            &format!("{name}, with the good signature"),
            format!("{head}.{}.{signature}", encode(&parts.claims(change))),
        );
    }
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    for at in [0, 31, 32, 63] {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        add(
            &format!("a bit of byte {at} of the signature"),
            format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode(flipped)),
        );
    }
    for (name, token) in [
        ("no signature", format!("{head}.{body}.")),
        ("two parts", format!("{head}.{body}")),
        ("four parts", format!("{head}.{body}.{signature}.x")),
        ("five parts", format!("{head}.x.x.{body}.{signature}")),
        ("a zero signature", format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode([0; 64]))),
        ("half a signature", format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode(&bytes[..32]))),
        ("a longer signature", format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode([bytes.as_slice(), &[0]].concat()))),
        ("padding", format!("{head}.{body}.{signature}==")),
        ("a dot in front", format!(".{good}")),
        ("twice", format!("{good}{good}")),
        ("upper case", good.to_uppercase()),
        ("one character less", good[..good.len() - 1].to_owned()),
        ("nothing but dots", "..".to_owned()),
        ("no token at all", "x".to_owned()),
        ("longer than any token", format!("{head}.{}.{signature}", "A".repeat(9000))),
    ] {
        add(name, token);
    }
    all
}

#[tokio::test]
async fn s20_no_forged_token_is_taken_by_any_rpc_anywhere() {
    let world = World::shared().await;
    let ada = world.sign_up("forged").await;
    let keys = world.keys().get_jwks(GetJwksRequest {}).await.unwrap().into_inner().keys;
    let kid = Parts::of(&ada.access_token).header["kid"].as_str().unwrap().to_owned();
    let public_key = &keys.iter().find(|key| key.kid == kid).unwrap().x;
    let forged = forged(&ada.access_token, public_key);
    assert!(forged.len() >= 60, "{}", forged.len());

    let authenticated = rpcs().into_iter().filter(|rpc| {
        use quartet_chassis::auth::access::Access;
        matches!(rpc.rule.access, Access::Account | Access::Roles(_) | Access::Optional | Access::Service)
    });
    let mut doors = Vec::new();
    for rpc in authenticated {
        let mut ways: Vec<_> = world.direct(rpc.context()).into_iter().map(channel).collect();
        if rpc.is_public_api() {
            // One connection takes only so many calls that are refused before they were read.
            ways.push(channel(world.gateway()));
        }
        doors.extend(ways.into_iter().map(|way| (rpc.path.clone(), way)));
    }
    // Many at once, since a token that names an unknown key waits a moment for the key to turn up; but no more than a connection takes.
    let tries = doors.iter().flat_map(|door| forged.iter().map(move |token| (door, token)));
    let tried = stream::iter(tries).map(|((path, way), (name, token))| async move {
        let result = raw::call(way.clone(), path, Some(token), Vec::new()).await;
        let code = result.as_ref().err().map(tonic::Status::code);
        (code != Some(Code::Unauthenticated)).then(|| format!("{path}: {name}: {result:?}"))
    });
    let accepted: Vec<String> = tried.buffer_unordered(64).filter_map(std::future::ready).collect().await;
    assert!(accepted.is_empty(), "{}", accepted.join("\n"));
    ada.accounts(&world).get_me(GetMeRequest {}).await.expect("the good one still is");
}

#[tokio::test]
async fn s21_a_token_of_one_kind_does_not_stand_in_for_another() {
    let world = World::shared().await;
    let ada = world.sign_up("kinds").await;
    let asked = RequestPasswordResetRequest { email: ada.email.clone() };
    world.accounts().request_password_reset(asked).await.unwrap();
    let reset = eventually("the reset mail", async || {
        let mails = world.mails(&ada.email).await;
        (mails.len() >= 2).then(|| crate::harness::mail::token(mails.last().unwrap()))
    })
    .await;
    let device = world.try_sign_in(&ada.email, &ada.password).await.unwrap().device_token;
    assert!(!device.is_empty());
    let services = [world.service_token("identity"), world.service_token("catalogue")];
    for token in [&ada.refresh_token, &reset, &device, &services[0], &services[1]] {
        for mut clients in [world.as_token(token).accounts()] {
            let refused = refusal(clients.get_me(GetMeRequest {}).await);
            assert_eq!(refused.is(), (Code::Unauthenticated, "TOKEN_INVALID"));
        }
    }
    for token in [&ada.access_token, &reset, &device, &services[0]] {
        let refused = refusal(world.try_refresh(token).await);
        assert_eq!(refused.is(), (Code::InvalidArgument, "REFRESH_TOKEN_INVALID"));
    }
    // A device token that is none counts as none: the sign-in is one from a new device.
    for token in [&ada.access_token, &ada.refresh_token, &reset, &services[0]] {
        let (email, password) = (ada.email.clone(), ada.password.clone());
        let asked = SignInRequest { email, password, device_token: token.clone(), ..Default::default() };
        let answer = world.sessions().sign_in(asked).await.unwrap().into_inner();
        assert!(answer.device_token != device && answer.device_token != *token);
    }
    let introspect = "/quartet.identity.v1.SessionService/Introspect";
    for identity in world.direct("identity").into_iter().map(channel) {
        for token in [&ada.access_token, &ada.refresh_token, &reset, &device, &world.service_token("catalogue")] {
            let refused = refusal(raw::call(identity.clone(), introspect, Some(token), Vec::new()).await);
            assert_eq!(refused.code, Code::Unauthenticated, "{refused:?}");
        }
        let token = world.service_token("identity");
        raw::call(identity, introspect, Some(&token), Vec::new()).await.expect("a service may ask");
    }
}

#[tokio::test]
async fn s23_a_refresh_token_is_taken_whole_or_not_at_all() {
    let world = World::shared().await;
    let ada = world.sign_up("prefix").await;
    let whole = &ada.refresh_token;
    let mut tried: Vec<String> = (1..whole.len()).map(|end| whole[..end].to_owned()).collect();
    tried.extend((1..whole.len()).step_by(7).map(|begin| whole[begin..].to_owned()));
    for (at, letter) in whole.char_indices().filter(|(_, letter)| letter.is_ascii_alphabetic()) {
        let flipped =
            if letter.is_ascii_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
        tried.push(format!("{}{flipped}{}", &whole[..at], &whole[at + 1..]));
    }
    tried.extend([
        format!("{whole}="),
        format!("{whole} "),
        format!(" {whole}"),
        format!("{whole}A"),
        format!("{whole}."),
    ]);
    for token in tried {
        let refused = refusal(world.try_refresh(&token).await);
        assert_eq!(refused.is(), (Code::InvalidArgument, "REFRESH_TOKEN_INVALID"), "{token}");
    }
    world.try_refresh(whole).await.expect("the whole one works");
}
