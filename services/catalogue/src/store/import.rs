//! How movies are written, one or a thousand at once.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Clock;
use quartet_chassis::db::rows::{Column, Rows};
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::fold::fold;
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::filing::{Kind, KnownNames, file_under, with_new_names};
use super::index::index;
use super::state::{done, next_number};
use crate::movie::NewMovie;
use crate::schema::{country, movie};
use crate::search::doc::Doc;

/// Movies that are about to be stored, with their places in the search index, which take longer to make than to write.
pub struct NewMovies {
    movies: Vec<NewMovie>,
    docs: Vec<Doc>,
}

impl NewMovies {
    pub(super) fn new(movies: Vec<NewMovie>, clock: &Clock) -> NewMovies {
        let docs = movies.iter().map(|movie| Doc::new(Id::new(clock), movie)).collect();
        NewMovies { movies, docs }
    }

    pub fn len(&self) -> usize {
        self.movies.len()
    }
}

/// A movie that is about to be stored, and what its row holds besides.
pub(super) struct Row<'a> {
    pub id: Id,
    pub movie: &'a NewMovie,
    key: String,
    country_name: Option<String>,
    genres: String,
    actors: String,
    languages: String,
}

impl Store {
    /// Makes ready what can be made without the database. Takes its time.
    pub fn prepare(&self, movies: Vec<NewMovie>) -> NewMovies {
        NewMovies::new(movies, &self.clock)
    }

    /// Stores those of the movies, all different, that the catalogue does not have, and answers how many those were. All or none.
    /// Who stores many keeps `known` from call to call.
    pub async fn insert_movies(&self, movies: &NewMovies, known: &mut KnownNames) -> Result<usize, DbError> {
        let mut names = std::mem::take(known);
        let inserted = self
            .db
            .bulk(async |conn| {
                let number = next_number(conn).await?;
                let stored = insert(conn, movies, number, &mut names, &self.clock).await?.len();
                if stored > 0 {
                    done(conn, number).await?;
                }
                Ok::<_, DbError>((stored, number))
            })
            .await?;
        if inserted.0 > 0 {
            // Committed, and under a number of their own.
            *known = names;
        }
        self.tell(inserted.1);
        Ok(inserted.0)
    }

    /// Brings the planner's statistics up to date, without which PostgreSQL reads whole tables after a first import.
    pub async fn analyze(&self) -> Result<(), DbError> {
        const STATEMENTS: [&str; 10] = [
            "analyze movie",
            "analyze genre",
            "analyze actor",
            "analyze language",
            "analyze country",
            "analyze movie_genre",
            "analyze movie_actor",
            "analyze movie_language",
            "analyze movie_state",
            "analyze movie_search",
        ];
        self.db
            .bulk(async |conn| {
                for statement in STATEMENTS {
                    on!(conn, |db| diesel::sql_query(statement).execute(db).await)?;
                }
                Ok(())
            })
            .await
    }
}

