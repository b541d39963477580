//! Who comes into groups and goes, and who is shown as a participant.

use chrono::DateTime;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::accounts::AccountRow;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::{on, page};

use super::change::{self, What};
use super::conversation::{ConversationRow, not_found};
use super::conversation_view::{ConversationView, one, with_people};
use super::member::{self as members, Joined, MemberRow, by_id, held, member_in};
use super::person::{self, Person};
use super::{Store, address, block, departure, usage};
use crate::conversation::Role;
use crate::error::Error;
use crate::schema::{conversation, member};

/// Somebody who takes part, with who they are as far as that is known here.
#[derive(Debug, Clone)]
pub struct ParticipantRow {
    pub row: MemberRow,
    pub account: Option<AccountRow>,
}

impl Store {
    /// Who takes part, those who came first in front, behind (`time`, `id`): as many as asked for, and one more if there are more; and how
    /// many there are.
    pub async fn participants(
        &self,
        id: Id,
        caller: Id,
        after: Option<(Time, Id)>,
        size: i64,
    ) -> Result<(Vec<ParticipantRow>, i32), Error> {
        self.db
            .snapshot(async |conn| {
                let (row, _) = member_in(conn, id, caller).await?.ok_or_else(|| not_found(id))?;
                // Nobody came before the first one.
                let (time, last) = after.unwrap_or((DateTime::UNIX_EPOCH.naive_utc(), Id::NIL));
                let same = member::create_time.eq(time).and(member::account_id.gt(last));
                let behind = member::table
                    .filter(member::conversation_id.eq(id))
                    .filter(member::create_time.gt(time).or(same))
                    .order((member::create_time, member::account_id))
                    .limit(size + 1);
                let rows: Vec<MemberRow> = on!(conn, |db| behind.select(MemberRow::as_select()).load(db).await)?;
                let mut rows = with_people(conn, rows).await?;
                address::hide(conn, caller, &mut rows).await?;
                Ok::<_, Error>((rows, row.participant_count))
            })
            .await
    }

    /// Adds people to a group, and says how many came.
    pub async fn add_participants(
        &self,
        id: Id,
        caller: Id,
        persons: &[Person],
        limit: i32,
    ) -> Result<(ConversationView, usize), Error> {
        let turn = self.turn(id, caller).await?;
        let now = self.now();
        let (view, came) = self
            .db
            .bulk(async |conn| {
                let (row, _) = held(conn, id, caller).await?;
                row.check_group()?;
                let found = person::found(conn, caller, persons).await?;
                let mut new: Vec<Id> = found.ids().into_iter().collect();
                let there = members::present(conn, id, &new).await?;
                new.retain(|account| !there.contains(account));
                departure::check(conn, id, &new, &found, now).await?;
                block::check(conn, caller, &found.only(&new)).await?;
                address::remember(conn, caller, &found).await?;
                let number = let_in(conn, &row, caller, &new, limit, now).await?;
                Ok::<_, Error>((one(conn, id, caller).await?, number.map(|number| (number, new))))
            })
            .await?;
        drop(turn);
        let Some((number, new)) = came else { return Ok((view, 0)) };
        self.hub.changed(id, number);
        for account in &new {
            self.hub.view_changed(id, *account);
        }
        Ok((view, new.len()))
    }

    /// Takes somebody out of a group.
    pub async fn remove_participant(&self, id: Id, caller: Id, account: Id) -> Result<(), Error> {
        if caller == account {
            return self.leave(id, caller, Role::Owner).await;
        }
        let turn = self.turn(id, caller).await?;
        let now = self.now();
        let number = self
            .db
            .transaction(async |conn| {
                let (row, own) = held(conn, id, caller).await?;
                row.check_group()?;
                own.role().check_owner()?;
                by_id(conn, id, account).await?.ok_or_else(|| Error::ParticipantNotFound(account.to_string()))?;
                let change = change::note(conn, id, Some(caller), &What::Left(vec![account]), now).await?;
                take_out(conn, &row, account).await?;
                Ok::<_, Error>(change.number)
            })
            .await?;
        drop(turn);
        self.hub.changed(id, number);
        self.hub.view_changed(id, account);
        Ok(())
    }

    /// Leaves a group. `least` is what one has to be.
    pub async fn leave(&self, id: Id, caller: Id, least: Role) -> Result<(), Error> {
        let turn = self.turn(id, caller).await?;
        let now = self.now();
        let (number, heir) = self
            .db
            .transaction(async |conn| {
                let (row, own) = held(conn, id, caller).await?;
                row.check_group()?;
                if least == Role::Owner {
                    own.role().check_owner()?;
                }
                let mut change = change::note(conn, id, Some(caller), &What::Left(vec![caller]), now).await?;
                departure::note(conn, id, caller, now).await?;
                take_out(conn, &row, caller).await?;
                let heir = heir(conn, id).await?;
                if let Some(heir) = heir {
                    change = hand_over(conn, id, Some(caller), heir, now).await?;
                }
                Ok::<_, Error>((change.number, heir))
            })
            .await?;
        drop(turn);
        self.hub.changed(id, number);
        for account in heir.into_iter().chain([caller]) {
            self.hub.view_changed(id, account);
        }
        Ok(())
    }

