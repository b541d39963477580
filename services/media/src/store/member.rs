//! Who is a member of a project.

use chrono::DateTime;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::accounts::{AccountRow, hold};
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::project::{ProjectRow, held, not_found, owned, role_in};
use crate::error::Error;
use crate::project::{MEMBERS, Role};
use crate::schema::{member, upload};

/// A member of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    pub account_id: Id,
    pub role: Role,
    /// Whether the owner has offered them the project.
    pub offered: bool,
    pub create_time: Time,
    /// As far as it is known here.
    pub account: Option<AccountRow>,
}

/// How a request names somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Person {
    Account(Id),
    Address { text: String, key: String },
}

impl Store {
    /// What the caller may do in a project, and its members behind (`time`, `id`), or from the owner on: as many as asked for, and one more
    /// if there are more.
    pub async fn members(
        &self,
        project_id: Id,
        caller: Id,
        after: Option<(Time, Id)>,
        size: i64,
    ) -> Result<(Role, Vec<MemberRow>), Error> {
        self.db
            .snapshot(async |conn| {
                let found = role_in(conn, project_id, caller).await?;
                let (project, role) = found.ok_or_else(|| not_found(project_id))?;
                Ok::<_, Error>((role, page(conn, &project, after, size).await?))
            })
            .await
    }

    /// Makes somebody a member with this role, or gives a member this role.
    pub async fn set_member(
        &self,
        project_id: Id,
        caller: Id,
        person: &Person,
        role: Role,
    ) -> Result<MemberRow, Error> {
        let now = self.now();
        self.db
            .transaction(async |conn| {
                let project = owned(conn, project_id, caller).await?;
                let account_id = found(conn, person).await?;
                if account_id == project.owner_id {
                    return Err(Error::OwnerFixed);
                }
                put(conn, project_id, account_id, role, now).await
            })
            .await
    }

    /// Takes somebody out: the owner anybody else, everybody else themselves. What they are uploading has come too late.
    pub async fn remove_member(&self, project_id: Id, caller: Id, account_id: Id) -> Result<(), Error> {
        let now = self.now();
        self.db
            .transaction(async |conn| {
                let least = if caller == account_id { Role::Viewer } else { Role::Owner };
                let (project, _) = held(conn, project_id, caller, least).await?;
                if account_id == project.owner_id {
                    return Err(Error::OwnerFixed);
                }
                let row = member::table.find((project_id, account_id));
                if on!(conn, |db| diesel::delete(row).execute(db).await)? == 0 {
                    return Err(Error::MemberNotFound(account_id.to_string()));
                }
                let open = upload::project_id.eq(project_id).and(upload::account_id.eq(account_id));
                let open = upload::table.filter(open.and(upload::end_time.is_null()));
                on!(conn, |db| diesel::update(open).set(upload::expire_time.eq(now)).execute(db).await)?;
                Ok::<_, Error>(())
            })
            .await
    }
}

/// As many members as asked for, and one more if there are more.
async fn page(
    conn: &mut Conn,
    project: &ProjectRow,
    after: Option<(Time, Id)>,
    size: i64,
) -> Result<Vec<MemberRow>, DbError> {
    let mut rows = Vec::new();
    if after.is_none() {
        rows.push((project.owner_id, Role::Owner.name().to_owned(), false, project.create_time));
    }
    rows.append(&mut others(conn, project, after, size + 1).await?);
    rows.truncate(usize::try_from(size + 1).unwrap_or_default());
    let ids: Vec<Id> = rows.iter().map(|(id, ..)| *id).collect();
    let mut people = hold::people(conn, &ids).await?;
    let row = |(account_id, role, offered, create_time): (Id, String, bool, Time)| MemberRow {
        account_id,
        role: Role::stored(&role),
        offered,
        create_time,
        account: people.remove(&account_id),
    };
    Ok(rows.into_iter().map(row).collect())
}

/// The members but for the owner, those who came first in front.
async fn others(
    conn: &mut Conn,
    project: &ProjectRow,
    after: Option<(Time, Id)>,
    most: i64,
) -> Result<Vec<(Id, String, bool, Time)>, DbError> {
    // Nobody came before the first one.
    let (time, id) = after.unwrap_or((DateTime::UNIX_EPOCH.naive_utc(), Id::NIL));
    let same = member::create_time.eq(time).and(member::account_id.gt(id));
    let behind = member::create_time.gt(time).or(same);
    let of_project = member::project_id.eq(project.id).and(member::account_id.ne(project.owner_id));
    let query = member::table.filter(of_project.and(behind));
    let query = query.order((member::create_time, member::account_id)).limit(most);
    let query = query.select((member::account_id, member::role, member::offered, member::create_time));
    on!(conn, |db| query.load(db).await)
}

/// The account of somebody who can be found; it is not erased before the transaction ends.
async fn found(conn: &mut Conn, person: &Person) -> Result<Id, Error> {
    let nobody = || {
        Error::PersonNotFound(match person {
            Person::Account(id) => id.to_string(),
            Person::Address { text, .. } => text.clone(),
        })
    };
    let id = match person {
        Person::Account(id) => *id,
        Person::Address { key, .. } => hold::by_address(conn, key).await?.ok_or_else(nobody)?,
    };
    if hold::missing(conn, &[id]).await?.is_some() { Err(nobody()) } else { Ok(id) }
}

async fn put(conn: &mut Conn, project_id: Id, account_id: Id, role: Role, now: Time) -> Result<MemberRow, Error> {
    let there = member::table.find((project_id, account_id));
    let change = diesel::update(there).set(member::role.eq(role.name()));
    let change = change.returning((member::offered, member::create_time));
    let changed: Option<(bool, Time)> = on!(conn, |db| change.get_result(db).await.optional())?;
    if changed.is_none() {
        let all = member::table.filter(member::project_id.eq(project_id)).count();
        let all: i64 = on!(conn, |db| all.get_result(db).await)?;
        if all >= i64::from(MEMBERS) {
            return Err(Error::MemberLimit(MEMBERS));
        }
        let row = (
            member::project_id.eq(project_id),
            member::account_id.eq(account_id),
            member::role.eq(role.name()),
            member::create_time.eq(now),
        );
        on!(conn, |db| diesel::insert_into(member::table).values(row).execute(db).await)?;
    }
    let account = hold::people(conn, &[account_id]).await?.remove(&account_id);
    let (offered, create_time) = changed.unwrap_or((false, now));
    Ok(MemberRow { account_id, role, offered, create_time, account })
}
