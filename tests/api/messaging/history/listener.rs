//! Who listens, with a copy of each conversation as a client would keep it on a disk, and a line that is cut again and again.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;
use std::time::Instant;

use change::What;
use subscribe_response::Event;
use tokio::sync::watch;

use super::ask::is_passing;
use super::dice::Dice;
use super::pass::Pass;
use crate::harness::prelude::*;

/// Up to where something has reached somebody, and up to where they have read.
pub type Mark = (i64, i64);

/// What counts of a message: of itself, and of the reactions to it.
pub type Digest = (u64, u64);

/// What a conversation came to.
#[derive(Debug)]
pub struct Truth {
    pub last_change: i64,
    /// Its messages, from the first on.
    pub messages: Vec<Digest>,
    pub marks: HashMap<String, Mark>,
}

/// What a client has of a conversation.
#[derive(Default)]
pub struct Copy {
    /// Which change was which, from the first on.
    pub changes: Vec<u64>,
    /// The messages, from the first on.
    pub messages: Vec<Digest>,
    /// What was said of watermarks, …
    told: HashMap<String, Mark>,
    /// … and what is known of them: who sends has read.
    marks: HashMap<String, Mark>,
}

/// What counts of a message, whoever looks.
pub fn digest(message: &Message) -> Digest {
    let mut hasher = DefaultHasher::new();
    (&message.message_id, message.seq, &message.sender_account_id).hash(&mut hasher);
    (&message.body, message.deleted).hash(&mut hasher);
    (hasher.finish(), digest_of(&message.reactions))
}

fn digest_of(reactions: &[Reaction]) -> u64 {
    let mut hasher = DefaultHasher::new();
    let reactions: Vec<(&str, i32)> =
        reactions.iter().map(|reaction| (reaction.emoji.as_str(), reaction.count)).collect();
    reactions.hash(&mut hasher);
    hasher.finish()
}

fn higher(one: Mark, other: Mark) -> Mark {
    (one.0.max(other.0), one.1.max(other.1))
}

impl Copy {
    fn position(&self) -> i64 {
        self.changes.len() as i64
    }

    /// Applies a change, which must be the next one.
    fn change(&mut self, change: Change, me: &str) {
        assert_eq!(change.change_seq, self.position() + 1, "no gap, and none twice: {change:?}");
        let (kind, message) = match change.what.expect("there is nothing that anybody must not see") {
            What::Sent(message) => (1, message),
            What::Updated(message) => (2, message),
            What::Deleted(message) => (3, message),
            What::Reacted(reacted) => {
                self.messages[reacted.seq as usize - 1].1 = digest_of(&reacted.reactions);
                return self.note(&(4, reacted.seq, &change.account_id));
            }
            other => panic!("nobody did that: {other:?}"),
        };
        // What a program has called its message, it alone is told.
        assert_eq!(message.client_message_id.is_empty(), message.sender_account_id != me, "{message:?}");
        let digest = digest(&message);
        if kind == 1 {
            assert_eq!(message.seq, self.messages.len() as i64 + 1, "messages are dense and in order");
            self.messages.push(digest);
            self.know(&message.sender_account_id, (message.seq, message.seq));
        } else {
            self.messages[message.seq as usize - 1] = digest;
        }
        self.note(&(kind, message.seq, &message.message_id, &change.account_id));
    }

    /// Notes which change the next one was.
    fn note(&mut self, what: &impl Hash) {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        self.changes.push(hasher.finish());
    }

    fn mark(&mut self, account_id: &str, mark: Mark) {
        let told = self.told.entry(account_id.to_owned()).or_default();
        assert_eq!(higher(*told, mark), mark, "a watermark went back from {told:?}");
        *told = mark;
        self.know(account_id, mark);
    }

    fn know(&mut self, account_id: &str, mark: Mark) {
        let known = self.marks.entry(account_id.to_owned()).or_default();
        *known = higher(*known, mark);
    }

    fn is(&self, truth: &Truth) -> bool {
        let are_marked = truth.marks.iter().all(|(who, mark)| self.marks.get(who) == Some(mark));
        self.position() == truth.last_change && are_marked
    }
}

/// Somebody's program that listens.
pub struct Listener {
    pub pass: Pass,
    pub conversations: Arc<Vec<String>>,
    pub dice: Dice,
    pub copies: Vec<Copy>,
    /// What everything came to, once nobody writes any more.
    pub truth: watch::Receiver<Option<Arc<Vec<Truth>>>>,
    /// How many streams it took.
    pub streams: usize,
}

