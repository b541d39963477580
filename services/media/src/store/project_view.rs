//! Projects with what is told of them beside their rows, and lists of them.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::accounts::hold::people;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::media::{File, Listed, files_in};
use super::project::{ProjectRow, role_in};
use super::usage;
use crate::error::Error;
use crate::project::{NEWEST, Role};
use crate::schema::{member, project};

/// A project as one of its members sees it.
#[derive(Debug)]
pub struct ProjectView {
    pub row: ProjectRow,
    pub role: Role,
    /// As far as it is known here.
    pub owner_name: String,
    /// The newest files, where they were asked for.
    pub media: Vec<File>,
}

/// Which projects of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Of which it is a member.
    Member,
    Owned,
    /// Those it has deleted and can still take back.
    Deleted,
}

/// A part of the list of an account's projects, the newest first.
#[derive(Debug, Clone)]
pub struct ProjectList {
    pub account: Id,
    pub scope: Scope,
    /// Behind this one.
    pub after: Option<Id>,
    pub size: i64,
    pub with_media: bool,
}

impl Store {
    pub async fn project(&self, id: Id, caller: Id, with_media: bool) -> Result<Option<ProjectView>, DbError> {
        self.db
            .snapshot(async |conn| {
                let Some(found) = role_in(conn, id, caller).await? else { return Ok(None) };
                Ok::<_, DbError>(views(conn, vec![found], with_media).await?.pop())
            })
            .await
    }

    /// As many projects as asked for, and one more if there are more; and how many there are in all.
    pub async fn projects(&self, list: &ProjectList) -> Result<(Vec<ProjectView>, i64), DbError> {
        let now = self.now();
        self.db
            .long_snapshot(async |conn| {
                let (rows, count) = match list.scope {
                    Scope::Deleted => deleted(conn, list, now).await?,
                    Scope::Member | Scope::Owned => theirs(conn, list).await?,
                };
                Ok::<_, DbError>((views(conn, rows, list.with_media).await?, count))
            })
            .await
    }

    /// How many bytes the projects of an account take.
    pub async fn used_bytes(&self, account: Id) -> Result<i64, DbError> {
        let conn = &mut self.db.read().await?;
        usage::used_bytes(conn, account).await
    }
}

/// A project without its files.
pub async fn one(conn: &mut Conn, row: ProjectRow, role: Role) -> Result<ProjectView, Error> {
    let owner_name = owner_names(conn, &[row.owner_id]).await?.remove(&row.owner_id).unwrap_or_default();
    Ok(ProjectView { row, role, owner_name, media: Vec::new() })
}

async fn theirs(conn: &mut Conn, list: &ProjectList) -> Result<(Vec<(ProjectRow, Role)>, i64), DbError> {
    let roles = match list.scope {
        Scope::Owned => vec![Role::Owner],
        _ => vec![Role::Viewer, Role::Editor, Role::Owner],
    };
    let roles: Vec<&str> = roles.into_iter().map(Role::name).collect();
    let mine = member::account_id.eq(list.account).and(member::role.eq_any(roles));
    let there = project::table
        .inner_join(member::table.on(member::project_id.eq(project::id)))
        .filter(mine.and(project::delete_time.is_null()));
    let all = there.clone().count();
    let count: i64 = on!(conn, |db| all.get_result(db).await)?;
    let page = there.filter(member::project_id.lt(list.after.unwrap_or(Id::MAX)));
    let page = page.order(member::project_id.desc()).limit(list.size + 1);
    let rows: Vec<(ProjectRow, String)> =
        on!(conn, |db| page.select((ProjectRow::as_select(), member::role)).load(db).await)?;
    Ok((rows.into_iter().map(|(row, role)| (row, Role::stored(&role))).collect(), count))
}

async fn deleted(conn: &mut Conn, list: &ProjectList, now: Time) -> Result<(Vec<(ProjectRow, Role)>, i64), DbError> {
    let there = project::table.filter(project::owner_id.eq(list.account)).filter(project::purge_time.gt(now));
    let all = there.count();
    let count: i64 = on!(conn, |db| all.get_result(db).await)?;
    let page = there.filter(project::id.lt(list.after.unwrap_or(Id::MAX)));
    let page = page.order(project::id.desc()).limit(list.size + 1);
    let rows: Vec<ProjectRow> = on!(conn, |db| page.select(ProjectRow::as_select()).load(db).await)?;
    Ok((rows.into_iter().map(|row| (row, Role::Owner)).collect(), count))
}

async fn views(conn: &mut Conn, rows: Vec<(ProjectRow, Role)>, with_media: bool) -> Result<Vec<ProjectView>, DbError> {
    let owners: Vec<Id> = rows.iter().map(|(row, _)| row.owner_id).collect();
    let names = owner_names(conn, &owners).await?;
    let mut views = Vec::with_capacity(rows.len());
    for (row, role) in rows {
        let owner_name = names.get(&row.owner_id).cloned().unwrap_or_default();
        let media = if with_media { newest(conn, row.id).await? } else { Vec::new() };
        views.push(ProjectView { row, role, owner_name, media });
    }
    Ok(views)
}

async fn newest(conn: &mut Conn, project_id: Id) -> Result<Vec<File>, DbError> {
    files_in(conn, &Listed { project_id, kind: None, before: Id::MAX, size: NEWEST - 1 }).await
}

async fn owner_names(conn: &mut Conn, ids: &[Id]) -> Result<HashMap<Id, String>, DbError> {
    Ok(people(conn, ids).await?.into_iter().map(|(id, account)| (id, account.name())).collect())
}
