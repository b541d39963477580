//! G13: who needs no push gets none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::server::{PushServer, reply};
use super::{browser, devices, register, until_taken, world};
use crate::harness::prelude::*;
use crate::messaging::listener::Listener;
use crate::messaging::talk::{direct, group, read, say};

/// Three who talk, and a push service that takes all.
struct Party {
    server: PushServer,
    world: World,
    ada: Person,
    bob: Person,
    id: String,
}

impl Party {
    /// Eve gets what bob might get: when she has it, he could have it, too.
    async fn begin() -> Party {
        let server = PushServer::start(|_, _| reply(201)).await;
        let world = world().await;
        let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
        let id = group(&world, &ada, &[&bob, &eve]).await;
        register(&world, &bob, browser(&server.url("/bob"))).await;
        register(&world, &eve, browser(&server.url("/eve"))).await;
        Party { server, world, ada, bob, id }
    }

    /// Says something that nobody but eve hears of, and then something of another kind that bob does, too: by then the first is decided.
    async fn only_eve_hears(&self, what: &str) {
        say(&self.world, &self.ada, &self.id, what).await;
        until_taken(&self.server, "/eve", 1).await;
        let other = direct(&self.world, &self.ada, &self.bob).await;
        say(&self.world, &self.ada, &other, "And you?").await;
        until_taken(&self.server, "/bob", 1).await;
        let topics: Vec<String> = self.server.at("/bob").iter().map(|asked| asked.header("topic").to_owned()).collect();
        let eves = self.server.taken("/eve")[0].header("topic").to_owned();
        assert!(!topics.contains(&eves), "{what}: {topics:?}");
    }
}

#[tokio::test]
async fn g13_who_has_muted_a_conversation_gets_no_push_of_it() {
    let party = Party::begin().await;
    let until = prost_types::Timestamp { seconds: 4_000_000_000, nanos: 0 };
    let asked = SetMutedRequest { conversation_id: party.id.clone(), muted_until: Some(until) };
    party.bob.conversations(&party.world).set_muted(asked).await.unwrap();
    party.only_eve_hears("muted").await;
}

#[tokio::test]
async fn g13_who_looks_at_a_conversation_gets_no_push_of_it() {
    let party = Party::begin().await;
    let listener = Listener::of(&party.world, &party.bob).await;
    let asked = SetFocusRequest { stream_id: listener.stream_id.clone(), conversation_id: party.id.clone() };
    party.bob.events(&party.world).set_focus(asked).await.unwrap();
    party.only_eve_hears("on the screen").await;
}

#[tokio::test]
async fn g13_a_session_that_has_ended_gets_no_push() {
    let party = Party::begin().await;
    party.bob.sessions(&party.world).sign_out(SignOutRequest {}).await.unwrap();
    let back = party.world.sign_in(&party.bob.email, PASSWORD).await;
    say(&party.world, &party.ada, &party.id, "Are you there?").await;
    until_taken(&party.server, "/eve", 1).await;
    eventually("the device is gone", async || devices(&party.world, &back).await.is_empty().then_some(())).await;
    assert!(party.server.at("/bob").is_empty());
}

#[tokio::test]
async fn s15_a_disabled_account_gets_no_push() {
    let party = Party::begin().await;
    let admin = party.world.admin().await;
    let asked = SetAccountStatusRequest {
        account_id: party.bob.account_id.clone(),
        state: AccountState::Suspended.into(),
        reason: "A trial".to_owned(),
    };
    admin.roles(&party.world).set_account_status(asked).await.unwrap();
    say(&party.world, &party.ada, &party.id, "Are you there?").await;
    until_taken(&party.server, "/eve", 1).await;
    say(&party.world, &party.ada, &party.id, "Bob?").await;
    until_taken(&party.server, "/eve", 2).await;
    assert!(party.server.at("/bob").is_empty());
}

#[tokio::test]
async fn g13_what_was_read_meanwhile_is_not_pushed_any_more() {
    // It takes nothing until what was sent has been read.
    let is_open = Arc::<AtomicBool>::default();
    let opens = is_open.clone();
    let server = PushServer::start(move |_, _| reply(if opens.load(Ordering::SeqCst) { 201 } else { 503 })).await;
    let world = world().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    register(&world, &bob, browser(&server.url("/bob"))).await;
    say(&world, &ada, &id, "1").await;
    eventually("it was tried", async || (!server.at("/bob").is_empty()).then_some(())).await;
    read(&world, &bob, &id, 0).await;
    is_open.store(true, Ordering::SeqCst);
    say(&world, &ada, &id, "2").await;
    until_taken(&server, "/bob", 1).await;
    say(&world, &ada, &id, "3").await;
    until_taken(&server, "/bob", 2).await;
    assert_eq!(server.taken("/bob").len(), 2, "the first is not sent any more");
    assert_eq!(devices(&world, &bob).await.len(), 1);
}
