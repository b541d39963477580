//! A change on its way to the streams, and what each of them gets of it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use quartet_chassis::id::Id;
use quartet_proto::messaging::v1 as pb;
use quartet_proto::messaging::v1::subscribe_response::Event;

use super::frame::{Frames, Kind};
use crate::api::message_view::{self, blank};
use crate::store::told::Told;

/// Who had left when something was read, and by which change. What was read may be younger than that: they are told its number alone.
pub type Left = Arc<HashMap<Id, i64>>;

/// A change, encoded as all get it from whom nothing is hidden.
#[derive(Debug)]
pub struct Item {
    pub told: Told,
    left: Left,
    frames: Frames,
}

/// What a stream gets of a change.
pub enum Piece<'a> {
    /// What all get.
    Shared(&'a Frames),
    Own(Frames),
}

impl Item {
    pub fn new(told: Told, left: Left) -> Item {
        let frames = Frames::of_event(Event::Change(pb::Change::from(&told)));
        Item { told, left, frames }
    }

    pub fn number(&self) -> i64 {
        self.told.row.number
    }

    /// How long it is as all get it.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// What this account gets, which sees messages with higher numbers than `hidden_seq`.
    pub fn piece(&self, account: Id, hidden_seq: i64) -> Piece<'_> {
        if self.left.get(&account).is_some_and(|left| *left > self.number()) {
            return Piece::Own(Frames::of_event(Event::Change(blank(&self.told))));
        }
        let is_sender = self.told.sender().is_some_and(|(sender, _)| sender == account);
        if is_sender || self.told.is_hidden(hidden_seq) {
            return Piece::Own(Frames::of_event(Event::Change(message_view::own(&self.told, account, hidden_seq))));
        }
        Piece::Shared(&self.frames)
    }

    pub fn has_left(&self, account: Id) -> bool {
        self.told.left().any(|left| left == account)
    }
}

impl Piece<'_> {
    pub fn chunk(&self, kind: Kind) -> &Bytes {
        match self {
            Piece::Shared(frames) => frames.of(kind),
            Piece::Own(frames) => frames.of(kind),
        }
    }
}

/// Changes that are told together: most streams get the very same bytes.
pub struct Batch<'a> {
    pub items: &'a [Arc<Item>],
    joined: Option<Frames>,
    /// Who gets something of their own.
    special: Vec<Id>,
    least_seq: i64,
}

impl<'a> Batch<'a> {
    pub fn new(items: &'a [Arc<Item>]) -> Batch<'a> {
        let mut special = Vec::new();
        for item in items {
            special.extend(item.told.sender().map(|(sender, _)| sender));
            special.extend(item.told.left());
            special.extend(item.left.keys());
        }
        special.sort_unstable();
        special.dedup();
        let seqs = items.iter().map(|item| item.told.row.seq).filter(|seq| *seq != 0);
        let joined = (items.len() > 1).then(|| Frames::joined(items.iter().map(|item| &item.frames)));
        Batch { items, joined, special, least_seq: seqs.min().unwrap_or(i64::MAX) }
    }

    /// The one chunk with all of it, for a stream that has everything before it and from which nothing is hidden.
    pub fn shared(&self, account: Id, after: i64, hidden_seq: i64, kind: Kind) -> Option<&Bytes> {
        let first = self.items.first()?;
        let is_plain = after < first.number() && hidden_seq < self.least_seq;
        if !is_plain || self.special.binary_search(&account).is_ok() {
            return None;
        }
        Some(self.joined.as_ref().unwrap_or(&first.frames).of(kind))
    }
}
