//! What follows from changes of accounts, whose copy the chassis keeps: places in classes, invitations, and what is removed with an account.

use std::collections::HashSet;

use quartet_chassis::accounts::{AccountRow, Keeper, Removed, Step, count};
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;

use super::enrolment::{reorder, students_among};
use super::invitation::{follow, forget_address};
use super::{Store, course_erasure};

impl Keeper for Store {
    async fn changed(&self, conn: &mut Conn, changes: &[(AccountRow, Option<AccountRow>)]) -> Result<(), DbError> {
        // Who was not known may take courses already.
        let new: Vec<Id> = changes.iter().filter(|(_, old)| old.is_none()).map(|(row, _)| row.id).collect();
        let students = students_among(conn, &new).await?;
        for (row, old) in changes {
            change(conn, row, old.as_ref(), &students).await?;
        }
        Ok(())
    }

    async fn begin_erasure(&self, conn: &mut Conn, old: &AccountRow, removed: &mut Removed) -> Result<(), DbError> {
        let invitations = forget_address(conn, old.own_email_key()).await?;
        count(removed, "invitation", invitations);
        Ok(())
    }

    async fn erase_some(&self, conn: &mut Conn, account_id: Id, removed: &mut Removed) -> Result<Step, DbError> {
        let done = course_erasure::erase_some(conn, account_id, self.now(), removed).await?;
        Ok(if done { Step::Done } else { Step::Again })
    }
}

async fn change(
    conn: &mut Conn,
    row: &AccountRow,
    old: Option<&AccountRow>,
    students: &HashSet<Id>,
) -> Result<(), DbError> {
    let old_key = old.map(AccountRow::own_email_key).unwrap_or_default();
    if !old_key.is_empty() && old_key != row.email_key {
        follow(conn, row.id, old_key).await?;
    }
    let names = |row: &AccountRow| (row.first_name.clone(), row.last_name.clone());
    if old.map_or(students.contains(&row.id), |old| names(old) != names(row)) {
        reorder(conn, row.id, &row.first_name, &row.last_name).await?;
    }
    Ok(())
}
