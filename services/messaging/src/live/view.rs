//! A conversation as it was read for somebody, ready to be told.

use quartet_chassis::id::Id;
use quartet_proto::messaging::v1 as pb;
use quartet_proto::messaging::v1::subscribe_response::Event;

use super::frame::Frames;
use super::seat::receipt;
use crate::conversation::Kind;
use crate::store::conversation_view::ConversationView;
use crate::store::live::{Far, Seen};
use crate::store::member::MemberRow;

/// A conversation for one account.
pub struct View {
    pub id: Id,
    /// The conversation, and behind it how far those are whom it does not show.
    pub frames: Frames,
    pub last_change: i64,
    pub last_seq: i64,
    /// From which on changes are kept.
    pub first_change: i64,
    pub joined_change: i64,
    pub hidden_seq: i64,
    pub people: i32,
    /// How far those are of whom it tells that: everybody, where they are few.
    pub marks: Vec<Far>,
    /// The other one in a direct conversation, of whom it is told whether they are there: both have written, and none has blocked the other.
    pub peer: Option<Id>,
    /// The other one of whom it is not.
    pub stranger: Option<Id>,
}

impl From<Seen> for View {
    fn from(seen: Seen) -> View {
        let Seen { view, rest } = seen;
        let (row, own) = (&view.row, &view.own);
        let mut marks = vec![(own.account_id, (own.delivered_seq, own.read_seq))];
        let others = view.others.iter().map(|other| &other.row);
        marks.extend(others.map(|other| (other.account_id, (other.delivered_seq, other.read_seq))));
        marks.extend(&rest);
        let other = view.others.first().filter(|_| row.kind() == Kind::Direct).map(|other| &other.row);
        let met = |other: &&MemberRow| own.has_written && other.has_written && !own.blocks && !own.blocked;
        let (peer, stranger) = (other.filter(met), other.filter(|other| !met(other)));
        let (peer, stranger) = (peer.map(|peer| peer.account_id), stranger.map(|stranger| stranger.account_id));
        View {
            id: row.id,
            last_change: row.last_change,
            last_seq: row.last_seq,
            first_change: row.first_change,
            joined_change: own.joined_change,
            hidden_seq: own.hidden_seq(),
            people: row.participant_count,
            marks,
            peer,
            stranger,
            frames: frames(view, &rest),
        }
    }
}

/// Who has not got anything yet need not be told of.
fn frames(view: ConversationView, rest: &[Far]) -> Frames {
    let id = view.row.id;
    let far = rest.iter().filter(|(_, mark)| *mark != (0, 0));
    let far = far.map(|(account, mark)| Event::Receipt(receipt(id, *account, *mark)));
    let conversation = Event::Conversation(pb::Conversation::from(view));
    let all: Vec<Frames> = std::iter::once(conversation).chain(far).map(Frames::of_event).collect();
    Frames::joined(all.iter())
}