    /// Makes somebody an owner, or no longer.
    pub async fn set_role(&self, id: Id, caller: Id, account: Id, role: Role) -> Result<(), Error> {
        let turn = self.turn(id, caller).await?;
        let now = self.now();
        let number = self
            .db
            .transaction(async |conn| {
                let (row, own) = held(conn, id, caller).await?;
                row.check_group()?;
                own.role().check_owner()?;
                let there = by_id(conn, id, account).await?;
                let there = there.ok_or_else(|| Error::ParticipantNotFound(account.to_string()))?;
                if there.role() == role {
                    return Ok(None);
                }
                if role == Role::Member && owners(conn, id).await? < 2 {
                    return Err(Error::LastOwner);
                }
                let set = diesel::update(member::table.find((id, account))).set(member::role.eq(role.name()));
                on!(conn, |db| set.execute(db).await)?;
                let what = What::RoleChanged(account, role.name().to_owned());
                Ok(Some(change::note(conn, id, Some(caller), &what, now).await?.number))
            })
            .await?;
        drop(turn);
        if let Some(number) = number {
            self.hub.changed(id, number);
            self.hub.view_changed(id, account);
        }
        Ok(())
    }
}

/// Lets new people into a group that the transaction holds, and answers the number of the change.
async fn let_in(
    conn: &mut Conn,
    row: &ConversationRow,
    by: Id,
    new: &[Id],
    limit: i32,
    now: Time,
) -> Result<Option<i64>, Error> {
    if new.is_empty() {
        return Ok(None);
    }
    let count = row.participant_count.saturating_add(page::count(new.len()));
    if count > limit {
        return Err(Error::ParticipantLimit(limit));
    }
    let set = conversation::participant_count.eq(count);
    on!(conn, |db| diesel::update(conversation::table.find(row.id)).set(set).execute(db).await)?;
    let change = change::note(conn, row.id, Some(by), &What::Joined(new.to_vec()), now).await?;
    let people: Vec<(Id, Role)> = new.iter().map(|account| (*account, Role::Member)).collect();
    let joined = Joined { seq: row.last_seq, change: change.number, time: now, began: false };
    members::insert(conn, row.id, &people, joined).await?;
    Ok(Some(change.number))
}

/// Removes a participant of a conversation that the transaction holds. What is left when nobody takes part any more is removed later.
pub async fn take_out(conn: &mut Conn, row: &ConversationRow, account: Id) -> Result<(), DbError> {
    let set = conversation::participant_count.eq(conversation::participant_count - 1);
    on!(conn, |db| diesel::update(conversation::table.find(row.id)).set(set).execute(db).await)?;
    let own = member::table.find((row.id, account)).select(member::began);
    let began: Option<bool> = on!(conn, |db| own.first(db).await.optional())?;
    if began == Some(true) {
        usage::sub(conn, account).await?;
    }
    on!(conn, |db| diesel::delete(member::table.find((row.id, account))).execute(db).await).map(drop)
}

/// Who is to be the owner of a group that has none: the one who has been there longest.
pub async fn heir(conn: &mut Conn, id: Id) -> Result<Option<Id>, DbError> {
    if owners(conn, id).await? > 0 {
        return Ok(None);
    }
    let oldest = member::table.filter(member::conversation_id.eq(id)).order((member::create_time, member::account_id));
    on!(conn, |db| oldest.select(member::account_id).first(db).await.optional())
}

/// Makes somebody an owner who has not asked for it.
pub async fn hand_over(
    conn: &mut Conn,
    id: Id,
    by: Option<Id>,
    heir: Id,
    now: Time,
) -> Result<change::ChangeRow, DbError> {
    let set = diesel::update(member::table.find((id, heir))).set(member::role.eq(Role::Owner.name()));
    on!(conn, |db| set.execute(db).await)?;
    change::note(conn, id, by, &What::RoleChanged(heir, Role::Owner.name().to_owned()), now).await
}

async fn owners(conn: &mut Conn, id: Id) -> Result<i64, DbError> {
    let owners = member::table.filter(member::conversation_id.eq(id)).filter(member::role.eq(Role::Owner.name()));
    on!(conn, |db| owners.count().get_result(db).await)
}
