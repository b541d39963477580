//! Conversations and participants, from rows to what is sent.

use quartet_chassis::accounts::AccountRow;
use quartet_chassis::clock::timestamp;
use quartet_chassis::{etag, page};
use quartet_proto::messaging::v1::{Contact, Conversation, ConversationKind, Message, Participant, ParticipantRole};

use crate::conversation::display_name;
use crate::store::contact::ContactRow;
use crate::store::conversation_view::ConversationView;
use crate::store::participant::ParticipantRow;

impl From<ConversationView> for Conversation {
    fn from(view: ConversationView) -> Conversation {
        let called = called(&view);
        let ConversationView { row, own, others, last_message, unread_mention_count } = view;
        Conversation {
            conversation_id: row.id.to_string(),
            kind: ConversationKind::from(row.kind()).into(),
            display_name: called,
            participant_count: row.participant_count,
            participants: others.into_iter().map(Participant::from).collect(),
            role: ParticipantRole::from(own.role()).into(),
            last_message: last_message.map(Message::from),
            unread_count: page::count(own.unread(row.last_seq)),
            unread_mention_count: page::count(unread_mention_count),
            last_seq: row.last_seq,
            last_change: row.last_change,
            read_seq: own.read_seq,
            delivered_seq: own.delivered_seq,
            hidden_seq: own.hidden_seq(),
            favorite: own.favorite,
            pinned: own.pin_number.is_some(),
            blocked: own.blocks,
            muted_until: own.muted_until.map(timestamp),
            etag: etag::of(row.version),
            create_time: Some(timestamp(row.create_time)),
            activity_time: Some(timestamp(row.activity_time)),
            name: row.name,
        }
    }
}

/// What somebody sees a conversation called.
fn called(view: &ConversationView) -> String {
    if !view.row.name.is_empty() {
        return view.row.name.clone();
    }
    let others: Vec<&str> = view.others.iter().map(first_name).collect();
    display_name(&others, usize::try_from(view.row.participant_count - 1).unwrap_or_default())
}

/// What somebody is called shortly: who has no first name by the last one.
fn first_name(participant: &ParticipantRow) -> &str {
    match &participant.account {
        Some(account) if account.first_name.is_empty() => &account.last_name,
        Some(account) => &account.first_name,
        None => "",
    }
}

/// First name, last name and picture of somebody, as far as they are known here.
pub fn shown(account: Option<AccountRow>) -> (String, String, String) {
    account.map(|account| (account.first_name, account.last_name, account.avatar_url)).unwrap_or_default()
}

impl From<ParticipantRow> for Participant {
    fn from(participant: ParticipantRow) -> Participant {
        let ParticipantRow { row, account } = participant;
        let role = row.role();
        let (first_name, last_name, avatar_url) = shown(account);
        Participant {
            account_id: row.account_id.to_string(),
            first_name,
            last_name,
            avatar_url,
            role: ParticipantRole::from(role).into(),
            delivered_seq: row.delivered_seq,
            read_seq: row.read_seq,
            create_time: Some(timestamp(row.create_time)),
            email: String::new(),
        }
    }
}

/// The same with the address, where it is seen.
pub fn with_address(participant: ParticipantRow) -> Participant {
    let email = participant.account.as_ref().map(|account| account.email.clone()).unwrap_or_default();
    Participant { email, ..Participant::from(participant) }
}

impl From<ContactRow> for Contact {
    fn from(contact: ContactRow) -> Contact {
        let conversation_id = contact.participant.row.conversation_id.to_string();
        Contact { person: Some(with_address(contact.participant)), conversation_id }
    }
}
