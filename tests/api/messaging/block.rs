//! S-34: who is blocked reaches nobody who has blocked them, from the answer on.

use futures_util::future::join_all;
use quartet_proto::messaging::v1::subscribe_response::Event;

use super::contact::call;
use super::listener::Listener;
use super::meet::{direct, get, group, known, named, said, start, starting};
use super::participant::{add, leave, remove};
use super::talk::{say, send, text};
use crate::harness::prelude::*;
use crate::harness::rounds;
use crate::identity::erasure::{completed, delete, removed};

const UNREACHABLE: (Code, &str) = (Code::FailedPrecondition, "PERSON_UNREACHABLE");
const BLOCKED: (Code, &str) = (Code::FailedPrecondition, "ACCOUNT_BLOCKED");

pub async fn block(world: &World, person: &Person, other: &Person) -> Result<(), Refusal> {
    let asked = BlockAccountRequest { account_id: other.account_id.clone() };
    person.conversations(world).block_account(asked).await.map(drop).map_err(Refusal::from)
}

async fn unblock(world: &World, person: &Person, other: &Person) -> Result<(), Refusal> {
    let asked = UnblockAccountRequest { account_id: other.account_id.clone() };
    person.conversations(world).unblock_account(asked).await.map(drop).map_err(Refusal::from)
}

/// Whom somebody has blocked, the last one first.
pub async fn blocked(world: &World, person: &Person) -> Vec<String> {
    let asked = ListBlockedAccountsRequest::default();
    let list = person.conversations(world).list_blocked_accounts(asked).await.expect("no list").into_inner();
    list.accounts.into_iter().map(|one| one.account_id).collect()
}

async fn start_with(world: &World, person: &Person, other: &Person) -> Result<Conversation, Refusal> {
    let asked = starting(ConversationKind::Direct, "", vec![named(other)]);
    start(world, person, asked).await.map_err(Refusal::from)
}

#[tokio::test]
async fn g1_s34_who_is_blocked_neither_begins_nor_writes_nor_adds() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    known(&world, &ada, &eve).await;
    let place = group(&world, &bob, "Without her", &[&eve]).await.conversation_id;
    let both = group(&world, &eve, "All", &[&ada, &bob]).await.conversation_id;
    let id = direct(&world, &ada, &bob).await.conversation_id;
    let first = say(&world, &bob, &id, "Hello").await;
    for _ in 0..2 {
        block(&world, &ada, &bob).await.unwrap();
    }
    assert_eq!(blocked(&world, &ada).await, [bob.account_id.as_str()]);
    assert!(get(&world, &ada, &id).await.unwrap().blocked && !get(&world, &bob, &id).await.unwrap().blocked);

    assert_eq!(refusal(send(&world, &bob, text(&id, "Why?")).await).is(), UNREACHABLE);
    let edited = EditMessageRequest {
        conversation_id: id.clone(),
        seq: first.seq,
        body: "Why?".to_owned(),
        ..Default::default()
    };
    assert_eq!(refusal(bob.messages(&world).edit_message(edited).await).is(), UNREACHABLE);
    let reaction = SetReactionRequest {
        conversation_id: id.clone(),
        seq: first.seq,
        emoji: "wow".to_owned(),
        present: true,
        ..Default::default()
    };
    assert_eq!(refusal(bob.messages(&world).set_reaction(reaction).await).is(), UNREACHABLE);
    assert_eq!(refusal(send(&world, &ada, text(&id, "So")).await).is(), BLOCKED);
    let asked = starting(ConversationKind::Group, "", vec![named(&eve), named(&ada)]);
    for refused in [
        start_with(&world, &bob, &ada).await.unwrap_err(),
        refusal(start(&world, &bob, asked).await),
        add(&world, &bob, &place, &[&eve, &ada]).await.unwrap_err(),
    ] {
        assert_eq!(refused.is(), UNREACHABLE);
        assert_eq!(refused.metadata["persons"], ada.account_id);
    }
    let refused = start_with(&world, &ada, &bob).await.unwrap_err();
    assert_eq!((refused.is(), refused.metadata["persons"].as_str()), (BLOCKED, bob.account_id.as_str()));
    assert_eq!(get(&world, &bob, &place).await.unwrap().last_change, 0, "nothing is half done");
    assert_eq!(said(&world, &ada, &id).await.len(), 1);
    say(&world, &bob, &both, "Groups go on").await;
    say(&world, &eve, &place, "So do others").await;
    let taken_back = DeleteMessageRequest { conversation_id: id.clone(), seq: first.seq };
    bob.messages(&world).delete_message(taken_back).await.expect("what one has said can be taken back");

    for _ in 0..2 {
        unblock(&world, &ada, &bob).await.unwrap();
    }
    assert_eq!(blocked(&world, &ada).await, [""; 0]);
    say(&world, &bob, &id, "Thanks").await;
    say(&world, &ada, &id, "Well").await;
    assert_eq!(add(&world, &bob, &place, &[&ada]).await.unwrap().1, 1);
    assert_eq!(start_with(&world, &bob, &ada).await.unwrap().conversation_id, id);
}

