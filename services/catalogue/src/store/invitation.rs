//! Invitations to courses.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::course::CourseRow;
use super::course_right::{must_teach, right_in, taught};
use super::person::reachable;
use super::pieces::{Piece, Pieces};
use crate::error::Error;
use crate::right::Asker;
use crate::schema::{course_teacher, enrolment, invitation};
use quartet_chassis::accounts::address::Address;

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = invitation)]
pub struct InvitationRow {
    pub id: Id,
    pub account_id: Option<Id>,
    pub email: String,
    pub create_time: Time,
}

/// Whom an invitation is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invited {
    Account(Id),
    Address(Address),
}

impl Invited {
    fn account(&self) -> Option<Id> {
        match self {
            Invited::Account(id) => Some(*id),
            Invited::Address(_) => None,
        }
    }
}

impl Store {
    /// Invites people, all or none, and answers how many were not invited before.
    pub async fn invite(&self, course: Id, asker: &Asker, people: &[Invited]) -> Result<usize, Error> {
        self.db
            .transaction(async |conn| {
                let row = taught(conn, course, asker).await?;
                row.changeable()?;
                let accounts: Vec<Id> = people.iter().filter_map(Invited::account).collect();
                reachable(conn, &accounts).await?;
                let mut invited = 0;
                for person in people {
                    if let Invited::Account(id) = person
                        && belongs(conn, &row, *id).await?
                    {
                        continue;
                    }
                    invited += self.put_invitation(conn, course, person).await?;
                }
                Ok(invited)
            })
            .await
    }

    async fn put_invitation(&self, conn: &mut Conn, course: Id, person: &Invited) -> Result<usize, DbError> {
        let (account, key, email) = match person {
            Invited::Account(id) => (Some(*id), None, ""),
            Invited::Address(address) => (None, Some(address.key.as_str()), address.text.as_str()),
        };
        let row = (
            invitation::id.eq(self.new_id()),
            invitation::course_id.eq(course),
            invitation::account_id.eq(account),
            invitation::email_key.eq(key),
            invitation::email.eq(email),
            invitation::create_time.eq(self.clock.now()),
        );
        on!(conn, |db| diesel::insert_into(invitation::table).values(row).on_conflict_do_nothing().execute(db).await)
    }

    /// A page of invitations, the newest first, and one more if there are more.
    pub async fn invitations(
        &self,
        course: Id,
        asker: &Asker,
        before: Option<Id>,
        size: i64,
    ) -> Result<Vec<InvitationRow>, Error> {
        self.db
            .snapshot(async |conn| {
                must_teach(right_in(conn, course, asker).await?, course)?;
                let page = invitation::table
                    .filter(invitation::course_id.eq(course))
                    .filter(invitation::id.lt(before.unwrap_or(Id::MAX)))
                    .order(invitation::id.desc())
                    .limit(size + 1);
                let rows: Vec<InvitationRow> = on!(conn, |db| page.select(InvitationRow::as_select()).load(db).await)?;
                Ok::<_, Error>(rows)
            })
            .await
    }

    pub async fn revoke_invitation(&self, course: Id, asker: &Asker, person: &Invited) -> Result<(), Error> {
        self.db
            .transaction(async |conn| {
                taught(conn, course, asker).await?.changeable()?;
                match person {
                    Invited::Account(id) => forget_account(conn, course, *id).await?,
                    Invited::Address(address) => revoke_address(conn, course, &address.key).await?,
                }
                Ok(())
            })
            .await
    }
}

/// Whether somebody teaches or takes a course.
async fn belongs(conn: &mut Conn, row: &CourseRow, id: Id) -> Result<bool, DbError> {
    let teachers = course_teacher::table.find((row.id, id)).count();
    let teachers: i64 = on!(conn, |db| teachers.get_result(db).await)?;
    let students = enrolment::table.find((row.id, id)).filter(enrolment::active).count();
    let students: i64 = on!(conn, |db| students.get_result(db).await)?;
    Ok(row.owner_id == id || teachers + students > 0)
}

/// Whether somebody is invited, by their account or by an address of theirs, the one that they have or one that they had when it was
/// invited.
pub async fn is_invited(conn: &mut Conn, course: Id, account: Id, email_key: &str) -> Result<bool, DbError> {
    let statement = Pieces::<BigInt>::new([
        Piece::Sql("select count(*) from invitation where course_id = "),
        Piece::Id(&course),
        Piece::Sql(" and (account_id = "),
        Piece::Id(&account),
        Piece::Sql(" or follows_id = "),
        Piece::Id(&account),
        Piece::Sql(" or (follows_id is null and email_key = "),
        Piece::Text(email_key),
        Piece::Sql("))"),
    ]);
    let count: i64 = on!(conn, |db| statement.get_result(db).await)?;
    Ok(count > 0)
}

/// Who has come needs no invitation any more.
pub async fn use_up(conn: &mut Conn, course: Id, account: Id, email_key: &str) -> Result<(), DbError> {
    forget_account(conn, course, account).await?;
    let own = invitation::table.filter(invitation::course_id.eq(course)).filter(invitation::follows_id.eq(account));
    on!(conn, |db| diesel::delete(own).execute(db).await)?;
    let own = invitation::table.filter(invitation::course_id.eq(course)).filter(invitation::email_key.eq(email_key));
    let own = own.filter(invitation::follows_id.is_null());
    on!(conn, |db| diesel::delete(own).execute(db).await).map(drop)
}

/// Takes the invitation of an account back.
pub async fn forget_account(conn: &mut Conn, course: Id, account: Id) -> Result<(), DbError> {
    let own = invitation::table.filter(invitation::course_id.eq(course)).filter(invitation::account_id.eq(account));
    on!(conn, |db| diesel::delete(own).execute(db).await).map(drop)
}

async fn revoke_address(conn: &mut Conn, course: Id, email_key: &str) -> Result<(), DbError> {
    let own = invitation::table.filter(invitation::course_id.eq(course)).filter(invitation::email_key.eq(email_key));
    on!(conn, |db| diesel::delete(own).execute(db).await).map(drop)
}

/// Takes back every invitation of the address of somebody who is being erased, and answers how many those were.
pub async fn forget_address(conn: &mut Conn, email_key: &str) -> Result<i64, DbError> {
    if email_key.is_empty() {
        return Ok(0);
    }
    let own = invitation::table.filter(invitation::email_key.eq(email_key)).filter(invitation::follows_id.is_null());
    let gone: usize = on!(conn, |db| diesel::delete(own).execute(db).await)?;
    Ok(i64::try_from(gone).unwrap_or(i64::MAX))
}

/// Makes the invitations of an address those of the account that had it: an invitation follows who was meant, and is found when they are
/// erased. To the teachers it is one of the address still, and tells nothing of whose that was.
pub async fn follow(conn: &mut Conn, account: Id, old_key: &str) -> Result<(), DbError> {
    let own = invitation::table.filter(invitation::email_key.eq(old_key)).filter(invitation::follows_id.is_null());
    on!(conn, |db| diesel::update(own).set(invitation::follows_id.eq(Some(account))).execute(db).await).map(drop)
}
