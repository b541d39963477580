//! Statements with many rows of values, mostly inserts, which diesel-async can't say on SQLite.
//!
//! PostgreSQL gets an array per column (`insert … select * from unnest($1, $2)`), so that its statement is one and the same for any
//! number of rows; SQLite gets a list of rows.

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Double, Integer, Nullable, Text, Timestamp};
use diesel::sqlite::Sqlite;
use diesel_async::RunQueryDsl as _;

use super::{Conn, DbError};
use crate::clock::Time;
use crate::id::Id;
use crate::on;

/// How many values a statement on SQLite binds at most. It would take 32,766; the statement is prepared faster than it runs below this.
const BINDS: usize = 8_000;

/// The values of a column.
pub enum Column<'a> {
    Ids(Vec<Id>),
    Texts(Vec<&'a str>),
    MaybeTexts(Vec<Option<&'a str>>),
    Bytes(Vec<&'a [u8]>),
    Integers(Vec<i32>),
    Numbers(Vec<i64>),
    Scores(Vec<f64>),
    Times(Vec<Time>),
    Flags(Vec<bool>),
}

/// Rows of values, column by column, and the statement around them.
pub struct Rows<'a> {
    /// What stands before them: `insert into movie (movie_id, …)`, or `with fresh (id, number) as (`.
    pub before: &'static str,
    pub columns: Vec<Column<'a>>,
    pub count: usize,
    /// What stands behind them: ` on conflict … returning …`.
    pub after: &'static str,
}

impl Rows<'_> {
    /// Runs the statement and answers what it returns: an id and a text for each row.
    pub async fn returning(&self, conn: &mut Conn) -> Result<Vec<(Id, String)>, DbError> {
        let mut returned = Vec::new();
        for part in self.parts(conn) {
            returned.append(&mut on!(conn, |db| part.load::<(Id, String)>(db).await)?);
        }
        Ok(returned)
    }

    /// Runs the statement.
    pub async fn run(&self, conn: &mut Conn) -> Result<(), DbError> {
        for part in self.parts(conn) {
            on!(conn, |db| part.execute(db).await)?;
        }
        Ok(())
    }

    fn parts(&self, conn: &Conn) -> Vec<Part<'_>> {
        let most = match conn {
            Conn::Postgres(_) => usize::MAX,
            Conn::Reader(_) | Conn::Writer(_) => BINDS / self.columns.len().max(1),
        };
        let starts = (0..self.count).step_by(most.min(self.count.max(1)));
        starts.map(|start| Part { rows: self, start, end: self.count.min(start.saturating_add(most)), most }).collect()
    }
}

/// As many of the rows as go into one statement.
#[derive(Clone, Copy)]
struct Part<'a> {
    rows: &'a Rows<'a>,
    start: usize,
    end: usize,
    most: usize,
}

impl Query for Part<'_> {
    type SqlType = (Binary, Text);
}

impl QueryId for Part<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Pg> for Part<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(self.rows.before);
        out.push_sql(" select * from unnest(");
        for (index, column) in self.rows.columns.iter().enumerate() {
            if index > 0 {
                out.push_sql(", ");
            }
            match column {
                Column::Ids(values) => out.push_bind_param::<Array<Binary>, _>(values)?,
                Column::Texts(values) => out.push_bind_param::<Array<Text>, _>(values)?,
                Column::MaybeTexts(values) => out.push_bind_param::<Array<Nullable<Text>>, _>(values)?,
                Column::Bytes(values) => out.push_bind_param::<Array<Binary>, _>(values)?,
                Column::Integers(values) => out.push_bind_param::<Array<Integer>, _>(values)?,
                Column::Numbers(values) => out.push_bind_param::<Array<BigInt>, _>(values)?,
                Column::Scores(values) => out.push_bind_param::<Array<Double>, _>(values)?,
                Column::Times(values) => out.push_bind_param::<Array<Timestamp>, _>(values)?,
                Column::Flags(values) => out.push_bind_param::<Array<Bool>, _>(values)?,
            }
        }
        out.push_sql(")");
        out.push_sql(self.rows.after);
        Ok(())
    }
}

impl QueryFragment<Sqlite> for Part<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        // A single row and a full part have the same text each time and are worth keeping prepared, the rest is not.
        let count = self.end - self.start;
        if count > 1 && count < self.most {
            out.unsafe_to_cache_prepared();
        }
        out.push_sql(self.rows.before);
        out.push_sql(" values ");
        for row in self.start..self.end {
            out.push_sql(if row == self.start { "(" } else { "), (" });
            for (index, column) in self.rows.columns.iter().enumerate() {
                if index > 0 {
                    out.push_sql(", ");
                }
                push_value(&mut out, column, row)?;
            }
        }
        out.push_sql(")");
        out.push_sql(self.rows.after);
        Ok(())
    }
}

fn push_value<'b>(out: &mut AstPass<'_, 'b, Sqlite>, column: &'b Column<'b>, row: usize) -> QueryResult<()> {
    match column {
        Column::Ids(values) => out.push_bind_param::<Binary, Id>(at(values, row)?),
        Column::Texts(values) => out.push_bind_param::<Text, &str>(at(values, row)?),
        Column::MaybeTexts(values) => out.push_bind_param::<Nullable<Text>, Option<&str>>(at(values, row)?),
        Column::Bytes(values) => out.push_bind_param::<Binary, &[u8]>(at(values, row)?),
        Column::Integers(values) => out.push_bind_param::<Integer, i32>(at(values, row)?),
        Column::Numbers(values) => out.push_bind_param::<BigInt, i64>(at(values, row)?),
        Column::Scores(values) => out.push_bind_param::<Double, f64>(at(values, row)?),
        Column::Times(values) => out.push_bind_param::<Timestamp, Time>(at(values, row)?),
        Column::Flags(values) => out.push_bind_param::<Bool, bool>(at(values, row)?),
    }
}

fn at<T>(values: &[T], row: usize) -> QueryResult<&T> {
    values.get(row).ok_or_else(|| diesel::result::Error::QueryBuilderError("a column is too short".into()))
}
