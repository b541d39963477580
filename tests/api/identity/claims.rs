//! What a token must say to be taken, and by whom.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quartet_chassis::auth::{Auth, PublicKey, Refusal as Refused, Revocation, Target};
use quartet_chassis::clock::{Clock, unix_seconds};
use quartet_chassis::id::Id;
use serde_json::{Value, json};

use super::token::{changed, encode, key, public_key, signed};

#[test]
fn s21_every_claim_is_needed_and_of_its_own_type() {
    let (auth, good) = verifier();
    // That of the claims: a second may have ended since.
    let now = good["iat"].as_i64().unwrap();
    let header = header();
    auth.verify_now(&signed(&header, &good), "catalogue").expect("this one is good");

    let strange = [json!("1"), json!(1.5), json!([1]), json!({}), json!(true), json!(-1), json!("")];
    for claim in ["exp", "nbf", "iat", "iss", "aud", "sub", "sid", "jti", "roles", "epoch"] {
        let without = changed(&good, json!({ claim: null }));
        assert!(auth.verify_now(&signed(&header, &without), "catalogue").is_err(), "without {claim}");
        for value in &strange {
            let fits = match claim {
                "epoch" | "nbf" | "iat" => value == &json!(-1),
                "jti" => value == &json!("1"),
                _ => false,
            };
            let claims = changed(&good, json!({ claim: value }));
            assert!(fits || auth.verify_now(&signed(&header, &claims), "catalogue").is_err(), "{claim} is {value}");
        }
    }
    let raw = |claims: String| {
        let text = format!("{}.{}", encode(&header), URL_SAFE_NO_PAD.encode(claims));
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(key().sign(text.as_bytes())))
    };
    let text = good.to_string();
    for claims in [
        text.replacen('{', r#"{"exp":9999999999,"#, 1),
        text.replacen('{', r#"{"sub":"01890000-0000-7000-8000-000000000001","#, 1),
        text.replace(&format!("\"exp\":{}", now + 600), "\"exp\":1e309"),
        text.replace(&format!("\"nbf\":{now}"), "\"nbf\":1e309"),
        text.replace(&format!("\"nbf\":{now}"), &format!("\"nbf\":{}", now + 60)),
        text.replace(&format!("\"iat\":{now}"), &format!("\"iat\":{}", now + 60)),
        text.replace("\"aud\":\"quartet\"", "\"aud\":\"identity\""),
        text.replace("\"iss\":\"quartet\"", "\"iss\":\"other\""),
        format!("[{text}]"),
        String::new(),
    ] {
        assert_eq!(auth.verify_now(&raw(claims.clone()), "catalogue").err(), Some(Refused::Invalid), "{claims}");
    }
    let over = changed(&good, json!({ "exp": now - 1 }));
    assert_eq!(auth.verify_now(&signed(&header, &over), "catalogue").err(), Some(Refused::Expired));
    let other_kid = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "another" });
    assert!(auth.verify_now(&signed(&other_kid, &good), "catalogue").is_err());
}

/// Each context has its own audience, and takes the one of people's tokens beside it. What is remembered of a token does not change that.
#[test]
fn s21_a_context_takes_no_token_of_another_one() {
    let (auth, good) = verifier();
    let token = |audience: &str| signed(&header(), &changed(&good, json!({ "aud": audience })));
    for _ in 0..2 {
        for (audience, takers) in [
            ("quartet", &["identity", "catalogue", "messaging"][..]),
            ("identity", &["identity"]),
            ("catalogue", &["catalogue"]),
            ("Quartet", &[]),
            ("quartet ", &[]),
            ("identity catalogue", &[]),
        ] {
            for context in ["identity", "catalogue", "messaging"] {
                let taken = auth.verify_now(&token(audience), context);
                let expected = takers.contains(&context);
                assert_eq!(taken.is_ok(), expected, "{audience} for {context}");
                assert!(expected || taken.err() == Some(Refused::Invalid));
            }
        }
        assert_eq!(auth.verify_now(&token(""), "").err(), Some(Refused::Invalid));
    }
    let list = changed(&good, json!({ "aud": ["quartet"] }));
    assert_eq!(auth.verify_now(&signed(&header(), &list), "identity").err(), Some(Refused::Invalid));
}