impl<'a> Row<'a> {
    pub fn new(id: Id, movie: &'a NewMovie, countries: &HashMap<String, String>) -> Row<'a> {
        let [genres, actors, languages] = [&movie.genres, &movie.actors, &movie.languages].map(|names| json(names));
        let country_name = movie.country.and_then(|country| countries.get(country.code)).cloned();
        Row { id, movie, key: fold(&movie.name), country_name, genres, actors, languages }
    }
}

fn json(names: &[String]) -> String {
    serde_json::to_string(names).unwrap_or_default()
}

/// Stores those of the movies that the catalogue does not have, with all that goes with them, and answers their ids.
pub(super) async fn insert(
    conn: &mut Conn,
    new: &NewMovies,
    number: i64,
    known: &mut KnownNames,
    clock: &Clock,
) -> Result<HashSet<Id>, DbError> {
    let renamed = match with_new_names(conn, &new.movies).await? {
        Cow::Borrowed(_) => None,
        Cow::Owned(movies) => Some(NewMovies::new(movies, clock)),
    };
    let NewMovies { movies, docs } = renamed.as_ref().unwrap_or(new);
    let countries = countries_of(conn, movies).await?;
    let rows = movies.iter().zip(docs).map(|(movie, doc)| Row::new(doc.id, movie, &countries));
    let mut rows: Vec<Row<'_>> = rows.collect();
    let ids = insert_rows(conn, &rows, number, clock).await?;
    rows.retain(|row| ids.contains(&row.id));
    known.begin(number);
    for kind in [Kind::Genre, Kind::Actor, Kind::Language] {
        let names = rows.iter().map(|row| (row.id, kind.names(row.movie)));
        file_under(conn, kind, &names.collect::<Vec<_>>(), known, clock).await?;
    }
    let docs: Vec<&Doc> = docs.iter().filter(|doc| ids.contains(&doc.id)).collect();
    index(conn, &docs, false).await?;
    Ok(ids)
}

/// Inserts the rows that are new and answers their ids.
async fn insert_rows(conn: &mut Conn, rows: &[Row<'_>], number: i64, clock: &Clock) -> Result<HashSet<Id>, DbError> {
    let now = vec![clock.now(); rows.len()];
    let insert = Rows {
        before: "insert into movie (movie_id, name, name_key, original_name, release_date, score, overview, status, budget_cents, \
               revenue_cents, country_code, country_name, genres, actors, languages, create_time, update_time, change_number)",
        columns: vec![
            Column::Ids(rows.iter().map(|row| row.id).collect()),
            texts(rows, |row| &row.movie.name),
            texts(rows, |row| &row.key),
            texts(rows, |row| &row.movie.original_name),
            texts(rows, |row| &row.movie.release_date),
            Column::Scores(rows.iter().map(|row| row.movie.score).collect()),
            texts(rows, |row| &row.movie.overview),
            Column::Integers(rows.iter().map(|row| row.movie.status.into()).collect()),
            Column::Numbers(rows.iter().map(|row| row.movie.budget_cents).collect()),
            Column::Numbers(rows.iter().map(|row| row.movie.revenue_cents).collect()),
            Column::MaybeTexts(rows.iter().map(|row| row.movie.country.map(|country| country.code)).collect()),
            Column::MaybeTexts(rows.iter().map(|row| row.country_name.as_deref()).collect()),
            texts(rows, |row| &row.genres),
            texts(rows, |row| &row.actors),
            texts(rows, |row| &row.languages),
            Column::Times(now.clone()),
            Column::Times(now),
            Column::Numbers(vec![number; rows.len()]),
        ],
        count: rows.len(),
        after: " on conflict (name, release_date) do nothing returning movie_id, name",
    };
    Ok(insert.returning(conn).await?.into_iter().map(|(id, _)| id).collect())
}

/// Writes a movie's row anew.
pub(super) async fn update_row(conn: &mut Conn, row: &Row<'_>, number: i64, clock: &Clock) -> Result<(), DbError> {
    let new = row.movie;
    let values = (
        (movie::name.eq(&new.name), movie::name_key.eq(&row.key), movie::original_name.eq(&new.original_name)),
        (movie::release_date.eq(&new.release_date), movie::score.eq(new.score), movie::overview.eq(&new.overview)),
        (movie::status.eq(i32::from(new.status)), movie::budget_cents.eq(new.budget_cents)),
        movie::revenue_cents.eq(new.revenue_cents),
        (movie::country_code.eq(new.country.map(|country| country.code)), movie::country_name.eq(&row.country_name)),
        (movie::genres.eq(&row.genres), movie::actors.eq(&row.actors), movie::languages.eq(&row.languages)),
        (movie::update_time.eq(clock.now()), movie::change_number.eq(number)),
    );
    on!(conn, |db| diesel::update(movie::table.find(row.id)).set(values).execute(db).await).map(drop)
}

fn texts<'a>(rows: &'a [Row<'a>], text: fn(&'a Row<'a>) -> &'a str) -> Column<'a> {
    Column::Texts(rows.iter().map(text).collect())
}

/// Writes into movies' rows what terms say of them.
pub(super) async fn update_terms(conn: &mut Conn, rows: &[Row<'_>], number: i64, clock: &Clock) -> Result<(), DbError> {
    let update = Rows {
        before: "with new (id, country_code, country_name, genres, actors, languages, update_time, change_number) as (",
        columns: vec![
            Column::Ids(rows.iter().map(|row| row.id).collect()),
            Column::MaybeTexts(rows.iter().map(|row| row.movie.country.map(|country| country.code)).collect()),
            Column::MaybeTexts(rows.iter().map(|row| row.country_name.as_deref()).collect()),
            texts(rows, |row| &row.genres),
            texts(rows, |row| &row.actors),
            texts(rows, |row| &row.languages),
            Column::Times(vec![clock.now(); rows.len()]),
            Column::Numbers(vec![number; rows.len()]),
        ],
        count: rows.len(),
        after: ") update movie set country_code = new.country_code, country_name = new.country_name, genres = new.genres, \
                actors = new.actors, languages = new.languages, update_time = new.update_time, \
                change_number = new.change_number from new where movie.movie_id = new.id",
    };
    update.run(conn).await
}

/// Makes the countries of movies that are new, and answers the names of all of them.
pub(super) async fn countries_of(conn: &mut Conn, movies: &[NewMovie]) -> Result<HashMap<String, String>, DbError> {
    let countries: BTreeMap<&str, &str> =
        movies.iter().filter_map(|movie| movie.country).map(|country| (country.code, country.name)).collect();
    let codes: Vec<&str> = countries.keys().copied().collect();
    let keys: Vec<String> = countries.values().map(|name| fold(name)).collect();
    let insert = Rows {
        before: "insert into country (country_code, name, name_key)",
        columns: vec![
            Column::Texts(codes.clone()),
            Column::Texts(countries.values().copied().collect()),
            Column::Texts(keys.iter().map(String::as_str).collect()),
        ],
        count: countries.len(),
        after: " on conflict (country_code) do nothing",
    };
    insert.run(conn).await?;
    let names: Vec<(String, String)> = on!(conn, |db| country::table
        .filter(country::country_code.eq_any(&codes))
        .select((country::country_code, country::name))
        .load(db)
        .await)?;
    Ok(names.into_iter().collect())
}
