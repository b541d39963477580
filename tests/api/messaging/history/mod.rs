//! F-20: people talk and listen while instances are killed, Redis forgets and lines are cut; then the books are compared.
//!
//! What happens by chance comes from a seed, which is printed; `QUARTET_TEST_SEED` names one that is to be played again. With
//! `QUARTET_TEST_LONG` it is more than 200,000 messages, or as many steps by each writer as `QUARTET_TEST_STEPS` says.

mod ask;
mod dice;
mod listener;
mod nemesis;
mod pass;
mod writer;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};

use self::ask::answered;
use self::dice::{Dice, seed};
use self::listener::{Listener, Mark, Truth, digest};
use self::nemesis::{Act, Nemesis};
use self::pass::Pass;
use self::writer::{Book, Writer};
use super::talk::{direct, group};
use crate::harness::prelude::*;
use crate::harness::{Clients, Fleet, OwnPostgres, is_long};

/// Who talks; each has two programs that listen.
const NAMES: [&str; 4] = ["ada", "bob", "carl", "dora"];

/// How many steps each writer makes. A little more than half of them send.
fn steps() -> usize {
    let named = std::env::var("QUARTET_TEST_STEPS").ok().and_then(|text| text.parse().ok());
    named.unwrap_or(if is_long() { 95_000 } else { 100 })
}

/// What is done to the installation, in this order.
fn acts(world: &World, dice: &mut Dice) -> Vec<Act> {
    let all = match (world.is_fleet(), is_long()) {
        (false, false) => return vec![Act::Kill],
        (true, false) => return vec![Act::Kill, Act::Empty, Act::Kill],
        (false, true) => vec![Act::Kill],
        (true, true) => vec![Act::Kill, Act::Kill, Act::Empty, Act::Silence, Act::Restart],
    };
    (0..40).map(|_| all[dice.place(all.len())]).collect()
}

async fn world() -> (World, Option<OwnPostgres>) {
    if is_long() && World::shared().await.is_fleet() {
        let postgres = OwnPostgres::start().await;
        return (World::from_fleet(Fleet::start_on(postgres.server.clone(), &[]).await), Some(postgres));
    }
    (World::apart(&[]).await, None)
}

/// All messages that somebody sees, from the first on.
async fn all(clients: &Clients, conversation_id: &str) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    loop {
        let asked = ListMessagesRequest {
            conversation_id: conversation_id.to_owned(),
            after_seq: messages.last().map_or(0, |message| message.seq),
            page_size: 100,
            ..Default::default()
        };
        // From the first one on there is no `after_seq` to name.
        let asked = if asked.after_seq == 0 { ListMessagesRequest { before_seq: 2, ..asked } } else { asked };
        let page = answered(async || clients.messages().list_messages(asked.clone()).await).await.expect("no list");
        let is_last = page.messages.is_empty() || (asked.after_seq > 0 && !page.has_more);
        messages.extend(page.messages);
        if is_last {
            return messages;
        }
    }
}

async fn marks(clients: &Clients, conversation_id: &str) -> HashMap<String, Mark> {
    let asked =
        ListParticipantsRequest { conversation_id: conversation_id.to_owned(), page_size: 100, ..Default::default() };
    let list = async || clients.participants().list_participants(asked.clone()).await;
    let participants = answered(list).await.expect("no list").participants;
    participants.into_iter().map(|who| (who.account_id, (who.delivered_seq, who.read_seq))).collect()
}

/// What a conversation came to, as somebody sees it.
async fn truth(clients: &Clients, conversation_id: &str) -> Truth {
    let asked = GetConversationRequest { conversation_id: conversation_id.to_owned() };
    let get = async || clients.conversations().get_conversation(asked.clone()).await;
    let conversation = answered(get).await.expect("no conversation").conversation.unwrap();
    let messages = all(clients, conversation_id).await;
    let numbers = messages.iter().map(|message| message.seq);
    assert!(numbers.eq(1..=conversation.last_seq), "messages are dense and in order, up to {}", conversation.last_seq);
    assert_eq!(conversation.unread_count, 0, "everybody has read everything");
    let messages = messages.iter().map(digest).collect();
    Truth { last_change: conversation.last_change, messages, marks: marks(clients, conversation_id).await }
}

