//! Under which genres, actors and languages movies are filed.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Clock;
use quartet_chassis::db::rows::{Column, Rows};
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::fold::fold;
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::pieces::{Piece, Pieces};
use crate::movie::NewMovie;
use crate::schema::{actor, genre, language};

/// How many names are known at once, at most about.
const MANY: usize = 200_000;

/// What movies are filed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Genre,
    Actor,
    Language,
}

impl Kind {
    pub fn names(self, movie: &NewMovie) -> &[String] {
        match self {
            Kind::Genre => &movie.genres,
            Kind::Actor => &movie.actors,
            Kind::Language => &movie.languages,
        }
    }

    pub fn names_mut(self, movie: &mut NewMovie) -> &mut Vec<String> {
        match self {
            Kind::Genre => &mut movie.genres,
            Kind::Actor => &mut movie.actors,
            Kind::Language => &mut movie.languages,
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

/// The ids of names that a writer of many movies has met. They are good for as long as nobody else writes in between: what the writer
/// has filed movies under can't have been deleted, renamed or merged then.
#[derive(Debug, Default)]
pub struct KnownNames {
    /// The number of the writer's last change.
    number: i64,
    ids: HashMap<Kind, HashMap<String, Id>>,
}

impl KnownNames {
    /// Begins the change of this number.
    pub(super) fn begin(&mut self, number: i64) {
        let many = self.ids.values().map(HashMap::len).sum::<usize>() > MANY;
        if many || number != self.number + 1 {
            self.ids.clear();
        }
        self.number = number;
    }
}

/// Files movies under names of one kind; names that are new are made.
pub(super) async fn file_under(
    conn: &mut Conn,
    kind: Kind,
    movies: &[(Id, &[String])],
    known: &mut KnownNames,
    clock: &Clock,
) -> Result<(), DbError> {
    let ids = known.ids.entry(kind).or_default();
    let names: BTreeSet<&str> = movies.iter().flat_map(|(_, names)| *names).map(String::as_str).collect();
    let unknown: Vec<&str> = names.into_iter().filter(|name| !ids.contains_key(*name)).collect();
    if !unknown.is_empty() {
        ids.extend(ids_of(conn, kind, unknown, clock).await?);
    }
    let pairs = movies.iter().flat_map(|(movie, names)| names.iter().map(|name| (ids.get(name.as_str()), *movie)));
    let mut pairs: Vec<(Id, Id)> = pairs.filter_map(|(name, movie)| Some((*name?, movie))).collect();
    pairs.sort_unstable();
    let insert = Rows {
        before: kind.insert_movie(),
        count: pairs.len(),
        columns: vec![
            Column::Ids(pairs.iter().map(|pair| pair.0).collect()),
            Column::Ids(pairs.iter().map(|pair| pair.1).collect()),
        ],
        after: "",
    };
    insert.run(conn).await
}

/// Takes a movie out from under names of one kind. The names stay, even when nothing is filed under them any more.
pub(super) async fn take_out(conn: &mut Conn, kind: Kind, movie: Id, names: &[&str]) -> Result<(), DbError> {
    for (name, _) in names_of(conn, kind, names).await? {
        let statement = Pieces::<()>::new([
            Piece::Sql(match kind {
                Kind::Genre => "delete from movie_genre where genre_id = ",
                Kind::Actor => "delete from movie_actor where actor_id = ",
                Kind::Language => "delete from movie_language where language_id = ",
            }),
            Piece::Id(&name),
            Piece::Sql(" and movie_id = "),
            Piece::Id(&movie),
        ]);
        on!(conn, |db| statement.execute(db).await)?;
    }
    Ok(())
}

/// The ids of names, which come sorted and each once.
async fn ids_of(conn: &mut Conn, kind: Kind, names: Vec<&str>, clock: &Clock) -> Result<HashMap<String, Id>, DbError> {
    let keys: Vec<String> = names.iter().map(|name| fold(name)).collect();
    let insert = Rows {
        before: kind.insert_name(),
        count: names.len(),
        columns: vec![
            Column::Ids(names.iter().map(|_| Id::new(clock)).collect()),
            Column::Texts(names.clone()),
            Column::Texts(keys.iter().map(String::as_str).collect()),
        ],
        after: kind.returning(),
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

/// The movies with the new names of what is being renamed at this time.
pub(super) async fn with_new_names<'a>(
    conn: &mut Conn,
    movies: &'a [NewMovie],
) -> Result<Cow<'a, [NewMovie]>, DbError> {
    let mut movies = Cow::Borrowed(movies);
    for kind in [Kind::Genre, Kind::Actor, Kind::Language] {
        for (old, new) in being_renamed(conn, kind).await? {
            for movie in movies.to_mut() {
                replace(kind.names_mut(movie), &old, &new);
            }
        }
    }
    Ok(movies)
}

/// Puts a name in the place of another, and answers whether that one was there. A name stands once in a list.
pub(super) fn replace(names: &mut Vec<String>, old: &str, new: &str) -> bool {
    let Some(at) = names.iter().position(|name| name == old) else { return false };
    if names.iter().any(|name| name == new) {
        names.remove(at);
    } else if let Some(name) = names.get_mut(at) {
        new.clone_into(name);
    }
    true
}

async fn being_renamed(conn: &mut Conn, kind: Kind) -> Result<Vec<(String, String)>, DbError> {
    let statement = Pieces::<(Text, Text)>::new([Piece::Sql(match kind {
        Kind::Genre => "select old_name, name from genre where old_name is not null",
        Kind::Actor => "select old_name, name from actor where old_name is not null",
        Kind::Language => "select old_name, name from language where old_name is not null",
    })]);
    on!(conn, |db| statement.load(db).await)
}
