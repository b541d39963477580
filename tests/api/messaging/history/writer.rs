//! Who writes, and keeps a book of all that was acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ask::answered;
use super::dice::Dice;
use super::pass::Pass;
use crate::harness::prelude::*;

/// A message that was acknowledged.
pub struct Sent {
    /// The place of its conversation.
    pub place: usize,
    pub seq: i64,
    pub message_id: String,
    pub client_message_id: String,
    /// What it says after the last acknowledged edit.
    pub body: String,
    pub deleted: bool,
    etag: String,
}

/// All that was acknowledged.
#[derive(Default)]
pub struct Book {
    pub sent: Vec<Sent>,
    /// Up to where they have read, by conversation.
    pub read: Vec<i64>,
    /// The messages that they have reacted to.
    pub reactions: BTreeSet<(usize, i64)>,
}

/// Somebody who writes.
pub struct Writer {
    pub name: String,
    pub pass: Pass,
    pub conversations: Arc<Vec<String>>,
    pub dice: Dice,
    pub steps: usize,
    /// How many steps all writers have made.
    pub progress: Arc<AtomicU64>,
    pub book: Book,
}

impl Writer {
    pub async fn write(mut self) -> Writer {
        self.book.read = vec![0; self.conversations.len()];
        for _ in 0..self.steps {
            self.pass.renew().await;
            match self.dice.below(20) {
                0..=10 => self.send().await,
                11 | 12 => self.edit().await,
                13 => self.delete().await,
                14 => self.react().await,
                15..=17 => self.read().await,
                _ => self.list().await,
            }
            self.progress.fetch_add(1, Ordering::Relaxed);
        }
        self
    }

    async fn send(&mut self) {
        let place = self.dice.place(self.conversations.len());
        let number = self.book.sent.len();
        let asked = SendMessageRequest {
            conversation_id: self.conversations[place].clone(),
            body: format!("{} says {number}", self.name),
            client_message_id: format!("{} {number}", self.name),
            ..Default::default()
        };
        if self.dice.one_in(6) {
            // Somebody without patience, who lets go and sends it again.
            let limit = Duration::from_millis(self.dice.below(15));
            let _ = tokio::time::timeout(limit, self.pass.clients().messages().send_message(asked.clone())).await;
        }
        let send = async || self.pass.clients().messages().send_message(asked.clone()).await;
        let message = answered(send).await.expect("not sent").message.unwrap();
        if self.dice.one_in(6) {
            let again = answered(send).await.expect("not sent again").message.unwrap();
            assert_eq!((again.seq, &again.message_id), (message.seq, &message.message_id), "one message");
        }
        let before = self.book.sent.iter().rfind(|sent| sent.place == place).map_or(0, |sent| sent.seq);
        assert!(message.seq > before, "{}: {} behind {before}", self.name, message.seq);
        self.book.sent.push(Sent {
            place,
            seq: message.seq,
            message_id: message.message_id,
            client_message_id: asked.client_message_id,
            body: asked.body,
            deleted: false,
            etag: message.etag,
        });
    }

    /// One of their own messages that they have not deleted.
    fn own(&mut self) -> Option<usize> {
        let number = self.dice.place(self.book.sent.len().max(1));
        self.book.sent.get(number).filter(|sent| !sent.deleted).map(|_| number)
    }

    /// An edit that nobody has seen answered may come late. The etag keeps it from undoing a later one.
    async fn edit(&mut self) {
        let Some(number) = self.own() else { return };
        let body = format!("{} says {number} better: {}", self.name, self.dice.below(1000));
        loop {
            let sent = &self.book.sent[number];
            let asked = EditMessageRequest {
                conversation_id: self.conversations[sent.place].clone(),
                seq: sent.seq,
                body: body.clone(),
                etag: sent.etag.clone(),
                ..Default::default()
            };
            let edited = answered(async || self.pass.clients().messages().edit_message(asked.clone()).await).await;
            let message = match edited {
                Ok(answer) => answer.message.unwrap(),
                Err(refused) if refused.reason == "ETAG_STALE" => self.look(&asked.conversation_id, asked.seq).await,
                Err(refused) => panic!("{refused:?}"),
            };
            let is_done = message.body == body;
            self.book.sent[number].etag = message.etag;
            if is_done {
                self.book.sent[number].body = body;
                return;
            }
        }
    }

