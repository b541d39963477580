//! Movies one by one: made, changed, deleted.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::change::remember_gone;
use super::filing::{Kind, KnownNames, file_under, take_out, with_new_names};
use super::import::{NewMovies, Row, countries_of, insert, update_row};
use super::index::{forget, index};
use super::movie::MovieRow;
use super::state::{done, next_number};
use crate::movie::{MoviePatch, NewMovie};
use crate::schema::movie;
use crate::search::doc::Doc;

/// What became of a change.
#[derive(Debug)]
pub enum Written {
    Done(Box<MovieRow>),
    NotFound,
    /// The caller has seen another state of the movie.
    Stale,
    /// Another movie, this one, has the name and the date.
    Exists(Box<MovieRow>),
}

impl Store {
    pub async fn create_movie(&self, new: &NewMovie) -> Result<Written, DbError> {
        let one = NewMovies::new(vec![new.clone()], &self.clock);
        let written = self
            .db
            .transaction(async |conn| {
                let number = next_number(conn).await?;
                let ids = insert(conn, &one, number, &mut KnownNames::default(), &self.clock).await?;
                if ids.is_empty() {
                    let other = named(conn, new).await?;
                    return Ok(other.map_or(Written::NotFound, |other| Written::Exists(Box::new(other))));
                }
                done(conn, number).await?;
                let created = named(conn, new).await?;
                Ok::<_, DbError>(created.map_or(Written::NotFound, |created| Written::Done(Box::new(created))))
            })
            .await?;
        Ok(self.told(written))
    }

    /// Changes a movie, unless it is not in the state that the caller has seen.
    pub async fn update_movie(&self, id: Id, seen: Option<i64>, patch: &MoviePatch) -> Result<Written, DbError> {
        let written = self
            .db
            .transaction(async |conn| {
                let number = next_number(conn).await?;
                let Some(before) = row(conn, id).await? else { return Ok(Written::NotFound) };
                if seen.is_some_and(|seen| seen != before.change_number) {
                    return Ok(Written::Stale);
                }
                let old = before.movie();
                let new = patch.applied_to(old.clone());
                if new == old {
                    return Ok(Written::Done(Box::new(before)));
                }
                if let Some(other) = named(conn, &new).await?.filter(|other| other.movie_id != id) {
                    return Ok(Written::Exists(Box::new(other)));
                }
                self.write(conn, id, old, new, number).await?;
                done(conn, number).await?;
                Ok::<_, DbError>(row(conn, id).await?.map_or(Written::NotFound, |row| Written::Done(Box::new(row))))
            })
            .await?;
        Ok(self.told(written))
    }

    /// Deletes a movie and answers what it was.
    pub async fn delete_movie(&self, id: Id, seen: Option<i64>) -> Result<Written, DbError> {
        let written = self
            .db
            .transaction(async |conn| {
                let number = next_number(conn).await?;
                let Some(before) = row(conn, id).await? else { return Ok(Written::NotFound) };
                if seen.is_some_and(|seen| seen != before.change_number) {
                    return Ok(Written::Stale);
                }
                self.remove(conn, &before, number).await?;
                done(conn, number).await?;
                Ok::<_, DbError>(Written::Done(Box::new(MovieRow { change_number: number, ..before })))
            })
            .await?;
        Ok(self.told(written))
    }

    /// Writes a movie's row, what it is filed under, and its place in the index.
    async fn write(&self, conn: &mut Conn, id: Id, old: NewMovie, new: NewMovie, number: i64) -> Result<(), DbError> {
        let movies = with_new_names(conn, &[old, new]).await?.into_owned();
        let [old, new] = movies.as_slice() else { return Ok(()) };
        let countries = countries_of(conn, std::slice::from_ref(new)).await?;
        update_row(conn, &Row::new(id, new, &countries), number, &self.clock).await?;
        for kind in KINDS {
            let (old, new) = (kind.names(old), kind.names(new));
            take_out(conn, kind, id, &texts(&without(old, new))).await?;
            let added = without(new, old);
            file_under(conn, kind, &[(id, &added)], &mut KnownNames::default(), &self.clock).await?;
        }
        index(conn, &[&Doc::new(id, new)], true).await
    }

    /// Removes a movie's row, what it is filed under, and its place in the index.
    async fn remove(&self, conn: &mut Conn, row: &MovieRow, number: i64) -> Result<(), DbError> {
        let movies = with_new_names(conn, &[row.movie()]).await?.into_owned();
        for movie in &movies {
            for kind in KINDS {
                take_out(conn, kind, row.movie_id, &texts(kind.names(movie))).await?;
            }
        }
        forget(conn, &[row.movie_id]).await?;
        on!(conn, |db| diesel::delete(movie::table.find(row.movie_id)).execute(db).await)?;
        remember_gone(conn, row.movie_id, number, self.clock.now()).await
    }

    /// Wakes those who wait for changes, after the commit.
    fn told(&self, written: Written) -> Written {
        if let Written::Done(row) = &written {
            self.tell(row.change_number);
        }
        written
    }
}

const KINDS: [Kind; 3] = [Kind::Genre, Kind::Actor, Kind::Language];

/// The names of a list that another one lacks.
fn without(names: &[String], others: &[String]) -> Vec<String> {
    names.iter().filter(|name| !others.contains(name)).cloned().collect()
}

fn texts(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

async fn row(conn: &mut Conn, id: Id) -> Result<Option<MovieRow>, DbError> {
    on!(conn, |db| movie::table.find(id).select(MovieRow::as_select()).first(db).await.optional())
}

/// The movie of this name and date.
async fn named(conn: &mut Conn, new: &NewMovie) -> Result<Option<MovieRow>, DbError> {
    on!(conn, |db| movie::table
        .filter(movie::name.eq(&new.name).and(movie::release_date.eq(&new.release_date)))
        .select(MovieRow::as_select())
        .first(db)
        .await
        .optional())
}
