//! G13: who needs no push gets none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Semaphore;

use super::firebase::{Account, SEND, TOKEN, granted, told};
use super::server::{Asked, PushServer, Reply, reply};
use super::{as_time_goes, browser, devices, phone, register, until_taken, world};
use crate::harness::prelude::*;
use crate::messaging::block::block;
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
        let before = self.server.taken("/eve").len();
        say(&self.world, &self.ada, &self.id, what).await;
        until_taken(&self.server, "/eve", before + 1).await;
        self.bob_hears_another(what).await;
    }

    /// Says something elsewhere that bob hears of, and of nothing else.
    async fn bob_hears_another(&self, what: &str) {
        let before = self.server.taken("/bob").len();
        let other = direct(&self.world, &self.ada, &self.bob).await;
        say(&self.world, &self.ada, &other, "And you?").await;
        until_taken(&self.server, "/bob", before + 1).await;
        let (bobs, group) = self.topics();
        assert!(!bobs.contains(&group), "{what}: {bobs:?}");
    }

    /// The topics of what bob was pushed, and eve's: the group's.
    fn topics(&self) -> (Vec<String>, String) {
        let topic = |asked: &Asked| asked.header("topic").to_owned();
        (self.server.at("/bob").iter().map(topic).collect(), topic(&self.server.taken("/eve")[0]))
    }

    /// Bob looks at the conversation.
    async fn look(&self) -> Listener {
        self.look_at(&self.id).await
    }

    async fn look_at(&self, id: &str) -> Listener {
        Listener::looking(&self.world, &self.bob, id).await
    }

    /// Says something in the group that bob hears of.
    async fn bob_hears_the_group(&self) {
        let before = self.server.taken("/bob").len();
        say(&self.world, &self.ada, &self.id, "And you?").await;
        until_taken(&self.server, "/bob", before + 1).await;
        until_taken(&self.server, "/eve", 1).await;
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
    let _listener = party.look().await;
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
    // The first message is not taken, and not even answered before it has been read.
    let (held, is_open) = (Arc::new(Semaphore::new(0)), Arc::<AtomicBool>::default());
    let (holds, opens) = (held.clone(), is_open.clone());
    let server = PushServer::start(move |asked, _| match asked.path.as_str() {
        TOKEN => granted(),
        _ if told(asked).1 > 1 || opens.load(Ordering::SeqCst) => reply(200),
        _ => Reply { held: Some(holds.clone()), ..reply(503) },
    })
    .await;
    let world = Account::make(&server).world(&server).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    register(&world, &bob, phone("bobs-phone")).await;
    assert_eq!(say(&world, &ada, &id, "1").await.seq, 1);
    eventually("it was tried", async || (!server.at(SEND).is_empty()).then_some(())).await;
    read(&world, &bob, &id, 0).await;
    held.add_permits(Semaphore::MAX_PERMITS);
    say(&world, &ada, &id, "2").await;
    until_taken(&server, SEND, 1).await;
    is_open.store(true, Ordering::SeqCst);
    say(&world, &ada, &id, "3").await;
    eventually("the third is taken", async || server.taken(SEND).iter().any(|asked| told(asked).1 == 3).then_some(()))
        .await;
    assert!(server.taken(SEND).iter().all(|asked| told(asked).1 > 1), "the first is not sent any more");
    assert_eq!(devices(&world, &bob).await.len(), 1);
}

#[tokio::test]
async fn g13_who_looked_and_went_without_reading_gets_the_push_after_all() {
    let party = Party::begin().await;
    let listener = party.look().await;
    party.only_eve_hears("on the screen").await;
    // As long as he looks it waits, however often it is asked.
    party.world.move_clock(Duration::from_secs(20)).await;
    party.only_eve_hears("still on the screen").await;
    // The line is dead.
    drop(listener);
    as_time_goes(&party.world, "it is pushed after all", || {
        let (bobs, group) = party.topics();
        bobs.contains(&group)
    })
    .await;
}

#[tokio::test]
async fn g13_what_a_deleted_message_has_taken_the_place_of_is_pushed_after_all() {
    let party = Party::begin().await;
    let listener = party.look().await;
    party.only_eve_hears("the first").await;
    let second = say(&party.world, &party.ada, &party.id, "tpyo").await;
    // What waits for bob carries the second by then.
    until_taken(&party.server, "/eve", 2).await;
    let delete = DeleteMessageRequest { conversation_id: party.id.clone(), seq: second.seq };
    party.ada.messages(&party.world).delete_message(delete).await.unwrap();
    drop(listener);
    as_time_goes(&party.world, "the first is pushed", || {
        let (bobs, group) = party.topics();
        bobs.contains(&group)
    })
    .await;
}

#[tokio::test]
async fn g13_who_looks_and_reads_gets_no_push_later_either() {
    let party = Party::begin().await;
    let listener = party.look().await;
    party.only_eve_hears("on the screen").await;
    read(&party.world, &party.bob, &party.id, 0).await;
    drop(listener);
    for _ in 0..3 {
        party.world.move_clock(Duration::from_secs(30)).await;
        party.bob_hears_another("read").await;
    }
}

#[tokio::test]
async fn g13_s34_what_waits_is_not_pushed_to_who_has_blocked_its_sender_meanwhile() {
    let party = Party::begin().await;
    let two = direct(&party.world, &party.ada, &party.bob).await;
    let listener = party.look_at(&two).await;
    say(&party.world, &party.ada, &two, "Hello").await;
    party.bob_hears_the_group().await;
    block(&party.world, &party.bob, &party.ada).await.unwrap();
    drop(listener);
    for _ in 0..3 {
        party.world.move_clock(Duration::from_secs(30)).await;
        party.bob_hears_the_group().await;
        let (bobs, group) = party.topics();
        assert!(bobs.iter().all(|topic| *topic == group), "{bobs:?}");
    }
}
