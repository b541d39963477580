//! S-49: what is no message is counted, too, and what it costs the others is little.

use quartet_proto::messaging::v1::change::What;

use super::listener::{Listener, positions};
use super::participant::{add, leave, remove};
use super::talk::{direct, get, group, say, send, text};
use crate::harness::prelude::*;

async fn react(world: &World, person: &Person, message: &Message, present: bool) -> Result<(), Refusal> {
    let (conversation_id, seq, emoji) = (message.conversation_id.clone(), message.seq, "👍".to_owned());
    let asked = SetReactionRequest { conversation_id, seq, emoji, present, ..Default::default() };
    person.messages(world).set_reaction(asked).await.map(drop).map_err(Refusal::from)
}

async fn edit(world: &World, person: &Person, message: &Message) -> Result<(), Refusal> {
    let (conversation_id, seq, body) = (message.conversation_id.clone(), message.seq, message.body.clone());
    let asked = EditMessageRequest { conversation_id, seq, body, ..Default::default() };
    person.messages(world).edit_message(asked).await.map(drop).map_err(Refusal::from)
}

async fn delete(world: &World, person: &Person, id: &str, seq: i64) -> Result<(), Refusal> {
    let asked = DeleteMessageRequest { conversation_id: id.to_owned(), seq };
    person.messages(world).delete_message(asked).await.map(drop).map_err(Refusal::from)
}

async fn rename(world: &World, person: &Person, id: &str, name: &str) -> Result<(), Refusal> {
    let name = Conversation { conversation_id: id.to_owned(), name: name.to_owned(), ..Default::default() };
    let mask = prost_types::FieldMask { paths: vec!["name".to_owned()] };
    let asked = UpdateConversationRequest { conversation: Some(name), update_mask: Some(mask) };
    person.conversations(world).update_conversation(asked).await.map(drop).map_err(Refusal::from)
}

async fn set_role(world: &World, person: &Person, id: &str, of: &Person) -> Result<(), Refusal> {
    let (conversation_id, account_id, role) = (id.to_owned(), of.account_id.clone(), ParticipantRole::Member.into());
    let asked = SetParticipantRoleRequest { conversation_id, account_id, role };
    person.participants(world).set_participant_role(asked).await.map(drop).map_err(Refusal::from)
}

/// Does something that changes nothing until it is enough: the next time comes only after a minute.
async fn enough(what: &str, mut again: impl AsyncFnMut() -> Result<(), Refusal>) {
    eventually(what, async || {
        let refused = again().await.err().filter(|refused| refused.reason == "RATE_LIMITED")?;
        assert_eq!(refused.code, Code::ResourceExhausted);
        Some(())
    })
    .await;
}

#[tokio::test]
async fn s49_what_is_no_message_is_counted_all_together() {
    let world = World::with(&["--messaging-acts-per-minute", "1"]).await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    let (id, pair) = (group(&world, &ada, &[&bob]).await, direct(&world, &ada, &bob).await);
    let sent = say(&world, &ada, &id, "News").await;
    enough("reactions", async || react(&world, &ada, &sent, true).await).await;
    enough("edits", async || edit(&world, &ada, &sent).await).await;
    enough("deletions", async || delete(&world, &ada, &id, 99).await).await;
    enough("names", async || rename(&world, &ada, &id, "Group").await).await;
    enough("roles", async || set_role(&world, &ada, &id, &bob).await).await;
    enough("removals", async || remove(&world, &ada, &id, &eve).await).await;
    enough("leaving", async || leave(&world, &ada, &pair).await).await;
    say(&world, &ada, &id, "Messages are counted apart").await;
    react(&world, &bob, &sent, true).await.expect("the neighbour has done nothing");
}