impl Listener {
    /// Listens until it knows everything. The end is not waited for longer than that takes when Redis tells nothing.
    pub async fn listen(mut self) -> Listener {
        self.copies = self.conversations.iter().map(|_| Copy::default()).collect();
        let mut since = None;
        while !self.is_done(&mut since) {
            self.streams += 1;
            self.pass.renew().await;
            self.stream(&mut since).await;
        }
        self
    }

    fn is_done(&self, since: &mut Option<Instant>) -> bool {
        let Some(truth) = self.truth.borrow().clone() else { return false };
        if self.copies.iter().zip(truth.iter()).all(|(copy, truth)| copy.is(truth)) {
            return true;
        }
        if since.get_or_insert_with(Instant::now).elapsed() > Duration::from_secs(120) {
            let lacking = self.copies.iter().zip(truth.iter()).map(|(copy, truth)| {
                format!("at {} of {}, {:?} of {:?}", copy.position(), truth.last_change, copy.marks, truth.marks)
            });
            panic!("something never arrived: {}", lacking.collect::<Vec<_>>().join("; "));
        }
        false
    }

    fn positions(&self) -> Vec<Position> {
        let each = self.conversations.iter().zip(&self.copies);
        each.map(|(id, copy)| Position { conversation_id: id.clone(), change_seq: copy.position() }).collect()
    }

    /// Follows one stream, until it ends, or is cut here.
    async fn stream(&mut self, since: &mut Option<Instant>) {
        let asked = SubscribeRequest { positions: self.positions(), ..Default::default() };
        let mut stream = match self.pass.clients().events().subscribe(asked).await {
            Ok(stream) => stream.into_inner(),
            Err(status) => {
                assert!(is_passing(&status), "{status:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
                return;
            }
        };
        let mut left = 1 + self.dice.below(120);
        let mut is_first = true;
        while !self.is_done(since) && (left > 0 || self.truth.borrow().is_some()) {
            left = left.saturating_sub(1);
            match tokio::time::timeout(Duration::from_millis(100), stream.message()).await {
                Err(_) => {}
                Ok(Ok(Some(response))) => {
                    let event = response.event.expect("an event");
                    let is_started = matches!(event, Event::Started(_));
                    assert!(is_first == is_started || matches!(event, Event::Resume(_)), "{event:?}");
                    is_first = false;
                    if !self.take(event) {
                        return;
                    }
                }
                Ok(Ok(None)) => return,
                Ok(Err(status)) => {
                    assert!(is_passing(&status), "{status:?}");
                    return;
                }
            }
        }
    }

    /// Takes an event; false when it is the last one.
    fn take(&mut self, event: Event) -> bool {
        match event {
            Event::Conversation(conversation) => self.show(&conversation),
            Event::Change(change) => {
                let me = self.pass.account_id.clone();
                self.copy(&change.conversation_id.clone()).change(change, &me);
            }
            Event::Receipt(receipt) => {
                let mark = (receipt.delivered_seq, receipt.read_seq);
                self.copy(&receipt.conversation_id).mark(&receipt.account_id, mark);
            }
            Event::Gone(gone) => panic!("nobody left: {gone:?}"),
            Event::Resume(_) => return false,
            _ => {}
        }
        true
    }

    /// A conversation's state, which is never behind what was told before.
    fn show(&mut self, conversation: &Conversation) {
        let me = self.pass.account_id.clone();
        let copy = self.copy(&conversation.conversation_id);
        assert!(conversation.last_change >= copy.position(), "at {}: {conversation:?}", copy.position());
        assert!(conversation.last_seq >= copy.messages.len() as i64, "{}: {conversation:?}", copy.messages.len());
        let own = (&me, (conversation.delivered_seq, conversation.read_seq));
        let others = conversation.participants.iter();
        let others = others.map(|other| (&other.account_id, (other.delivered_seq, other.read_seq)));
        for (account_id, mark) in [own].into_iter().chain(others) {
            let known = copy.marks.get(account_id).copied().unwrap_or_default();
            assert_eq!(higher(known, mark), mark, "{account_id} was at {known:?}");
            copy.mark(account_id, mark);
        }
    }

    fn copy(&mut self, conversation_id: &str) -> &mut Copy {
        let place = self.conversations.iter().position(|id| id == conversation_id).expect("an own conversation");
        &mut self.copies[place]
    }
}
