//! Conversations: how they are started and named.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::accounts::hold::{self, Writer};
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::idempotency::{self, RequestKey, made, made_before};
use quartet_chassis::{on, page};

use super::change::{self, What};
use super::conversation_view::{ConversationView, one};
use super::member::{self, Joined, held};
use super::person::{self, Found, Person};
use super::{Store, address, block, usage};
use crate::conversation::{Kind, Role};
use crate::error::Error;
use crate::schema::conversation;

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = conversation)]
pub struct ConversationRow {
    pub id: Id,
    pub kind: String,
    /// Of a direct one: the two accounts. Nothing any more when one of them is gone.
    pub direct_key: Option<String>,
    pub name: String,
    pub participant_count: i32,
    pub last_seq: i64,
    pub last_change: i64,
    /// From which on changes are kept.
    pub first_change: i64,
    pub version: i64,
    pub create_time: Time,
    pub activity_time: Time,
}

impl ConversationRow {
    pub fn kind(&self) -> Kind {
        Kind::stored(&self.kind)
    }

    /// Nothing for a group.
    pub fn check_group(&self) -> Result<(), Error> {
        if self.kind() == Kind::Group { Ok(()) } else { Err(Error::IsDirect) }
    }
}

/// A group that is to be started.
pub struct NewGroup<'a> {
    pub name: &'a str,
    pub persons: &'a [Person],
    pub key: Option<&'a RequestKey>,
    /// How many people it may have.
    pub limit: i32,
}

impl Store {
    /// Starts the conversation with the one who is named beside the caller, or answers it when there is one.
    pub async fn start_direct(&self, caller: Id, persons: &[Person]) -> Result<ConversationView, Error> {
        let (now, id) = (self.now(), self.new_id());
        let (view, other) = self
            .db
            .transaction(async |conn| {
                hold::begin(conn, caller).await?;
                person::hold_all(conn, caller, persons).await?;
                writes(conn, caller).await?;
                let found = person::found(conn, caller, persons).await?;
                let [other] = without(caller, &found)[..] else { return Err(Error::DirectNeedsTwo) };
                block::check(conn, caller, &found).await?;
                address::remember(conn, caller, &found).await?;
                let key = direct_key(caller, other);
                let row = ConversationRow { direct_key: Some(key.clone()), ..new(id, Kind::Direct, 2, now) };
                let insert = diesel::insert_into(conversation::table).values(&row);
                let insert = insert.on_conflict(conversation::direct_key).do_nothing();
                if on!(conn, |db| insert.execute(db).await)? == 0 {
                    let there = conversation::table.filter(conversation::direct_key.eq(key)).select(conversation::id);
                    let there: Id = on!(conn, |db| there.first(db).await)?;
                    return Ok::<_, Error>((one(conn, there, caller).await?, None));
                }
                enter(conn, id, (caller, Role::Member), &[other], now).await?;
                Ok((one(conn, id, caller).await?, Some(other)))
            })
            .await?;
        if let Some(other) = other {
            self.hub.view_changed(id, caller);
            self.hub.view_changed(id, other);
        }
        Ok(view)
    }

    /// The group that was started for a key within a day. For reading: it may be started right after.
    pub async fn group_made(&self, caller: Id, key: &RequestKey) -> Result<Option<ConversationView>, Error> {
        let now = self.now();
        self.db
            .snapshot(async |conn| {
                let made: Option<Id> = made::<Error>(conn, caller, key, now).await?;
                let Some(made) = made else { return Ok::<_, Error>(None) };
                one(conn, made, caller).await.map(Some)
            })
            .await
    }

    /// Forgets some requests with keys that are too old; whether there may be more.
    pub async fn sweep_requests(&self) -> Result<bool, DbError> {
        idempotency::sweep(&self.db, self.now()).await
    }