    async fn look(&self, conversation_id: &str, seq: i64) -> Message {
        let asked = GetMessageRequest { conversation_id: conversation_id.to_owned(), seq };
        let get = async || self.pass.clients().messages().get_message(asked.clone()).await;
        answered(get).await.expect("there is none").message.unwrap()
    }

    async fn delete(&mut self) {
        let Some(number) = self.own() else { return };
        let sent = &self.book.sent[number];
        let asked = DeleteMessageRequest { conversation_id: self.conversations[sent.place].clone(), seq: sent.seq };
        let deleted = answered(async || self.pass.clients().messages().delete_message(asked.clone()).await).await;
        assert!(deleted.expect("not deleted").message.unwrap().deleted);
        self.book.sent[number].deleted = true;
    }

    /// To any message that is known to be there, of whomever.
    async fn react(&mut self) {
        let place = self.dice.place(self.conversations.len());
        let known = self.book.sent.iter().rfind(|sent| sent.place == place).map_or(0, |sent| sent.seq);
        if known == 0 {
            return;
        }
        let seq = 1 + self.dice.below(known as u64) as i64;
        let asked = SetReactionRequest {
            conversation_id: self.conversations[place].clone(),
            seq,
            emoji: "👍".to_owned(),
            present: true,
            ..Default::default()
        };
        match answered(async || self.pass.clients().messages().set_reaction(asked.clone()).await).await {
            Ok(_) => drop(self.book.reactions.insert((place, seq))),
            Err(refused) => assert_eq!(refused.reason, "MESSAGE_DELETED", "{refused:?}"),
        }
    }

    async fn read(&mut self) {
        let place = self.dice.place(self.conversations.len());
        let up_to_seq =
            if self.dice.one_in(2) { 0 } else { self.dice.below(1 + self.book.read[place] as u64 * 2) as i64 };
        self.read_up_to(place, up_to_seq).await;
    }

    /// Reads up to a message; 0 stands for all.
    pub async fn read_up_to(&mut self, place: usize, up_to_seq: i64) {
        let asked = MarkReadRequest { conversation_id: self.conversations[place].clone(), up_to_seq };
        let marked =
            answered(async || self.pass.clients().receipts().mark_read(asked.clone()).await).await.expect("not read");
        let before = self.book.read[place];
        assert!(marked.read_seq >= before, "{}: read {} after {before}", self.name, marked.read_seq);
        assert!(marked.delivered_seq >= marked.read_seq, "{marked:?}");
        self.book.read[place] = marked.read_seq;
    }

    /// Looks at the newest messages: none is left out, and what was acknowledged is among them.
    async fn list(&mut self) {
        let place = self.dice.place(self.conversations.len());
        let asked = ListMessagesRequest { conversation_id: self.conversations[place].clone(), ..Default::default() };
        let listed = answered(async || self.pass.clients().messages().list_messages(asked.clone()).await)
            .await
            .expect("no list");
        let dense = listed.messages.windows(2).all(|pair| pair[0].seq == pair[1].seq + 1);
        assert!(dense, "{:?}", listed.messages.iter().map(|message| message.seq).collect::<Vec<_>>());
        let Some(oldest) = listed.messages.last().map(|message| message.seq) else { return };
        for sent in self.book.sent.iter().filter(|sent| sent.place == place && sent.seq >= oldest) {
            let found = listed.messages.iter().find(|message| message.seq == sent.seq).expect("a message is missing");
            assert_eq!(found.message_id, sent.message_id, "{}", sent.client_message_id);
        }
    }
}