#[tokio::test]
async fn g11_who_takes_part_already_keeps_nobody_out_by_a_block() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    let dan = world.sign_up("dan").await;
    known(&world, &eve, &ada).await;
    known(&world, &dan, &ada).await;
    let id = group(&world, &ada, "Holiday", &[&bob]).await.conversation_id;
    block(&world, &bob, &ada).await.unwrap();
    assert_eq!(add(&world, &ada, &id, &[&bob, &eve]).await.unwrap().1, 1, "he has blocked her, and stays as he is");
    block(&world, &ada, &eve).await.unwrap();
    assert_eq!(add(&world, &ada, &id, &[&eve, &dan]).await.unwrap().1, 1, "so does whom she has blocked");
    assert_eq!(get(&world, &bob, &id).await.unwrap().participant_count, 4);
    leave(&world, &dan, &id).await.unwrap();
    remove(&world, &ada, &id, &eve).await.unwrap();
    assert_eq!(add(&world, &ada, &id, &[&bob, &eve]).await.unwrap_err().is(), BLOCKED, "who has gone is somebody new");
}

#[tokio::test]
async fn g1_who_is_blocked_is_listed_and_may_be_somebody_with_whom_nothing_was_begun() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let mut others = Vec::new();
    for name in ["One", "Two", "Three"] {
        let other = world.sign_up("other").await;
        call(&world, &other, name, "Last").await;
        eventually("they are known", async || block(&world, &ada, &other).await.ok()).await;
        assert_eq!(start_with(&world, &other, &ada).await.unwrap_err().is(), UNREACHABLE);
        others.push(other);
    }
    let expected: Vec<&str> = others.iter().rev().map(|other| other.account_id.as_str()).collect();
    assert_eq!(blocked(&world, &ada).await, expected);
    let mut asked = ListBlockedAccountsRequest { page_size: 2, ..Default::default() };
    let mut paged = Vec::new();
    loop {
        let page = ada.conversations(&world).list_blocked_accounts(asked.clone()).await.unwrap().into_inner();
        paged.extend(page.accounts.into_iter().map(|one| one.account_id));
        asked.page_token = page.next_page_token;
        if asked.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, expected);
    eventually("names are known", async || {
        let asked = ListBlockedAccountsRequest::default();
        let list = ada.conversations(&world).list_blocked_accounts(asked).await.unwrap().into_inner().accounts;
        list.iter().map(|one| one.first_name.as_str()).eq(["Three", "Two", "One"]).then_some(())
    })
    .await;
    unblock(&world, &ada, &others[0]).await.unwrap();
    start_with(&world, &others[0], &ada).await.unwrap();
    assert_eq!(block(&world, &ada, &ada).await.unwrap_err().fields, ["account_id"]);
    for account_id in ["x".to_owned(), "0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60".to_owned()] {
        let asked = BlockAccountRequest { account_id: account_id.clone() };
        let refused = refusal(ada.conversations(&world).block_account(asked).await);
        assert_eq!((refused.reason.as_str(), &refused.metadata["persons"]), ("PERSON_NOT_FOUND", &account_id));
    }
    let wrong = ListBlockedAccountsRequest { page_size: -1, page_token: "x".to_owned() };
    let refused = refusal(ada.conversations(&world).list_blocked_accounts(wrong).await);
    assert_eq!(refused.fields, ["page_size", "page_token"]);
}

