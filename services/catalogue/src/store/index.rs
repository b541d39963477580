//! The search index: written in the transaction that writes the movies.

use diesel::sql_types::{BigInt, Nullable};
use diesel_async::RunQueryDsl;
use quartet_chassis::db::rows::{Column, Rows};
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::pieces::{Piece, Pieces};
use crate::search::doc::Doc;

/// From how many movies on it is worth while to make room.
const MANY: usize = 100;

/// Puts movies into the index, in place of what it has of them.
pub(super) async fn index(conn: &mut Conn, docs: &[&Doc], known: bool) -> Result<(), DbError> {
    match conn {
        Conn::Postgres(_) => index_on_postgres(conn, docs).await,
        Conn::Reader(_) | Conn::Writer(_) => {
            if known {
                let ids: Vec<Id> = docs.iter().map(|doc| doc.id).collect();
                forget(conn, &ids).await?;
            }
            index_on_sqlite(conn, docs).await
        }
    }
}

/// Takes movies out of the index.
pub(super) async fn forget(conn: &mut Conn, ids: &[Id]) -> Result<(), DbError> {
    for id in ids {
        if !matches!(conn, Conn::Postgres(_)) {
            let words = Pieces::<()>::new([
                Piece::Sql(
                    "delete from movie_words where rowid in (select search_id from movie_search where movie_id = ",
                ),
                Piece::Id(id),
                Piece::Sql(")"),
            ]);
            on!(conn, |db| words.execute(db).await)?;
        }
        let row = Pieces::<()>::new([Piece::Sql("delete from movie_search where movie_id = "), Piece::Id(id)]);
        on!(conn, |db| row.execute(db).await)?;
    }
    Ok(())
}

/// A tsvector of bare words: no dictionary, no places.
async fn index_on_postgres(conn: &mut Conn, docs: &[&Doc]) -> Result<(), DbError> {
    if docs.len() >= MANY {
        // With more room the index takes in its new words in fewer rounds.
        on!(conn, |db| diesel::sql_query("set local work_mem = '64MB'").execute(db).await)?;
    }
    let words: Vec<String> = docs.iter().map(|doc| format!("'{}'", doc.words.join("' '"))).collect();
    let words = words.iter().map(|words| if words == "''" { "" } else { words.as_str() });
    let mut columns = vec![Column::Ids(docs.iter().map(|doc| doc.id).collect()), Column::Texts(words.collect())];
    columns.extend(attributes(docs));
    let insert = Rows {
        before: "with doc (movie_id, words, titles, genres, languages, country_code, release_year, status, score) as (",
        columns,
        count: docs.len(),
        after: ") insert into movie_search (movie_id, words, titles, genres, languages, country_code, release_year, status, score) \
                select movie_id, words::tsvector, titles, genres, languages, country_code, release_year, status, score from doc \
                on conflict (movie_id) do update set words = excluded.words, titles = excluded.titles, genres = excluded.genres, \
                languages = excluded.languages, country_code = excluded.country_code, release_year = excluded.release_year, \
                status = excluded.status, score = excluded.score",
    };
    insert.run(conn).await
}

async fn index_on_sqlite(conn: &mut Conn, docs: &[&Doc]) -> Result<(), DbError> {
    let last = Pieces::<Nullable<BigInt>>::new([Piece::Sql("select max(search_id) from movie_search")]);
    let last: Option<i64> = on!(conn, |db| last.get_result(db).await)?;
    let first = last.unwrap_or_default() + 1;
    let numbers: Vec<i64> = (first..).take(docs.len()).collect();
    let words: Vec<String> = docs.iter().map(|doc| doc.words.join(" ")).collect();
    let words = Rows {
        before: "insert into movie_words (rowid, words)",
        columns: vec![Column::Numbers(numbers.clone()), Column::Texts(words.iter().map(String::as_str).collect())],
        count: docs.len(),
        after: "",
    };
    words.run(conn).await?;
    let mut columns = vec![Column::Numbers(numbers), Column::Ids(docs.iter().map(|doc| doc.id).collect())];
    columns.extend(attributes(docs));
    let insert = Rows {
        before: "insert into movie_search (search_id, movie_id, titles, genres, languages, country_code, release_year, status, score)",
        columns,
        count: docs.len(),
        after: "",
    };
    insert.run(conn).await
}

fn attributes<'a>(docs: &[&'a Doc]) -> Vec<Column<'a>> {
    vec![
        Column::Texts(docs.iter().map(|doc| doc.titles.as_str()).collect()),
        Column::Texts(docs.iter().map(|doc| doc.genres.as_str()).collect()),
        Column::Texts(docs.iter().map(|doc| doc.languages.as_str()).collect()),
        Column::MaybeTexts(docs.iter().map(|doc| doc.country_code).collect()),
        Column::Integers(docs.iter().map(|doc| doc.release_year).collect()),
        Column::Integers(docs.iter().map(|doc| doc.status).collect()),
        Column::Scores(docs.iter().map(|doc| doc.score).collect()),
    ]
}
