//! Movies that come in by hundreds.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Clock;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::bulk::{Column, Insert};
use crate::fold::fold;
use crate::movie::NewMovie;
use crate::schema::{actor, genre, language, movie_state};

/// A movie that is about to be stored, and what its row holds besides.
struct Row<'a> {
    id: Id,
    movie: &'a NewMovie,
    key: String,
    genres: String,
    actors: String,
    languages: String,
}

impl Store {
    /// Stores those of the movies, all different, that the catalogue does not have, and answers how many those were. All or none.
    ///
    /// Two imports at once meet in the same rows. Everything is inserted in the order of its key, table after table, so that
    /// one waits for the other and never both.
    pub async fn insert_movies(&self, movies: &[NewMovie]) -> Result<usize, DbError> {
        let mut rows: Vec<Row<'_>> = movies.iter().map(|movie| Row::new(movie, &self.clock)).collect();
        rows.sort_by(|a, b| (&a.movie.name, &a.movie.release_date).cmp(&(&b.movie.name, &b.movie.release_date)));
        let rows = &rows;
        self.db
            .bulk(async |conn| {
                let stored = insert_rows(conn, rows, &self.clock).await?;
                let stored: Vec<&Row<'_>> = rows.iter().filter(|row| stored.contains(&row.id)).collect();
                if stored.is_empty() {
                    return Ok(0);
                }
                insert_countries(conn, &stored).await?;
                for kind in [Kind::Genre, Kind::Actor, Kind::Language] {
                    file_under(conn, kind, &stored, &self.clock).await?;
                }
                on!(conn, |db| diesel::update(movie_state::table)
                    .set(movie_state::version.eq(movie_state::version + 1))
                    .execute(db)
                    .await)?;
                Ok(stored.len())
            })
            .await
    }

    /// Brings the planner's statistics up to date, without which PostgreSQL reads whole tables after a first import.
    pub async fn analyze(&self) -> Result<(), DbError> {
        const STATEMENTS: [&str; 9] = [
            "analyze movie",
            "analyze genre",
            "analyze actor",
            "analyze language",
            "analyze country",
            "analyze movie_genre",
            "analyze movie_actor",
            "analyze movie_language",
            "analyze movie_state",
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
    fn new(movie: &'a NewMovie, clock: &Clock) -> Row<'a> {
        let [genres, actors, languages] = [&movie.genres, &movie.actors, &movie.languages].map(|names| json(names));
        Row { id: Id::new(clock), movie, key: fold(&movie.name), genres, actors, languages }
    }
}

fn json(names: &[String]) -> String {
    serde_json::to_string(names).unwrap_or_default()
}

/// Inserts the rows that are new and answers their ids.
async fn insert_rows(conn: &mut Conn, rows: &[Row<'_>], clock: &Clock) -> Result<HashSet<Id>, DbError> {
    let now = vec![clock.now(); rows.len()];
    let country = |text: fn(&crate::country::Country) -> &str| {
        Column::MaybeTexts(rows.iter().map(|row| row.movie.country.map(text)).collect())
    };
    let insert = Insert {
        into: "insert into movie (movie_id, name, name_key, original_name, release_date, score, overview, status, budget_cents, \
               revenue_cents, country_code, country_name, genres, actors, languages, create_time, update_time)",
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
            country(|country| country.code),
            country(|country| country.name),
            texts(rows, |row| &row.genres),
            texts(rows, |row| &row.actors),
            texts(rows, |row| &row.languages),
            Column::Times(now.clone()),
            Column::Times(now),
        ],
        rows: rows.len(),
        tail: " on conflict (name, release_date) do nothing returning movie_id, name",
    };
    Ok(insert.returning(conn).await?.into_iter().map(|(id, _)| id).collect())
}

fn texts<'a>(rows: &'a [Row<'a>], text: fn(&'a Row<'a>) -> &'a str) -> Column<'a> {
    Column::Texts(rows.iter().map(text).collect())
}

async fn insert_countries(conn: &mut Conn, rows: &[&Row<'_>]) -> Result<(), DbError> {
    let countries: BTreeMap<&str, &str> =
        rows.iter().filter_map(|row| row.movie.country).map(|country| (country.code, country.name)).collect();
    let keys: Vec<String> = countries.values().map(|name| fold(name)).collect();
    let insert = Insert {
        into: "insert into country (country_code, name, name_key)",
        columns: vec![
            Column::Texts(countries.keys().copied().collect()),
            Column::Texts(countries.values().copied().collect()),
            Column::Texts(keys.iter().map(String::as_str).collect()),
        ],
        rows: countries.len(),
        tail: " on conflict (country_code) do nothing",
    };
    insert.run(conn).await
}

/// What movies are filed under.
#[derive(Clone, Copy)]
enum Kind {
    Genre,
    Actor,
    Language,
}

impl Kind {
    fn names(self, movie: &NewMovie) -> &[String] {
        match self {
            Kind::Genre => &movie.genres,
            Kind::Actor => &movie.actors,
            Kind::Language => &movie.languages,
        }
    }

    fn insert_name(self) -> &'static str {
        match self {
            Kind::Genre => "insert into genre (genre_id, name, name_key)",
            Kind::Actor => "insert into actor (actor_id, name, name_key)",
            Kind::Language => "insert into language (language_id, name, name_key)",
        }
    }

    fn returning(self) -> &'static str {
        match self {
            Kind::Genre => " on conflict (name) do nothing returning genre_id, name",
            Kind::Actor => " on conflict (name) do nothing returning actor_id, name",
            Kind::Language => " on conflict (name) do nothing returning language_id, name",
        }
    }

    fn insert_movie(self) -> &'static str {
        match self {
            Kind::Genre => "insert into movie_genre (genre_id, movie_id)",
            Kind::Actor => "insert into movie_actor (actor_id, movie_id)",
            Kind::Language => "insert into movie_language (language_id, movie_id)",
        }
    }
}