#[tokio::test]
async fn s34_nothing_comes_from_who_is_blocked_behind_the_answer() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await.conversation_id;
    for _ in 0..rounds(20, 200) {
        let sends = join_all((0..6).map(|_| send(&world, &bob, text(&id, "Hello"))));
        let shut = async {
            block(&world, &ada, &bob).await.unwrap();
            get(&world, &ada, &id).await.unwrap().last_seq
        };
        let (sent, last_seq) = tokio::join!(sends, shut);
        for refused in sent.into_iter().filter_map(Result::err).map(Refusal::from) {
            assert_eq!(refused.is(), UNREACHABLE);
        }
        assert_eq!(get(&world, &ada, &id).await.unwrap().last_seq, last_seq);
        unblock(&world, &ada, &bob).await.unwrap();
    }
}

#[tokio::test]
async fn s34_two_who_block_each_other_at_once_both_do() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    direct(&world, &ada, &bob).await;
    for _ in 0..rounds(10, 100) {
        let (one, other) = tokio::join!(block(&world, &ada, &bob), block(&world, &bob, &ada));
        one.unwrap();
        other.unwrap();
        assert_eq!(start_with(&world, &ada, &bob).await.unwrap_err().is(), BLOCKED);
        let (one, other) = tokio::join!(unblock(&world, &ada, &bob), unblock(&world, &bob, &ada));
        one.unwrap();
        other.unwrap();
        start_with(&world, &bob, &ada).await.unwrap();
    }
}

#[tokio::test]
async fn s34_nothing_begins_with_who_has_blocked_behind_the_answer() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let place = group(&world, &bob, "First", &[&ada]).await.conversation_id;
    let count = async || {
        let asked = ListConversationsRequest { page_size: 100, ..Default::default() };
        ada.conversations(&world).list_conversations(asked).await.unwrap().into_inner().conversations.len()
    };
    for round in 0..rounds(10, 50) {
        let one = |_| start(&world, &bob, starting(ConversationKind::Group, "Next", vec![named(&ada)]));
        let begins = async { tokio::join!(join_all((0..4).map(one)), start_with(&world, &bob, &ada)) };
        let shut = async {
            block(&world, &ada, &bob).await.unwrap();
            count().await
        };
        let (_, before) = tokio::join!(begins, shut);
        assert_eq!(count().await, before, "round {round}");
        let all = ListConversationsRequest { page_size: 100, ..Default::default() };
        for made in ada.conversations(&world).list_conversations(all).await.unwrap().into_inner().conversations {
            if made.kind() == ConversationKind::Direct {
                assert!(made.blocked, "{made:?}");
            } else if made.conversation_id != place {
                leave(&world, &ada, &made.conversation_id).await.unwrap();
            }
        }
        unblock(&world, &ada, &bob).await.unwrap();
    }
}

/// Whether somebody has heard that the other is there, or no longer.
async fn presence(listener: &mut Listener, person: &Person, online: bool) {
    let told = |event: &Event| matches!(event, Event::Presence(told) if told.account_id == person.account_id && told.online == online);
    if !listener.heard.iter().rev().find(|event| matches!(event, Event::Presence(_))).is_some_and(told) {
        listener.until("presence", |event| told(event).then_some(())).await;
    }
}

