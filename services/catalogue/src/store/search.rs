//! Searching: the one question that the two databases are asked in words of their own. They give the same movies, in any order.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Double, Integer, Nullable, Text};
use diesel_async::RunQueryDsl;
use futures_util::TryStreamExt as _;
use quartet_chassis::db::{Conn, DbError, PgConn, within};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::movie::MovieRow;
use super::pieces::{Piece, Pieces};
use crate::filter::MovieFilter;
use crate::schema::{country, movie, movie_state};
use crate::search::found::{Candidate, Finder};
use crate::search::query::Query;

/// How many candidates are read from SQLite at once. After each part others get their turn.
const PART: usize = 4000;

type Row = (Binary, Text, Text, Text, Nullable<Text>, Integer, Integer, Double, Nullable<Text>, BigInt);
type Values = (Id, String, String, String, Option<String>, i32, i32, f64, Option<String>, i64);

const COLUMNS: &str =
    "select s.movie_id, s.titles, s.genres, s.languages, s.country_code, s.release_year, s.status, s.score, ";
const OVERVIEW: &str = "(select m.overview from movie m where m.movie_id = s.movie_id), ";
const NO_OVERVIEW: &str = "null, ";

impl Store {
    /// Hands every movie that has the words, and one of the actors, to `finder`.
    pub async fn candidates(
        &self,
        query: &Query,
        filter: &MovieFilter,
        finder: &mut Finder<'_>,
    ) -> Result<(), DbError> {
        if query.is_void() {
            return Ok(());
        }
        match &mut self.db.scan().await? {
            Conn::Postgres(conn) => stream(conn, query, filter, finder).await,
            conn => read_parts(conn, query, filter, finder).await,
        }
    }

    /// The rows of these movies in any order, each with the number of the catalogue's state.
    pub async fn movies_of(&self, ids: &[Id]) -> Result<Vec<(MovieRow, Option<i64>)>, DbError> {
        let conn = &mut self.db.read().await?;
        on!(conn, |db| {
            let version = movie_state::table.select(movie_state::version).single_value();
            movie::table.filter(movie::movie_id.eq_any(ids)).select((MovieRow::as_select(), version)).load(db).await
        })
    }

    /// The names of countries, by code.
    pub async fn names_of_countries(&self, codes: &[&str]) -> Result<Vec<(String, String)>, DbError> {
        let conn = &mut self.db.read().await?;
        on!(conn, |db| country::table
            .filter(country::country_code.eq_any(codes))
            .select((country::country_code, country::name))
            .load(db)
            .await)
    }
}

/// PostgreSQL sends the rows as they come.
async fn stream(
    conn: &mut PgConn,
    query: &Query,
    filter: &MovieFilter,
    finder: &mut Finder<'_>,
) -> Result<(), DbError> {
    let words = on_postgres(query);
    let mut pieces = begin(query);
    pieces.push(Piece::Sql("0::bigint from movie_search s where "));
    if query.everything {
        pieces.push(Piece::Sql("true"));
    } else {
        pieces.extend([Piece::Sql("s.words @@ "), Piece::Text(&words), Piece::Sql("::tsquery")]);
    }
    push_actors(&mut pieces, &filter.actors);
    let limit = conn.limit();
    let statement = Pieces::<Row>::new(pieces);
    let mut rows = within(limit, statement.load_stream::<Values>(conn.inner())).await?;
    while let Some(row) = within(limit, rows.try_next()).await? {
        finder.take(&candidate(row));
    }
    Ok(())
}

/// SQLite gives part after part: it would otherwise give all at once.
async fn read_parts(
    conn: &mut Conn,
    query: &Query,
    filter: &MovieFilter,
    finder: &mut Finder<'_>,
) -> Result<(), DbError> {
    let words = on_sqlite(query);
    let mut last = 0;
    loop {
        let mut pieces = begin(query);
        if query.everything {
            pieces.push(Piece::Sql("s.search_id from movie_search s where s.search_id > "));
        } else {
            let from = "s.search_id from movie_words w cross join movie_search s on s.search_id = w.rowid \
                        where w.movie_words match ";
            pieces.extend([Piece::Sql(from), Piece::Text(&words), Piece::Sql(" and w.rowid > ")]);
        }
        pieces.push(Piece::Number(last));
        push_actors(&mut pieces, &filter.actors);
        pieces.push(Piece::Sql(if query.everything {
            " order by s.search_id limit "
        } else {
            " order by w.rowid limit "
        }));
        pieces.push(Piece::Number(PART as i64));
        let statement = Pieces::<Row>::new(pieces);
        let rows: Vec<Values> = on!(&mut *conn, |db| statement.load(db).await)?;
        let count = rows.len();
        last = rows.last().map_or(last, |row| row.9);
        rows.into_iter().map(candidate).for_each(|candidate| finder.take(&candidate));
        if count < PART {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

fn begin<'a>(query: &Query) -> Vec<Piece<'a>> {
    vec![Piece::Sql(COLUMNS), Piece::Sql(if query.is_to_be_checked() { OVERVIEW } else { NO_OVERVIEW })]
}

fn candidate(row: Values) -> Candidate {
    let (id, titles, genres, languages, country_code, release_year, status, score, overview, _) = row;
    Candidate { id, titles, genres, languages, country_code, release_year, status, score, overview }
}

/// Words hold letters and digits only, so that within quotes nothing of them is read as anything else.
fn on_postgres(query: &Query) -> String {
    let word = |(word, open): (&str, bool)| format!("'{word}'{}", if open { ":*" } else { "" });
    query.asked().into_iter().map(word).collect::<Vec<_>>().join(" & ")
}

fn on_sqlite(query: &Query) -> String {
    let word = |(word, open): (&str, bool)| format!("\"{word}\"{}", if open { " *" } else { "" });
    query.asked().into_iter().map(word).collect::<Vec<_>>().join(" AND ")
}

fn push_actors<'a>(pieces: &mut Vec<Piece<'a>>, actors: &'a [String]) {
    for (at, actor) in actors.iter().enumerate() {
        pieces.push(Piece::Sql(if at == 0 {
            " and s.movie_id in (select f.movie_id from movie_actor f where f.actor_id in (select n.actor_id from actor n \
             where n.name_key in ("
        } else {
            ", "
        }));
        pieces.push(Piece::Text(actor));
    }
    if !actors.is_empty() {
        pieces.push(Piece::Sql(")))"));
    }
}