#[test]
fn s21_an_actor_and_the_ways_to_sign_in_are_of_their_own_types() {
    let (auth, good) = verifier();
    let verdict = |changes: Value| auth.verify_now(&signed(&header(), &changed(&good, changes)), "identity").err();
    let id = "01890000-0000-7000-8000-000000000001";
    for fits in [json!({ "sub": "client:app" }), json!({ "sub": id, "sid": id, "epoch": 0 })] {
        assert_eq!(verdict(json!({ "act": fits })), None, "{fits}");
    }
    for wrong in [
        json!("client:app"),
        json!(1),
        json!(true),
        json!([]),
        json!({}),
        json!({ "sub": "" }),
        json!({ "sub": "client:" }),
        json!({ "sub": "app" }),
        json!({ "sub": 1 }),
        json!({ "sub": ["client:app"] }),
        json!({ "sub": id }),
        json!({ "sub": id, "sid": id }),
        json!({ "sub": id, "epoch": 0 }),
        json!({ "sub": id, "sid": id, "epoch": "0" }),
        json!({ "sub": id, "sid": id, "epoch": 0.5 }),
        json!({ "sub": id, "sid": "x", "epoch": 0 }),
        json!({ "sub": "x", "sid": id, "epoch": 0 }),
        json!({ "sub": "client:app", "sid": id }),
        json!({ "sub": "client:app", "epoch": 0 }),
        json!({ "sub": "client:app", "sid": null }),
        json!({ "sub": "client:app", "act": { "sub": "client:other" } }),
        json!({ "sub": "client:app", "iss": "elsewhere" }),
    ] {
        assert_eq!(verdict(json!({ "act": wrong })), Some(Refused::Invalid), "{wrong}");
    }
    let mut null = good.clone();
    null["act"] = Value::Null;
    assert_eq!(auth.verify_now(&signed(&header(), &null), "identity").err(), Some(Refused::Invalid));
    assert_eq!(verdict(json!({ "amr": ["pwd", "otp"] })), None);
    for wrong in [json!("pwd"), json!([1]), json!({}), json!(1), json!([["pwd"]]), json!([null]), json!(true)] {
        assert_eq!(verdict(json!({ "amr": wrong })), Some(Refused::Invalid), "{wrong}");
    }
}

/// Who acts for somebody is checked as well as whom they act for.
#[test]
fn x4_what_ends_the_session_of_who_acts_ends_the_token() {
    let id = |number: u8| Id::from_bytes([number; 16]);
    let (admin, session) = (id(7), id(8));
    let act = json!({ "act": { "sub": admin.to_string(), "sid": session.to_string(), "epoch": 3 } });
    for (target, refused) in [
        (Target::Session(session), Some(Refused::Revoked)),
        (Target::Account { id: admin, epoch: 4 }, Some(Refused::Revoked)),
        (Target::Account { id: admin, epoch: 3 }, None),
        (Target::Session(id(9)), None),
    ] {
        let (auth, good) = verifier();
        let token = signed(&header(), &changed(&good, act.clone()));
        auth.verify_now(&token, "identity").unwrap();
        let expire = Clock::System.now() + chrono::TimeDelta::hours(1);
        auth.revocations().apply(&[Revocation { target: target.clone(), expire }]);
        assert_eq!(auth.verify_now(&token, "identity").err(), refused, "{target:?}");
    }
}

fn header() -> Value {
    json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "k" })
}

/// Something that takes tokens of our own key, and the claims of one that it takes.
fn verifier() -> (Auth, Value) {
    let clock = Clock::System;
    let auth = Auth::new(clock.clone(), b"secret");
    auth.set_keys(&[PublicKey { kid: "k".to_owned(), x: public_key() }]);
    auth.revocations().set_complete();
    let now = unix_seconds(clock.now());
    let id = "01890000-0000-7000-8000-000000000000";
    let good = json!({
        "iss": "quartet", "aud": "quartet", "sub": id, "sid": id, "roles": ["user"], "epoch": 1,
        "iat": now, "nbf": now, "exp": now + 600, "jti": "one", "amr": ["pwd"],
    });
    (auth, good)
}

/// A key that is withdrawn takes along what it has signed, also a token that was verified before and is remembered.
#[test]
fn s28_a_withdrawn_key_takes_remembered_tokens_along() {
    let (auth, good) = verifier();
    let token = signed(&header(), &changed(&good, json!({ "exp": 9_999_999_999u64 })));
    assert!(auth.verify_now(&token, "catalogue").is_ok());
    auth.set_keys(&[PublicKey { kid: "next".to_owned(), x: [7; 32] }]);
    assert_eq!(auth.verify_now(&token, "catalogue").err(), Some(Refused::Stale));
}
