//! What is on people's screens: it needs no push, as long as it is there.
//!
//! Each stream is known to all instances by a field in Redis, which says until when, and which conversation is on its screen. Without
//! Redis an instance knows of its own streams alone, and what comes of that is a push too many. The other way round a screen may be
//! believed in that nobody sees any more: for half a minute when a line is dead, for two when an instance was killed, or a stream ended just
//! as another instance was told of its screen. So a push that somebody is thought to see waits, and is not dropped before it is read
//! (`LOOK` in the pushes' jobs): it comes late, and comes.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quartet_chassis::clock::unix_seconds;
use quartet_chassis::id::Id;

use super::news::News;
use super::stream::Stream;
use super::{Hub, lock};
use crate::error::Error;

/// For how long a stream is believed in that its instance does not speak of.
const LEASE: Duration = Duration::from_secs(120);
/// How many fields are written at a time.
const PART: usize = 500;

impl Hub {
    /// Says what is on the screen of one of the account's streams, wherever it is.
    pub async fn set_focus(&self, account: Id, stream: Id, conversation: Option<Id>) -> Result<(), Error> {
        if let Some(own) = self.stream_of(account, stream) {
            own.set_focus(conversation);
            self.keep(&[own]).await;
            return Ok(());
        }
        match self.is_elsewhere(account, stream).await {
            Some(false) => return Err(Error::StreamNotFound),
            Some(true) => self.keep_field(account, stream, conversation).await,
            // Nothing is kept of a stream of which only its client speaks. Whoever has it may hear of it.
            None => {}
        }
        self.spread(News::Focus { stream, account, conversation });
        Ok(())
    }

    /// Who of some accounts has a conversation on a screen, wherever that is.
    pub async fn looking(&self, conversation: Id, accounts: &[Id]) -> HashSet<Id> {
        let mut looking: HashSet<Id> = {
            let people = lock(&self.0.people);
            let looks = |account: &&Id| {
                let streams = people.get(account).map(|listener| listener.streams.as_slice()).unwrap_or_default();
                streams.iter().any(|stream| stream.focus() == Some(conversation))
            };
            accounts.iter().filter(looks).copied().collect()
        };
        // Also while no news are heard: those come by another connection.
        let Some(redis) = &self.0.redis else { return looking };
        for part in accounts.chunks(PART) {
            let maps: Vec<String> = part.iter().map(map).collect();
            let Ok(found) = redis.kept(&maps).await else { break };
            let looks = |value: &String| self.parse(value).is_some_and(|focus| focus == conversation);
            let there = part.iter().zip(found).filter(|(_, streams)| streams.values().any(looks));
            looking.extend(there.map(|(account, _)| *account));
        }
        looking
    }

    /// What another instance was told of a stream that may be here.
    pub(super) fn focus_here(&self, stream: Id, account: Id, conversation: Option<Id>) {
        let Some(stream) = self.stream_of(account, stream) else { return };
        stream.set_focus(conversation);
        // A renewal that was under way may say what was there before.
        let hub = self.clone();
        tokio::spawn(async move { hub.keep(&[stream]).await });
    }

    /// Makes a stream known, so that whichever instance is asked finds it.
    pub(super) async fn announce_stream(&self, stream: &Arc<Stream>) {
        self.keep(std::slice::from_ref(stream)).await;
    }

    /// Makes it unknown.
    pub(super) fn forget_stream(&self, stream: &Stream) {
        let Some(redis) = self.0.redis.clone().filter(|_| self.hears()) else { return };
        let (map, field) = (map(&stream.account), stream.id.to_string());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { redis.drop_kept(&map, &field).await.ok() });
        }
    }

    /// Renews what is known of all streams here. False when Redis did not take it.
    pub(super) async fn renew_streams(&self) -> bool {
        let mut all = true;
        for part in self.streams().chunks(PART) {
            all &= self.keep(part).await;
        }
        all
    }

    async fn keep(&self, streams: &[Arc<Stream>]) -> bool {
        let Some(redis) = self.0.redis.as_ref().filter(|_| self.hears()) else { return false };
        let field = |stream: &Arc<Stream>| (map(&stream.account), stream.id.to_string(), self.value(stream.focus()));
        let fields: Vec<_> = streams.iter().map(field).collect();
        let kept = redis.keep(&fields, 2 * LEASE).await;
        if let Err(error) = &kept {
            tracing::debug!(%error, "streams can't be made known");
        }
        // One may have ended meanwhile, and have been forgotten before.
        for stream in streams.iter().filter(|stream| self.stream_of(stream.account, stream.id).is_none()) {
            self.forget_stream(stream);
        }
        kept.is_ok()
    }

    async fn keep_field(&self, account: Id, stream: Id, conversation: Option<Id>) {
        let Some(redis) = &self.0.redis else { return };
        redis.keep(&[(map(&account), stream.to_string(), self.value(conversation))], 2 * LEASE).await.ok();
    }

    /// Whether another instance has such a stream, where that can be known.
    async fn is_elsewhere(&self, account: Id, stream: Id) -> Option<bool> {
        let Some(redis) = &self.0.redis else { return Some(false) };
        if !self.hears() {
            return None;
        }
        redis.is_kept(&map(&account), &stream.to_string()).await.ok()
    }

    fn stream_of(&self, account: Id, stream: Id) -> Option<Arc<Stream>> {
        let people = lock(&self.0.people);
        people.get(&account)?.streams.iter().find(|known| known.id == stream).cloned()
    }

    /// What is kept of a stream: until when, and what is on its screen.
    fn value(&self, focus: Option<Id>) -> String {
        let until = unix_seconds(self.0.clock.now() + LEASE);
        format!("{until} {}", focus.unwrap_or(Id::NIL))
    }

    fn parse(&self, value: &str) -> Option<Id> {
        let (until, focus) = value.split_once(' ')?;
        let is_known = until.parse::<i64>().ok()? >= unix_seconds(self.0.clock.now());
        focus.parse().ok().filter(|_| is_known)
    }
}

/// Where the streams of an account are kept, which names nobody.
fn map(account: &Id) -> String {
    let tag = digest(&SHA256, &[b"quartet messaging streams ".as_slice(), account.as_bytes()].concat());
    format!("messaging:streams:{}", URL_SAFE_NO_PAD.encode(tag))
}
