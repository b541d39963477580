//! Courses with what is told of them beside their rows, and lists of them.

use std::collections::{HashMap, HashSet};

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::accounts::hold::people;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::course::CourseRow;
use super::course_removal::DELETED;
use crate::course::PUBLISHED;
use crate::right::{Asker, Right, Ties};
use crate::schema::{content_block, course, course_teacher, enrolment, section};

/// A course as somebody sees it.
#[derive(Debug)]
pub struct CourseView {
    pub row: CourseRow,
    pub owner_name: String,
    /// Whether all of it is told: drafts count, and the code is shown.
    pub taught: bool,
    pub sections: i64,
    pub blocks: i64,
}

/// Which courses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Published,
    Teaching(Id),
    Taking(Id),
}

/// A part of the list of courses, the newest first.
#[derive(Debug, Clone)]
pub struct CourseList {
    pub scope: Scope,
    /// As [`crate::course::title_prefix`] gives it.
    pub prefix: String,
    /// Behind this one.
    pub after: Option<Id>,
    pub size: i64,
}

/// A page of a list that is filtered already.
macro_rules! page {
    ($conn:expr, $list:expr, $filtered:expr) => {{
        // No id is as great as this one.
        let after = $list.after.unwrap_or(Id::MAX);
        let words = format!("%{}%", $list.prefix);
        let there = course::state.ne(DELETED);
        let query = $filtered.filter(there.and(course::id.lt(after)).and(course::title_key.like(words)));
        let query = query.order(course::id.desc()).limit($list.size + 1);
        let rows: Vec<CourseRow> = on!($conn, |db| query.select(CourseRow::as_select()).load(db).await)?;
        rows
    }};
}

impl Store {
    /// As many courses as asked for, and one more if there are more.
    pub async fn courses(&self, list: &CourseList, asker: &Asker) -> Result<Vec<CourseView>, DbError> {
        self.db
            .long_snapshot(async |conn| {
                let rows = listed(conn, list).await?;
                views(conn, rows, asker).await
            })
            .await
    }
}

async fn listed(conn: &mut Conn, list: &CourseList) -> Result<Vec<CourseRow>, DbError> {
    let rows = match list.scope {
        Scope::Published => {
            let published = course::state.eq(PUBLISHED);
            page!(conn, list, course::table.filter(published))
        }
        Scope::Teaching(account) => {
            let taught = course_teacher::table.filter(course_teacher::account_id.eq(account));
            let taught = course::id.eq_any(taught.select(course_teacher::course_id));
            page!(conn, list, course::table.filter(course::owner_id.eq(account).or(taught)))
        }
        Scope::Taking(account) => {
            let taken = enrolment::student_id.eq(account).and(enrolment::active.eq(true));
            let taken = enrolment::table.filter(taken).select(enrolment::course_id);
            let taken = course::id.eq_any(taken).and(course::state.ne("DRAFT"));
            page!(conn, list, course::table.filter(taken))
        }
    };
    Ok(rows)
}

/// Adds to courses, which the asker sees, what is told of them.
pub async fn views(conn: &mut Conn, rows: Vec<CourseRow>, asker: &Asker) -> Result<Vec<CourseView>, DbError> {
    let ids: Vec<Id> = rows.iter().map(|row| row.id).collect();
    let owners = names(conn, rows.iter().map(|row| row.owner_id).collect()).await?;
    let taught = taught_among(conn, &ids, asker).await?;
    let sections = section_counts(conn, &ids).await?;
    let blocks = block_counts(conn, &ids).await?;
    let view = |row: CourseRow| {
        let ties = Ties { owner: asker.is(row.owner_id), teacher: taught.contains(&row.id), student: false };
        let taught = Right::of(row.state(), asker, ties).teaches();
        let sum = |counts: &[(Id, bool, i64)]| {
            let counted = counts.iter().filter(|(id, published, _)| *id == row.id && (taught || *published));
            counted.map(|(.., count)| count).sum()
        };
        CourseView {
            owner_name: owners.get(&row.owner_id).cloned().unwrap_or_default(),
            taught,
            sections: sum(&sections),
            blocks: sum(&blocks),
            row,
        }
    };
    Ok(rows.into_iter().map(view).collect())
}

async fn taught_among(conn: &mut Conn, ids: &[Id], asker: &Asker) -> Result<HashSet<Id>, DbError> {
    let Some(account) = asker.account_id else { return Ok(HashSet::new()) };
    let taught = course_teacher::account_id.eq(account).and(course_teacher::course_id.eq_any(ids));
    let query = course_teacher::table.filter(taught).select(course_teacher::course_id);
    let taught: Vec<Id> = on!(conn, |db| query.load(db).await)?;
    Ok(taught.into_iter().collect())
}

/// How many sections courses have, apart for those that are published.
async fn section_counts(conn: &mut Conn, ids: &[Id]) -> Result<Vec<(Id, bool, i64)>, DbError> {
    let query = section::table
        .filter(section::course_id.eq_any(ids))
        .group_by((section::course_id, section::state))
        .select((section::course_id, section::state, count_star()));
    let rows: Vec<(Id, String, i64)> = on!(conn, |db| query.load(db).await)?;
    Ok(rows.into_iter().map(|(id, state, count)| (id, state == PUBLISHED, count)).collect())
}

/// How many blocks courses have, apart for those that are published in what is published.
async fn block_counts(conn: &mut Conn, ids: &[Id]) -> Result<Vec<(Id, bool, i64)>, DbError> {
    let query = content_block::table
        .inner_join(section::table.on(section::id.eq(content_block::section_id)))
        .filter(content_block::course_id.eq_any(ids))
        .group_by((content_block::course_id, content_block::state, section::state))
        .select((content_block::course_id, content_block::state, section::state, count_star()));
    let rows: Vec<(Id, String, String, i64)> = on!(conn, |db| query.load(db).await)?;
    let published = |block: &str, section: &str| block == PUBLISHED && section == PUBLISHED;
    Ok(rows.into_iter().map(|(id, block, section, count)| (id, published(&block, &section), count)).collect())
}

/// The names of accounts, as far as they are known here.
async fn names(conn: &mut Conn, ids: Vec<Id>) -> Result<HashMap<Id, String>, DbError> {
    Ok(people(conn, &ids).await?.into_iter().map(|(id, account)| (id, account.name())).collect())
}
