//! Messages and changes, from rows to what is sent.

use quartet_chassis::clock::timestamp;
use quartet_chassis::etag;
use quartet_chassis::id::Id;
use quartet_proto::messaging::v1::change::What;
use quartet_proto::messaging::v1::{
    Attachment, Change, Edit, Message, MessageStatus, Participant, ParticipantRole, Participants, Reacted, Reaction,
    Renamed, attachment,
};

use super::conversation_view::shown;
use crate::conversation::Role;
use crate::message::{Attached, Extras};
use crate::reaction::{Reactions, Tally};
use crate::store::change::kind;
use crate::store::edit::EditRow;
use crate::store::message_view::{MessageView, Status};
use crate::store::told::{Subject, Told};

/// A change as somebody sees it who sees messages with higher numbers than `hidden_seq`.
pub fn own(told: &Told, viewer: Id, hidden_seq: i64) -> Change {
    if told.is_hidden(hidden_seq) {
        return blank(told);
    }
    let mut change = Change::from(told);
    let Some((sender, client_message_id)) = told.sender() else { return change };
    if sender == viewer
        && let Some(What::Sent(message) | What::Updated(message) | What::Deleted(message)) = &mut change.what
    {
        message.client_message_id = client_message_id.to_owned();
    }
    change
}

/// A change of which only the number is told.
pub fn blank(told: &Told) -> Change {
    let conversation_id = told.row.conversation_id.to_string();
    Change { conversation_id, change_seq: told.row.number, ..Default::default() }
}

/// A change as everybody sees it from whom nothing is hidden.
impl From<&Told> for Change {
    fn from(told: &Told) -> Change {
        let row = &told.row;
        let message = || told.message.clone().map(|view| Message::from(MessageView::shared(view.row)));
        let participants = || Participants { participants: told.subjects.iter().map(Participant::from).collect() };
        let what = match row.kind.as_str() {
            kind::SENT => message().map(What::Sent),
            kind::UPDATED => message().map(What::Updated),
            kind::REACTED => told.reactions.as_ref().map(|reactions| What::Reacted(reacted(row.seq, reactions))),
            kind::DELETED => message().map(What::Deleted),
            kind::JOINED => Some(What::Joined(participants())),
            kind::LEFT => Some(What::Left(participants())),
            kind::ROLE_CHANGED => Some(What::RoleChanged(participants())),
            kind::RENAMED => Some(What::Renamed(Renamed { name: row.subject.clone() })),
            _ => None,
        };
        Change {
            conversation_id: row.conversation_id.to_string(),
            change_seq: row.number,
            time: Some(timestamp(row.create_time)),
            account_id: text(row.account_id),
            what,
        }
    }
}

impl From<&Subject> for Participant {
    fn from(subject: &Subject) -> Participant {
        let (first_name, last_name, avatar_url) = shown(subject.account.clone());
        let member = subject.member.as_ref();
        let role = if subject.role.is_empty() { member.map_or("", |member| &member.role) } else { &subject.role };
        let role = if role.is_empty() { ParticipantRole::Unspecified } else { Role::stored(role).into() };
        Participant {
            account_id: text(Some(subject.account_id).filter(|id| *id != Id::NIL)),
            first_name,
            last_name,
            avatar_url,
            role: role.into(),
            delivered_seq: member.map_or(0, |member| member.delivered_seq),
            read_seq: member.map_or(0, |member| member.read_seq),
            create_time: member.map(|member| timestamp(member.create_time)),
            ..Default::default()
        }
    }
}

impl From<MessageView> for Message {
    fn from(view: MessageView) -> Message {
        let MessageView { row, own } = view;
        let Extras { attachments, mentions } = Extras::stored(&row.extras);
        Message {
            message_id: row.id.to_string(),
            conversation_id: row.conversation_id.to_string(),
            seq: row.seq,
            sender_account_id: text(row.sender_id),
            body: row.body,
            attachments: attachments.into_iter().map(Attachment::from).collect(),
            reply_to_seq: row.reply_to_seq,
            mentioned_account_ids: mentions,
            reactions: reactions(&row.reactions),
            deleted: row.is_deleted,
            client_message_id: own.map(|_| row.client_message_id).unwrap_or_default(),
            status: own.map_or(MessageStatus::Unspecified, MessageStatus::from).into(),
            etag: etag::of(row.version),
            send_time: Some(timestamp(row.send_time)),
            edit_time: row.edit_time.map(timestamp),
        }
    }
}

fn reacted(seq: i64, stored: &str) -> Reacted {
    Reacted { seq, reactions: reactions(stored) }
}

fn reactions(stored: &str) -> Vec<Reaction> {
    Reactions::stored(stored).0.into_iter().map(Reaction::from).collect()
}

impl From<Status> for MessageStatus {
    fn from(status: Status) -> MessageStatus {
        match status {
            Status::Sent => MessageStatus::Sent,
            Status::Delivered => MessageStatus::Delivered,
            Status::Read => MessageStatus::Read,
        }
    }
}

impl From<Tally> for Reaction {
    fn from(tally: Tally) -> Reaction {
        Reaction { emoji: tally.emoji, count: tally.count, account_ids: tally.first }
    }
}

impl From<Attached> for Attachment {
    fn from(attached: Attached) -> Attachment {
        let Attached { media_id, url, name, content_type, size_bytes } = attached;
        let source =
            if media_id.is_empty() { attachment::Source::Url(url) } else { attachment::Source::MediaId(media_id) };
        Attachment { source: Some(source), name, content_type, size_bytes }
    }
}

impl From<EditRow> for Edit {
    fn from(row: EditRow) -> Edit {
        Edit { body: row.body, replace_time: Some(timestamp(row.replace_time)) }
    }
}

fn text(id: Option<Id>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}
