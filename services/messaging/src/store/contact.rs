//! With whom somebody shares a direct conversation.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::fold::fold;
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::address::hide_contacts;
use super::conversation_view::with_people;
use super::member::MemberRow;
use super::participant::ParticipantRow;
use crate::conversation::Kind;
use crate::schema::{conversation, member};

/// Somebody with whom a direct conversation is shared.
#[derive(Debug, Clone)]
pub struct ContactRow {
    /// The name as it is sorted.
    pub name: String,
    pub participant: ParticipantRow,
}

/// A part of somebody's contacts, by name.
#[derive(Debug, Clone)]
pub struct ContactList {
    pub account: Id,
    /// Behind this one.
    pub after: Option<(String, Id)>,
    pub size: i64,
}

impl Store {
    /// As many contacts as asked for, and one more if there are more.
    pub async fn contacts(&self, list: &ContactList) -> Result<Vec<ContactRow>, DbError> {
        let mut all = self.db.long_snapshot(async |conn| all(conn, list.account).await).await?;
        all.sort_by(|one, other| place(one).cmp(&place(other)));
        let after = list.after.as_ref().map(|(name, id)| (name.as_str(), *id));
        let behind = all.into_iter().filter(|contact| after.is_none_or(|after| place(contact) > after));
        Ok(behind.take(usize::try_from(list.size + 1).unwrap_or_default()).collect())
    }
}

fn place(contact: &ContactRow) -> (&str, Id) {
    (&contact.name, contact.participant.row.account_id)
}

/// All of them: both databases would sort names each in its own way.
async fn all(conn: &mut Conn, account: Id) -> Result<Vec<ContactRow>, DbError> {
    let direct = conversation::table
        .inner_join(member::table)
        .filter(member::account_id.eq(account))
        .filter(conversation::kind.eq(Kind::Direct.name()))
        .select(conversation::id);
    let direct: Vec<Id> = on!(conn, |db| direct.load(db).await)?;
    let others = member::table.filter(member::conversation_id.eq_any(direct)).filter(member::account_id.ne(account));
    let others: Vec<MemberRow> = on!(conn, |db| others.select(MemberRow::as_select()).load(db).await)?;
    let contact = |participant: ParticipantRow| {
        let name = participant.account.as_ref().map(|account| fold(&account.name())).unwrap_or_default();
        ContactRow { name, participant }
    };
    let mut others = with_people(conn, others).await?;
    hide_contacts(conn, account, &mut others).await?;
    Ok(others.into_iter().map(contact).collect())
}