    /// Starts a group with the caller as its owner, or answers the one that was started for the key within a day.
    pub async fn start_group(&self, caller: Id, group: &NewGroup<'_>) -> Result<ConversationView, Error> {
        let (now, id) = (self.now(), self.new_id());
        let (view, came) = self
            .db
            .bulk(async |conn| {
                hold::begin(conn, caller).await?;
                person::hold_all(conn, caller, group.persons).await?;
                writes(conn, caller).await?;
                if let Some(key) = group.key
                    && let Some(made) = made_before::<Error>(conn, caller, key, id, now).await?
                {
                    return Ok::<_, Error>((one(conn, made, caller).await?, Vec::new()));
                }
                let found = person::found(conn, caller, group.persons).await?;
                let others = without(caller, &found);
                if others.is_empty() {
                    let mut fields = Fields::default();
                    fields.refuse("participants", "must name somebody other than the caller");
                    return Err(fields.into());
                }
                let count = page::count(others.len() + 1);
                if count > group.limit {
                    return Err(Error::ParticipantLimit(group.limit));
                }
                block::check(conn, caller, &found).await?;
                address::remember(conn, caller, &found).await?;
                let row = ConversationRow { name: group.name.to_owned(), ..new(id, Kind::Group, count, now) };
                on!(conn, |db| diesel::insert_into(conversation::table).values(&row).execute(db).await)?;
                enter(conn, id, (caller, Role::Owner), &others, now).await?;
                Ok((one(conn, id, caller).await?, [vec![caller], others].concat()))
            })
            .await?;
        for account in came {
            self.hub.view_changed(id, account);
        }
        Ok(view)
    }

    /// Gives a group another name, or none.
    pub async fn rename(&self, id: Id, caller: Id, seen: Option<i64>, name: &str) -> Result<ConversationView, Error> {
        let turn = self.turn(id, caller).await?;
        let now = self.now();
        let (view, number) = self
            .db
            .transaction(async |conn| {
                let (row, _) = held(conn, id, caller).await?;
                row.check_group()?;
                if seen.is_some_and(|seen| seen != row.version) {
                    return Err(Error::EtagStale);
                }
                if row.name == name {
                    return Ok((one(conn, id, caller).await?, None));
                }
                let set = (conversation::name.eq(name), conversation::version.eq(row.version + 1));
                on!(conn, |db| diesel::update(conversation::table.find(id)).set(set).execute(db).await)?;
                let change = change::note(conn, id, Some(caller), &What::Renamed(name.to_owned()), now).await?;
                Ok((one(conn, id, caller).await?, Some(change.number)))
            })
            .await?;
        drop(turn);
        if let Some(number) = number {
            self.hub.changed(id, number);
        }
        Ok(view)
    }
}

pub fn not_found(id: Id) -> Error {
    Error::ConversationNotFound(id.to_string())
}

/// The conversation; nobody else changes it until the transaction ends.
pub async fn lock(conn: &mut Conn, id: Id) -> Result<Option<ConversationRow>, DbError> {
    // An update that changes nothing locks a row on both engines, where one of them has no `for update`.
    let lock = diesel::update(conversation::table.find(id)).set(conversation::version.eq(conversation::version));
    on!(conn, |db| lock.returning(ConversationRow::as_returning()).get_result(db).await.optional())
}

/// Nothing, unless the account is deleted: what it wrote now would stay.
async fn writes(conn: &mut Conn, caller: Id) -> Result<(), Error> {
    if hold::writer(conn, caller).await? == Writer::Erased {
        return Err(Error::PersonNotFound(vec![caller.to_string()]));
    }
    Ok(())
}

/// Who of these is not the caller.
pub fn without(caller: Id, found: &Found<'_>) -> Vec<Id> {
    found.ids().into_iter().filter(|id| *id != caller).collect()
}

/// Lets who begins a conversation into it, and others. That it begins is no change of it.
async fn enter(conn: &mut Conn, id: Id, first: (Id, Role), others: &[Id], now: Time) -> Result<(), Error> {
    usage::add(conn, first.0).await?;
    let joined = Joined { seq: 0, change: 0, time: now, began: false };
    member::insert(conn, id, &[first], Joined { began: true, ..joined }).await?;
    let others: Vec<(Id, Role)> = others.iter().map(|other| (*other, Role::Member)).collect();
    member::insert(conn, id, &others, joined).await?;
    Ok(())
}

fn new(id: Id, kind: Kind, participant_count: i32, now: Time) -> ConversationRow {
    ConversationRow {
        id,
        kind: kind.name().to_owned(),
        direct_key: None,
        name: String::new(),
        participant_count,
        last_seq: 0,
        last_change: 0,
        first_change: 1,
        version: 1,
        create_time: now,
        activity_time: now,
    }
}

/// The same for two people, whoever of them starts.
pub fn direct_key(one: Id, other: Id) -> String {
    format!("{}{}", one.min(other), one.max(other)).replace('-', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g1_two_people_have_one_key() {
        let (one, other) = (Id::from_bytes([1; 16]), Id::from_bytes([0xab; 16]));
        assert_eq!(direct_key(one, other), direct_key(other, one));
        assert_eq!(direct_key(other, one), format!("{}{}", "01".repeat(16), "ab".repeat(16)));
    }
}
