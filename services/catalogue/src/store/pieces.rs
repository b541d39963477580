//! Statements that are put together of pieces: text that is part of the program, and values, which are always bound.

use std::marker::PhantomData;

use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, Binary, HasSqlType, Text};
use quartet_chassis::id::Id;

/// A piece of a statement.
#[derive(Clone, Copy)]
pub enum Piece<'a> {
    Sql(&'static str),
    Id(&'a Id),
    Text(&'a str),
    Number(i64),
}

/// A statement whose rows have the type `R`.
pub struct Pieces<'a, R> {
    pieces: Vec<Piece<'a>>,
    rows: PhantomData<fn() -> R>,
}

impl<'a, R> Pieces<'a, R> {
    pub fn new(pieces: impl IntoIterator<Item = Piece<'a>>) -> Pieces<'a, R> {
        Pieces { pieces: pieces.into_iter().collect(), rows: PhantomData }
    }
}

impl<R> Query for Pieces<'_, R> {
    type SqlType = R;
}

impl<R> QueryId for Pieces<'_, R> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<R, DB> QueryFragment<DB> for Pieces<'_, R>
where
    DB: Backend + HasSqlType<Binary> + HasSqlType<Text> + HasSqlType<BigInt>,
    Id: ToSql<Binary, DB>,
    str: ToSql<Text, DB>,
    i64: ToSql<BigInt, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        for piece in &self.pieces {
            match piece {
                Piece::Sql(text) => out.push_sql(text),
                Piece::Id(id) => out.push_bind_param::<Binary, Id>(id)?,
                Piece::Text(text) => out.push_bind_param::<Text, str>(text)?,
                Piece::Number(number) => out.push_bind_param::<BigInt, i64>(number)?,
            }
        }
        Ok(())
    }
}