/// Compares somebody's book with what they see: all of it is there, once, as it was last acknowledged, and nothing else is.
async fn compare(writer: &Writer) {
    let account_id = &writer.pass.account_id;
    for (place, id) in writer.conversations.iter().enumerate() {
        let messages = all(writer.pass.clients(), id).await;
        let own = messages.iter().filter(|message| message.sender_account_id == *account_id);
        let found: Vec<_> = own.map(|found| (found.seq, &found.message_id, found.deleted, &found.body)).collect();
        let sent = writer.book.sent.iter().filter(|sent| sent.place == place);
        let nothing = String::new();
        let body = |deleted, body| if deleted { &nothing } else { body };
        let sent: Vec<_> =
            sent.map(|sent| (sent.seq, &sent.message_id, sent.deleted, body(sent.deleted, &sent.body))).collect();
        assert_eq!(found, sent, "{} in {id}", writer.name);
        for sent in writer.book.sent.iter().filter(|sent| sent.place == place && !sent.deleted) {
            let message = &messages[sent.seq as usize - 1];
            assert_eq!(message.client_message_id, sent.client_message_id);
            assert_eq!(message.status(), MessageStatus::Read, "everybody has read everything: {message:?}");
        }
        for (_, seq) in writer.book.reactions.range((place, 0)..(place + 1, 0)) {
            let message = &messages[*seq as usize - 1];
            let has = message.reactions.iter().any(|reaction| reaction.account_ids.iter().any(|id| id == account_id));
            assert!(has || message.deleted, "a reaction is missing: {message:?}");
        }
    }
}

#[tokio::test]
async fn f20_whatever_breaks_what_was_said_is_there_once_and_in_one_order_for_all() {
    let seed = seed();
    eprintln!("QUARTET_TEST_SEED={seed}");
    LocalSet::new().run_until(play(seed)).await;
}

async fn play(seed: u64) {
    let (mut world, postgres) = world().await;
    let mut people = Vec::new();
    for name in NAMES {
        people.push(world.sign_up_at_last(name).await);
    }
    let others: Vec<&Person> = people[1..].iter().collect();
    // All take part in the groups; the direct one the first two have to themselves.
    let mut groups = Vec::new();
    for _ in 0..2 {
        groups.push(group(&world, &people[0], &others).await);
    }
    let pair = [groups.clone(), vec![direct(&world, &people[0], &people[1]).await]].concat();
    let (groups, pair) = (Arc::new(groups), Arc::new(pair));

    let (tell, told) = watch::channel(None);
    let progress = Arc::new(AtomicU64::new(0));
    let (mut writers, mut listeners) = (Vec::new(), Vec::new());
    for (number, person) in people.iter().enumerate() {
        let conversations = if number < 2 { pair.clone() } else { groups.clone() };
        for device in 0..2 {
            let (pass, conversations, truth) =
                (Pass::new(world.gateway(), person), conversations.clone(), told.clone());
            let dice = Dice::of(seed, 100 + (2 * number + device) as u64);
            let listener = Listener { pass, conversations, dice, copies: Vec::new(), truth, streams: 0 };
            listeners.push(spawn_local(listener.listen()));
        }
        let pass = Pass::new(world.gateway(), person);
        let (dice, progress) = (Dice::of(seed, number as u64), progress.clone());
        let (name, book) = (NAMES[number].to_owned(), Book::default());
        let writer = Writer { name, pass, conversations, dice, steps: steps(), progress, book };
        writers.push(spawn_local(writer.write()));
    }
    let mut dice = Dice::of(seed, 1000);
    let acts = acts(&world, &mut dice);
    let steps = (NAMES.len() * steps()) as u64;
    // It has the database, which must be there until the end.
    let mut nemesis = Nemesis { dice, postgres, progress: &progress, steps };
    nemesis.act(&mut world, &acts).await;

    let mut done = Vec::new();
    for writer in writers {
        done.push(writer.await.expect("a writer has failed"));
    }
    let truths = Arc::new(settled(&mut done).await);
    tell.send(Some(truths.clone())).unwrap();
    let mut heard = Vec::new();
    for listener in listeners {
        heard.push(listener.await.expect("a listener has failed"));
    }
    for (place, truth) in truths.iter().enumerate() {
        let copies = heard.iter().filter_map(|listener| listener.copies.get(place));
        let copies: Vec<_> = copies.collect();
        assert!(copies.iter().all(|copy| copy.messages == truth.messages), "a copy differs from what is there");
        assert!(copies.windows(2).all(|pair| pair[0].changes == pair[1].changes), "one order for all");
    }
    let messages: usize = truths.iter().map(|truth| truth.messages.len()).sum();
    let streams: usize = heard.iter().map(|listener| listener.streams).sum();
    eprintln!("{messages} messages, {streams} streams, {acts:?}");
    assert!(messages as u64 > steps / 4, "{messages}");
}

/// All read to the end; then it is looked at what everything came to, by each of them.
async fn settled(writers: &mut [Writer]) -> Vec<Truth> {
    for writer in writers.iter_mut() {
        for place in 0..writer.conversations.len() {
            writer.read_up_to(place, 0).await;
        }
    }
    for writer in writers.iter() {
        compare(writer).await;
    }
    let mut truths = Vec::new();
    for id in writers[0].conversations.iter() {
        truths.push(truth(writers[0].pass.clients(), id).await);
    }
    truths
}
