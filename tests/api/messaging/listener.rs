//! Somebody who listens, and what they have heard.

use std::collections::HashMap;

use quartet_proto::messaging::v1::change::What;
use quartet_proto::messaging::v1::subscribe_response::Event;
use tonic::Streaming;

use crate::harness::Clients;
use crate::harness::prelude::*;

/// How long something may take to be heard.
const PATIENCE: Duration = Duration::from_secs(90);

/// How often somebody's stream may end who goes on.
const ENDS: usize = 6;

/// A stream of events, and all that has come of it.
pub struct Listener {
    stream: Streaming<SubscribeResponse>,
    pub stream_id: String,
    pub heard: Vec<Event>,
    again: Option<Again>,
}

/// How somebody goes on whose stream has ended.
#[derive(Clone)]
struct Again {
    clients: Clients,
    account_id: String,
    conversation_id: String,
    /// How often it has ended.
    ends: usize,
}

/// What a client keeps, to go on from.
pub fn positions(known: &[(&str, i64)]) -> SubscribeRequest {
    let position = |(id, number): &(&str, i64)| Position { conversation_id: (*id).to_owned(), change_seq: *number };
    SubscribeRequest { positions: known.iter().map(position).collect(), ..Default::default() }
}

/// The message that a change is about.
pub fn message(change: &Change) -> Option<&Message> {
    match change.what.as_ref()? {
        What::Sent(message) | What::Updated(message) | What::Deleted(message) => Some(message),
        _ => None,
    }
}

impl Listener {
    /// Subscribes, and waits until everything that had happened before has been told.
    pub async fn of(world: &World, person: &Person) -> Listener {
        Listener::with(world, person, SubscribeRequest::default()).await
    }

    pub async fn with(world: &World, person: &Person, asked: SubscribeRequest) -> Listener {
        let mut listener = Listener::begin(&world.as_token(&person.access_token), asked).await;
        listener.until("caught up", |event| matches!(event, Event::CaughtUp(_)).then_some(())).await;
        listener
    }

    /// Subscribes, with these clients.
    pub async fn begin(clients: &Clients, asked: SubscribeRequest) -> Listener {
        Listener::on(clients.events().subscribe(asked).await.expect("not subscribed").into_inner()).await
    }

    /// Listens to a stream that is about to begin.
    pub async fn on(stream: Streaming<SubscribeResponse>) -> Listener {
        let mut listener = Listener { stream, stream_id: String::new(), heard: Vec::new(), again: None };
        listener.until("started", |event| matches!(event, Event::Started(_)).then_some(())).await;
        listener
    }

    /// Somebody who listens and has a conversation on the screen, as all instances know. Redis may have been too late for that: then the client
    /// begins another stream.
    pub async fn looking(world: &World, person: &Person, conversation: &str) -> Listener {
        eventually("it is on the screen", async || {
            let listener = Listener::of(world, person).await;
            let (stream_id, conversation_id) = (listener.stream_id.clone(), conversation.to_owned());
            let set = person.events(world).set_focus(SetFocusRequest { stream_id, conversation_id }).await;
            match set.map_err(Refusal::from) {
                Ok(_) => is_kept(world, &listener.stream_id, conversation).await.then_some(listener),
                Err(refused) => {
                    assert_eq!(refused.reason, "STREAM_NOT_FOUND", "{refused:?}");
                    None
                }
            }
        })
        .await
    }

    /// Somebody who goes on when the stream ends because something is away, as a client does: behind the last change of this conversation that was
    /// heard. Where it is not known for a while whose session has ended, subscribing is refused for now, and streams end.
    pub async fn going_on(clients: &Clients, person: &Person, conversation_id: &str) -> Listener {
        let subscribe = async || clients.events().subscribe(SubscribeRequest::default()).await;
        let begun = patiently("subscribed", subscribe).await.expect("not subscribed");
        let (account_id, conversation_id) = (person.account_id.clone(), conversation_id.to_owned());
        let again = Some(Again { clients: clients.clone(), account_id, conversation_id, ends: 0 });
        let mut listener = Listener { again, ..Listener::on(begun.into_inner()).await };
        listener.until("caught up", |event| matches!(event, Event::CaughtUp(_)).then_some(())).await;
        listener
    }

    /// Whether this is how a stream ends that can't be followed for a while: with its reason, or behind the word that it was interrupted.
    fn is_passing(&self, next: &Result<Option<SubscribeResponse>, tonic::Status>) -> bool {
        match next {
            Err(status) => Refusal::from(status.clone()).is() == (Code::Unavailable, "DEPENDENCY_UNAVAILABLE"),
            Ok(None) => {
                let last = self.heard.last();
                matches!(last, Some(Event::Resume(resume)) if resume.reason() == ResumeReason::Interrupted)
            }
            Ok(Some(_)) => false,
        }
    }

    async fn go_on(&mut self, mut again: Again) {
        again.ends += 1;
        assert!(again.ends <= ENDS, "it ends again and again; heard: {:?}", self.heard);
        let known = self.changes(&again.conversation_id).last().map_or(0, |change| change.change_seq);
        let asked = positions(&[(&again.conversation_id, known)]);
        let begun = patiently("subscribed", async || again.clients.events().subscribe(asked.clone()).await).await;
        self.stream = begun.expect("not subscribed again").into_inner();
        self.again = Some(again);
    }

    /// The next event, or the end, or why it has ended.
    pub async fn next(&mut self) -> Result<Option<Event>, tonic::Status> {
        let next = tokio::time::timeout(PATIENCE, self.stream.message()).await.expect("nothing is heard");
        let event = next?.map(|message| message.event.expect("an event"));
        self.heard.extend(event.clone());
        Ok(event)
    }

