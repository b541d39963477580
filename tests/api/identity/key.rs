//! The keys that tokens are signed with.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::harness::prelude::*;
use crate::harness::{Clients, channel, wire};

fn header(token: &str) -> serde_json::Value {
    let text = token.split('.').next().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

async fn rotate(world: &World, more: &[&str]) {
    let command: Vec<String> = match world.fleet() {
        Some(fleet) => fleet.grounds.command("keys rotate", more),
        None => {
            let data = world.data().unwrap();
            let words = ["keys", "rotate", "--data", data.to_str().unwrap()];
            words.iter().chain(more).map(|word| (*word).to_owned()).collect()
        }
    };
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let output = world.quartet(&command).await;
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn x7_tokens_are_signed_with_a_published_key() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let header = header(&ada.access_token);
    assert_eq!((header["alg"].as_str(), header["typ"].as_str()), (Some("EdDSA"), Some("at+jwt")));
    let keys = world.keys().get_jwks(GetJwksRequest {}).await.unwrap().into_inner().keys;
    let key = keys.iter().find(|key| Some(key.kid.as_str()) == header["kid"].as_str()).expect("the key is published");
    let kind = (key.kty.as_str(), key.crv.as_str(), key.alg.as_str(), key.r#use.as_str());
    assert_eq!(kind, ("OKP", "Ed25519", "EdDSA", "sig"));

    let (signed, signature) = ada.access_token.rsplit_once('.').unwrap();
    let public = aws_lc_rs::signature::UnparsedPublicKey::new(
        &aws_lc_rs::signature::ED25519,
        URL_SAFE_NO_PAD.decode(&key.x).unwrap(),
    );
    public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).expect("anybody can verify it");
}

#[tokio::test]
async fn x7_the_same_keys_lie_at_the_well_known_address() {
    let world = World::shared().await;
    let answer = wire::send(world.gateway(), "GET", "/.well-known/jwks.json", &[], b"").await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("application/"));
    let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let keys = world.keys().get_jwks(GetJwksRequest {}).await.unwrap().into_inner().keys;
    let listed: Vec<_> = document["keys"].as_array().unwrap().iter().map(|key| key["x"].as_str().unwrap()).collect();
    assert_eq!(listed, keys.iter().map(|key| key.x.as_str()).collect::<Vec<_>>());
    assert!(document["keys"].as_array().unwrap().iter().all(|key| key.get("d").is_none()), "public halves only");
}

#[tokio::test]
async fn x7_a_new_key_signs_after_everybody_can_know_it_and_old_tokens_stay_good() {
    let world = World::own().await;
    let mut ada = world.sign_up("ada").await;
    let first = header(&ada.access_token)["kid"].clone();
    rotate(&world, &[]).await;
    eventually("both keys are published", async || {
        let keys = world.keys().get_jwks(GetJwksRequest {}).await.unwrap().into_inner().keys;
        (keys.len() == 2).then_some(())
    })
    .await;
    // The clock is about to run ahead of the time that each instance and its readers have to hear of the new key.
    for port in world.direct("identity") {
        eventually("each instance has both keys", async || {
            let keys = Clients::new(channel(port), None).keys().get_jwks(GetJwksRequest {}).await.ok()?;
            (keys.into_inner().keys.len() == 2).then_some(())
        })
        .await;
    }
    let mut moved = 0;
    let newer = loop {
        world.move_clock(Duration::from_secs(60)).await;
        let old = ada.clone();
        ada.renewed(world.try_refresh(&ada.refresh_token).await.unwrap());
        // Who is shown a token of a key that is new to them waits a moment for it, by a time that nobody moves.
        let me = eventually("the key is known", async || {
            let me = ada.accounts(&world).get_me(GetMeRequest {}).await;
            let is_early = me.as_ref().is_err_and(|status| Refusal::from(status.clone()).reason == "TOKEN_INVALID");
            (!is_early).then_some(me)
        });
        me.await.unwrap();
        old.accounts(&world).get_me(GetMeRequest {}).await.expect("tokens of the earlier key stay good");
        let kid = header(&ada.access_token)["kid"].clone();
        if kid != first {
            break kid;
        }
        moved += 1;
        assert!(moved < 60, "the new key never signs");
    };
    world.move_clock(Duration::from_secs(24 * 3600)).await;
    eventually("the earlier key is withdrawn", async || {
        let keys = world.keys().get_jwks(GetJwksRequest {}).await.unwrap().into_inner().keys;
        (keys.iter().all(|key| Some(key.kid.as_str()) != first.as_str())).then_some(())
    })
    .await;
    let again = world.try_refresh(&ada.refresh_token).await.unwrap();
    assert_eq!(header(&again.access_token)["kid"], newer);
}

#[tokio::test]
async fn x7_in_an_emergency_the_tokens_of_the_earlier_key_are_refused() {
    let world = World::own().await;
    let ada = world.sign_up("ada").await;
    rotate(&world, &["--withdraw-now"]).await;
    eventually("the token is refused", async || {
        let refused = Refusal::from(ada.accounts(&world).get_me(GetMeRequest {}).await.err()?);
        (refused.code == Code::Unauthenticated).then_some(())
    })
    .await;
    // An instance that has not heard of it yet still signs with the key: that is refused as well, and refreshed again.
    let mut refresh_token = ada.refresh_token.clone();
    eventually("a refresh goes on", async || {
        let renewed = world.try_refresh(&refresh_token).await.ok()?;
        refresh_token = renewed.refresh_token;
        world.as_token(&renewed.access_token).accounts().get_me(GetMeRequest {}).await.ok()
    })
    .await;
}