#[tokio::test]
async fn s49_searches_are_counted() {
    let world = World::with(&["--messaging-searches-per-minute", "1"]).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let search = async |person: &Person| {
        let asked = SearchMessagesRequest { query: "news".to_owned(), ..Default::default() };
        person.messages(&world).search_messages(asked).await.map(drop).map_err(Refusal::from)
    };
    enough("searches", async || search(&ada).await).await;
    search(&bob).await.expect("the neighbour has searched nothing");
}

#[tokio::test]
async fn g4_s49_of_a_reaction_nothing_is_told_but_the_reactions() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = group(&world, &ada, &[&bob]).await;
    let sent = say(&world, &ada, &id, &"long ".repeat(3000)).await;
    let mut hers = Listener::of(&world, &ada).await;
    react(&world, &bob, &sent, true).await.unwrap();
    let live = hers.change(&id, 2).await;
    let Some(What::Reacted(told)) = &live.what else { panic!("{live:?}") };
    let seen: Vec<_> =
        told.reactions.iter().map(|one| (one.emoji.as_str(), one.count, one.account_ids.as_slice())).collect();
    assert_eq!((told.seq, seen), (1, vec![("👍", 1, [bob.account_id.clone()].as_slice())]));
    let mut again = Listener::with(&world, &ada, positions(&[(&id, 1)])).await;
    assert_eq!(again.changes(&id), [live], "whoever comes back is told the same");
    react(&world, &bob, &sent, false).await.unwrap();
    let told = again.change(&id, 3).await;
    assert_eq!(told.what, Some(What::Reacted(quartet_proto::messaging::v1::Reacted { seq: 1, reactions: Vec::new() })));
    assert_eq!((told.account_id, hers.change(&id, 3).await.change_seq), (bob.account_id.clone(), 3));
}

#[tokio::test]
async fn s32_of_what_is_hidden_from_somebody_they_learn_the_number_alone() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    let id = group(&world, &ada, &[&bob]).await;
    let before = say(&world, &ada, &id, "Before her").await;
    eventually("Eve is known", async || add(&world, &ada, &id, &[&eve]).await.ok()).await;
    let mut hers = Listener::of(&world, &eve).await;
    react(&world, &bob, &before, true).await.unwrap();
    let live = hers.change(&id, 3).await;
    let blank = Change { conversation_id: id.clone(), change_seq: 3, ..Default::default() };
    assert_eq!(live, blank);
    assert_eq!(Listener::with(&world, &eve, positions(&[(&id, 2)])).await.changes(&id), [blank]);
}

#[tokio::test]
async fn s32_who_sends_again_what_is_hidden_from_them_learns_nothing_new() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = group(&world, &ada, &[&bob]).await;
    let asked = text(&id, "News");
    let sent = send(&world, &bob, asked.clone()).await.unwrap();
    remove(&world, &ada, &id, &bob).await.unwrap();
    react(&world, &ada, &sent, true).await.unwrap();
    add(&world, &ada, &id, &[&bob]).await.unwrap();
    assert_eq!(refusal(get(&world, &bob, &id, sent.seq).await).reason, "MESSAGE_NOT_FOUND");
    let again = send(&world, &bob, asked).await.unwrap();
    assert_eq!((again.message_id, again.body.as_str()), (sent.message_id, "News"));
    assert!(again.reactions.is_empty());
    assert_eq!(again.status, i32::from(MessageStatus::Sent));
}

#[tokio::test]
async fn g3_of_a_deleted_message_nothing_is_left_that_could_be_compared() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let asked = text(&id, "1234");
    let sent = send(&world, &ada, asked.clone()).await.unwrap();
    delete(&world, &ada, &id, sent.seq).await.unwrap();
    let same = send(&world, &ada, asked.clone()).await.unwrap();
    let other = send(&world, &ada, SendMessageRequest { body: "4321".to_owned(), ..asked }).await.unwrap();
    assert_eq!((&same.message_id, same.deleted, same.body.as_str()), (&sent.message_id, true, ""));
    assert_eq!(other, same, "nobody learns by that what it said");
}