    /// Listens until the stream ends, whose end nothing that is told meanwhile may put off for ever.
    pub async fn end(&mut self) -> Result<(), tonic::Status> {
        let end = async {
            while self.next().await?.is_some() {}
            Ok(())
        };
        tokio::time::timeout(4 * PATIENCE, end).await.expect("no end")
    }

    /// Listens until something was heard.
    pub async fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let limit = tokio::time::Instant::now() + PATIENCE;
        loop {
            let next = tokio::time::timeout_at(limit, self.stream.message()).await;
            let next = next.unwrap_or_else(|_| panic!("not heard: {what}; but {:?}", self.heard));
            if let Some(again) = self.again.clone().filter(|_| self.is_passing(&next)) {
                assert!(tokio::time::Instant::now() < limit, "not heard: {what}; but {:?}", self.heard);
                self.go_on(again).await;
                continue;
            }
            let next = next.unwrap_or_else(|status| panic!("not heard: {what}, for {status:?}"));
            let event = next.unwrap_or_else(|| panic!("not heard: {what}; the end")).event.expect("an event");
            if let Event::Started(started) = &event {
                self.stream_id.clone_from(&started.stream_id);
            }
            let found = wanted(&event);
            self.heard.push(event);
            if let Some(found) = found {
                return found;
            }
        }
    }

    /// Listens until a change of a conversation with this number at least has come.
    pub async fn change(&mut self, conversation: &str, number: i64) -> Change {
        self.until(&format!("change {number}"), |event| match event {
            Event::Change(change) if change.conversation_id == conversation && change.change_seq >= number => {
                Some(change.clone())
            }
            _ => None,
        })
        .await
    }

    /// Listens until a message with this text has come.
    pub async fn message(&mut self, body: &str) -> (Change, Message) {
        self.until(&format!("`{body}`"), |event| {
            let Event::Change(change) = event else { return None };
            let message = message(change).filter(|message| message.body == body)?;
            Some((change.clone(), message.clone()))
        })
        .await
    }

    /// Listens until somebody has received and read so far. It may be the conversation that tells so, when that is told anew at this moment.
    pub async fn receipt(&mut self, person: &Person, delivered: i64, read: i64) {
        let is_own = self.again.as_ref().is_some_and(|again| again.account_id == person.account_id);
        self.until(&format!("receipt {delivered} {read}"), |event| {
            let mark = match event {
                Event::Receipt(receipt) if receipt.account_id == person.account_id => {
                    (receipt.delivered_seq, receipt.read_seq)
                }
                Event::Conversation(told) if is_own => (told.delivered_seq, told.read_seq),
                Event::Conversation(told) => {
                    let one = told.participants.iter().find(|one| one.account_id == person.account_id)?;
                    (one.delivered_seq, one.read_seq)
                }
                _ => return None,
            };
            (mark == (delivered, read)).then_some(())
        })
        .await;
    }

    /// Listens until the account takes no part in the conversation any more.
    pub async fn gone(&mut self, conversation: &str) {
        self.until("gone", |event| {
            matches!(event, Event::Gone(gone) if gone.conversation_id == conversation).then_some(())
        })
        .await;
    }

    /// The conversation as it was told last.
    pub async fn conversation(&mut self, id: &str) -> Conversation {
        let told = |event: &Event| match event {
            Event::Conversation(conversation) if conversation.conversation_id == id => Some(conversation.clone()),
            _ => None,
        };
        match self.heard.iter().rev().find_map(told) {
            Some(conversation) => conversation,
            None => self.until("the conversation", told).await,
        }
    }

    /// The changes of a conversation that were heard, which are numbered without gaps.
    pub fn changes(&self, conversation: &str) -> Vec<Change> {
        let changes: Vec<Change> = self
            .heard
            .iter()
            .filter_map(|event| match event {
                Event::Change(change) if change.conversation_id == conversation => Some(change.clone()),
                _ => None,
            })
            .collect();
        for pair in changes.windows(2) {
            assert_eq!(pair[1].change_seq, pair[0].change_seq + 1, "{changes:?}");
        }
        changes
    }

    /// What was heard of the texts of a conversation, in the order in which it was.
    pub fn texts(&self, conversation: &str) -> Vec<String> {
        let changes = self.changes(conversation);
        changes.iter().filter_map(|change| Some(message(change)?.body.clone())).collect()
    }

    /// Everybody's receipts only rise.
    pub fn check_receipts(&self) {
        let mut known: HashMap<(&str, &str), (i64, i64)> = HashMap::new();
        for event in &self.heard {
            let Event::Receipt(receipt) = event else { continue };
            let at = known.entry((&receipt.conversation_id, &receipt.account_id)).or_default();
            assert!(receipt.delivered_seq >= at.0 && receipt.read_seq >= at.1, "{:?}", self.heard);
            *at = (receipt.delivered_seq, receipt.read_seq);
        }
    }
}

/// Whether each instance can know that a stream has a conversation on its screen.
async fn is_kept(world: &World, stream_id: &str, conversation_id: &str) -> bool {
    let Some(fleet) = world.fleet() else { return true };
    let redis = &fleet.grounds.redis;
    let maps = redis.command("KEYS *messaging:streams:*").await.unwrap_or_default();
    for map in maps.lines().filter(|line| line.contains("messaging:streams:")) {
        let kept = redis.command(&format!("HGET {} {stream_id}", map.trim())).await.unwrap_or_default();
        if kept.contains(conversation_id) {
            return true;
        }
    }
    false
}
