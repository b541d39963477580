//! Fills the search index with movies that it lacks: those of an installation that was there before it, and all when the rules change by
//! which texts become words.

use diesel::prelude::*;
use diesel::sql_types::Binary;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::index::index;
use super::movie::MovieRow;
use super::pieces::{Piece, Pieces};
use super::state::{State, done, next_number};
use crate::schema::{movie, movie_state};
use crate::search::doc::{Doc, VERSION};

/// How many movies are taken in at once.
const STEP: i64 = 500;

impl Store {
    /// Fills the index and answers how many movies it lacked. Two who do it at once wait for each other.
    pub async fn fill_index(&self) -> Result<usize, DbError> {
        if self.state().await?.search_version != VERSION {
            self.db.bulk(async |conn| empty_index(conn).await).await?;
        }
        let mut filled = 0;
        let mut after = Some(Id::NIL);
        while let Some(last) = after {
            // Looked for without a lock: mostly there is nothing.
            if missing(&mut self.db.scan().await?, last).await?.is_empty() {
                break;
            }
            let number;
            (after, filled, number) = self
                .db
                .bulk(async |conn| {
                    let number = next_number(conn).await?;
                    let ids = missing(conn, last).await?;
                    take_in(conn, &ids, number).await?;
                    done(conn, number).await?;
                    Ok::<_, DbError>((ids.last().copied(), filled + ids.len(), number))
                })
                .await?;
            self.tell(number);
        }
        Ok(filled)
    }
}

/// Empties an index that was made by other rules.
async fn empty_index(conn: &mut Conn) -> Result<(), DbError> {
    next_number(conn).await?;
    let state: State = on!(conn, |db| movie_state::table.select(State::as_select()).first(db).await)?;
    if state.search_version == VERSION {
        return Ok(());
    }
    if state.search_version != 0 {
        if !matches!(conn, Conn::Postgres(_)) {
            let words = diesel::sql_query("insert into movie_words (movie_words) values ('delete-all')");
            on!(conn, |db| words.execute(db).await)?;
        }
        on!(conn, |db| diesel::sql_query("delete from movie_search").execute(db).await)?;
    }
    let state = diesel::update(movie_state::table).set(movie_state::search_version.eq(VERSION));
    on!(conn, |db| state.execute(db).await).map(drop)
}

/// The next movies that the index lacks, by their ids.
async fn missing(conn: &mut Conn, after: Id) -> Result<Vec<Id>, DbError> {
    let statement = Pieces::<Binary>::new([
        Piece::Sql("select m.movie_id from movie m where m.movie_id > "),
        Piece::Id(&after),
        Piece::Sql(
            " and not exists (select 1 from movie_search s where s.movie_id = m.movie_id) order by m.movie_id limit ",
        ),
        Piece::Number(STEP),
    ]);
    on!(conn, |db| statement.load(db).await)
}

/// Puts movies into the index, and gives those a number that came before changes had one.
async fn take_in(conn: &mut Conn, ids: &[Id], number: i64) -> Result<(), DbError> {
    let rows: Vec<MovieRow> = on!(conn, |db| {
        movie::table.filter(movie::movie_id.eq_any(ids)).select(MovieRow::as_select()).load(db).await
    })?;
    let docs: Vec<Doc> = rows.iter().map(|row| Doc::new(row.movie_id, &row.movie())).collect();
    index(conn, &docs.iter().collect::<Vec<_>>(), false).await?;
    let numbered = diesel::update(movie::table)
        .filter(movie::movie_id.eq_any(ids).and(movie::change_number.eq(0)))
        .set(movie::change_number.eq(number));
    on!(conn, |db| numbered.execute(db).await).map(drop)
}