/// Files the movies under their names of one kind; names that are new are made.
async fn file_under(conn: &mut Conn, kind: Kind, rows: &[&Row<'_>], clock: &Clock) -> Result<(), DbError> {
    let names: BTreeSet<&str> = rows.iter().flat_map(|row| kind.names(row.movie)).map(String::as_str).collect();
    if names.is_empty() {
        return Ok(());
    }
    let ids = ids_of(conn, kind, names.into_iter().collect(), clock).await?;
    let pairs = rows.iter().flat_map(|row| kind.names(row.movie).iter().map(|name| (ids.get(name.as_str()), row.id)));
    let mut pairs: Vec<(Id, Id)> = pairs.filter_map(|(name, movie)| Some((*name?, movie))).collect();
    pairs.sort_unstable();
    let insert = Insert {
        into: kind.insert_movie(),
        rows: pairs.len(),
        columns: vec![
            Column::Ids(pairs.iter().map(|pair| pair.0).collect()),
            Column::Ids(pairs.iter().map(|pair| pair.1).collect()),
        ],
        tail: "",
    };
    insert.run(conn).await
}

/// The ids of names, which come sorted and each once.
async fn ids_of(conn: &mut Conn, kind: Kind, names: Vec<&str>, clock: &Clock) -> Result<HashMap<String, Id>, DbError> {
    let keys: Vec<String> = names.iter().map(|name| fold(name)).collect();
    let insert = Insert {
        into: kind.insert_name(),
        rows: names.len(),
        columns: vec![
            Column::Ids(names.iter().map(|_| Id::new(clock)).collect()),
            Column::Texts(names.clone()),
            Column::Texts(keys.iter().map(String::as_str).collect()),
        ],
        tail: kind.returning(),
    };
    let mut ids: HashMap<String, Id> = insert.returning(conn).await?.into_iter().map(|(id, name)| (name, id)).collect();
    let known: Vec<&str> = names.into_iter().filter(|name| !ids.contains_key(*name)).collect();
    for names in known.chunks(5_000) {
        let found = names_of(conn, kind, names).await?;
        ids.extend(found.into_iter().map(|(id, name)| (name, id)));
    }
    Ok(ids)
}

async fn names_of(conn: &mut Conn, kind: Kind, names: &[&str]) -> Result<Vec<(Id, String)>, DbError> {
    match kind {
        Kind::Genre => on!(conn, |db| {
            genre::table.filter(genre::name.eq_any(names)).select((genre::genre_id, genre::name)).load(db).await
        }),
        Kind::Actor => on!(conn, |db| {
            actor::table.filter(actor::name.eq_any(names)).select((actor::actor_id, actor::name)).load(db).await
        }),
        Kind::Language => on!(conn, |db| {
            language::table
                .filter(language::name.eq_any(names))
                .select((language::language_id, language::name))
                .load(db)
                .await
        }),
    }
}