#[tokio::test]
async fn g4_s32_presence_is_told_where_both_have_written_and_none_has_blocked_the_other() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await.conversation_id;
    let both = group(&world, &ada, "Both", &[&bob]).await.conversation_id;
    let asked = SubscribeRequest { presence: true, typing: true, ..Default::default() };
    let mut hers = Listener::with(&world, &ada, asked.clone()).await;
    let mut his = Listener::with(&world, &bob, asked).await;
    say(&world, &bob, &id, "Hello").await;
    say(&world, &bob, &id, "Are you there?").await;
    hers.message("Are you there?").await;
    his.message("Are you there?").await;
    let is_presence = |event: &Event| matches!(event, Event::Presence(_));
    assert!(!hers.heard.iter().chain(&his.heard).any(is_presence), "she has not answered");
    say(&world, &ada, &id, "Yes").await;
    presence(&mut hers, &bob, true).await;
    presence(&mut his, &ada, true).await;

    block(&world, &ada, &bob).await.unwrap();
    presence(&mut hers, &bob, false).await;
    presence(&mut his, &ada, false).await;
    let heard = (hers.heard.len(), his.heard.len());
    for person in [&ada, &bob] {
        let asked = SetTypingRequest { conversation_id: id.clone(), typing: true };
        person.events(&world).set_typing(asked).await.expect("nobody is told that nobody is told");
        say(&world, person, &both, &format!("fence of {}", person.account_id)).await;
    }
    for listener in [&mut hers, &mut his] {
        listener.message(&format!("fence of {}", ada.account_id)).await;
    }
    hers.message(&format!("fence of {}", bob.account_id)).await;
    let typed =
        |event: &&Event| matches!(event, Event::Typing(told) if told.conversation_id == id) || is_presence(event);
    let after = hers.heard[heard.0..].iter().chain(&his.heard[heard.1..]);
    assert_eq!(after.filter(typed).count(), 0);
    unblock(&world, &ada, &bob).await.unwrap();
    presence(&mut hers, &bob, true).await;
    presence(&mut his, &ada, true).await;
}

#[tokio::test]
async fn g4_who_blocks_again_whom_they_have_blocked_is_told_nothing_of_it_and_nobody_else_is() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await.conversation_id;
    let both = group(&world, &ada, "Both", &[&bob]).await.conversation_id;
    let (mut hers, mut his) = (Listener::of(&world, &ada).await, Listener::of(&world, &bob).await);
    for blocks in [true, false] {
        let say_so = async || match blocks {
            true => block(&world, &ada, &bob).await.unwrap(),
            false => unblock(&world, &ada, &bob).await.unwrap(),
        };
        say_so().await;
        let is_told = |event: &Event| match event {
            Event::Conversation(told) => (told.conversation_id == id && told.blocked == blocks).then_some(()),
            _ => None,
        };
        hers.until("it is so", is_told).await;
        let before = (hers.heard.len(), his.heard.len());
        for _ in 0..20 {
            say_so().await;
        }
        let fence = say(&world, &ada, &both, &format!("fence {blocks}")).await.body;
        hers.message(&fence).await;
        his.message(&fence).await;
        // Of the first time both may hear once or twice more: by what tells and by what compares.
        let told = |event: &&Event| matches!(event, Event::Conversation(told) if told.conversation_id == id);
        let heard = hers.heard[before.0..].iter().chain(&his.heard[before.1..]);
        assert!(heard.filter(told).count() < 8, "{:?} {:?}", hers.heard, his.heard);
    }
}

#[tokio::test]
async fn i16_whom_an_erased_account_has_blocked_named_and_left_is_forgotten() {
    let world = World::own().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = group(&world, &ada, "Holiday", &[&bob]).await.conversation_id;
    let by_address = starting(ConversationKind::Direct, "", vec![super::meet::addressed(&bob.email)]);
    let two = start(&world, &ada, by_address).await.unwrap().conversation_id;
    leave(&world, &bob, &id).await.unwrap();
    block(&world, &ada, &bob).await.unwrap();
    block(&world, &bob, &ada).await.unwrap();
    let told = completed(&world, &delete(&world, &bob).await).await;
    let counts = ["block", "departure", "address"].map(|kind| removed(&told, "messaging", kind));
    assert_eq!(counts, [2, 1, 1], "{told:?}");
    assert_eq!(world.stored().await.traces(&bob.email, &bob.account_id), [""; 0]);
    assert_eq!(blocked(&world, &ada).await, [""; 0]);
    assert!(!get(&world, &ada, &two).await.unwrap().blocked);
    let refused = refusal(send(&world, &ada, text(&two, "Are you there?")).await);
    assert_eq!(refused.is(), (Code::FailedPrecondition, "PEER_GONE"));
}
