//! The feed of changes: what became of which movie, in the order of the changes' numbers.

use chrono::Days;
use diesel::dsl::max;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;
use tokio::sync::watch;

use super::Store;
use super::movie::MovieRow;
use crate::feed::Place;
use crate::schema::{movie, movie_gone, movie_state};

/// How many changes are read at once.
pub const BATCH: usize = 200;
/// For how many days a deletion is remembered at least.
const DAYS: u64 = 30;

/// What a movie is now.
#[derive(Debug)]
pub enum Change {
    Is(Box<MovieRow>),
    IsGone(Id, i64),
}

impl Change {
    pub fn place(&self) -> (i64, Id) {
        match self {
            Change::Is(row) => (row.change_number, row.movie_id),
            Change::IsGone(id, number) => (*number, *id),
        }
    }
}

impl Store {
    /// The changes behind a place, the oldest first, [`BATCH`] at most. Of several changes of a movie it is the last.
    pub async fn changes_after(&self, place: &Place) -> Result<Vec<Change>, DbError> {
        let conn = &mut self.db.scan().await?;
        let (number, id) = (place.number, place.id);
        // What is committed between the two questions below comes the next time: answered by halves, it would be passed over.
        let newest: i64 = on!(conn, |db| movie_state::table.select(movie_state::version).first(db).await)?;
        let behind = movie::change_number.gt(number).or(movie::movie_id.gt(id));
        let movies: Vec<MovieRow> = on!(conn, |db| movie::table
            .filter(movie::change_number.ge(number).and(behind))
            .filter(movie::change_number.le(newest))
            .order((movie::change_number, movie::movie_id))
            .limit(BATCH as i64)
            .select(MovieRow::as_select())
            .load(db)
            .await)?;
        let behind = movie_gone::change_number.gt(number).or(movie_gone::movie_id.gt(id));
        let gone: Vec<(Id, i64)> = on!(conn, |db| movie_gone::table
            .filter(movie_gone::change_number.ge(number).and(behind))
            .filter(movie_gone::change_number.gt(place.since))
            .filter(movie_gone::change_number.le(newest))
            .order((movie_gone::change_number, movie_gone::movie_id))
            .limit(BATCH as i64)
            .select((movie_gone::movie_id, movie_gone::change_number))
            .load(db)
            .await)?;
        let mut changes: Vec<Change> = movies.into_iter().map(|row| Change::Is(Box::new(row))).collect();
        changes.extend(gone.into_iter().map(|(id, number)| Change::IsGone(id, number)));
        changes.sort_by_key(Change::place);
        changes.truncate(BATCH);
        Ok(changes)
    }

    /// Hears of the changes that this process has heard of.
    pub fn hear(&self) -> watch::Receiver<i64> {
        self.newest.subscribe()
    }

    /// Says that a change is committed.
    pub(super) fn tell(&self, number: i64) {
        self.newest.send_if_modified(|newest| {
            let newer = number > *newest;
            *newest = number.max(*newest);
            newer
        });
    }

    /// Looks whether another process has changed something, when anybody here waits for it.
    pub async fn look_for_changes(&self) -> Result<(), DbError> {
        if self.newest.receiver_count() > 0 {
            let version = self.state().await?.version;
            self.tell(version);
        }
        Ok(())
    }
}

/// Remembers that a movie is gone, and forgets those that went long ago. Who kept a copy for longer without asking starts anew.
pub(super) async fn remember_gone(conn: &mut Conn, id: Id, number: i64, now: Time) -> Result<(), DbError> {
    let values = (movie_gone::movie_id.eq(id), movie_gone::change_number.eq(number), movie_gone::delete_time.eq(now));
    on!(conn, |db| diesel::insert_into(movie_gone::table).values(values).execute(db).await)?;
    let Some(limit) = now.checked_sub_days(Days::new(DAYS)) else { return Ok(()) };
    let old = || movie_gone::table.filter(movie_gone::delete_time.lt(limit));
    let newest: Option<i64> = on!(conn, |db| old().select(max(movie_gone::change_number)).first(db).await)?;
    let Some(newest) = newest else { return Ok(()) };
    on!(conn, |db| diesel::delete(old()).execute(db).await)?;
    let state = diesel::update(movie_state::table).set(movie_state::forgotten.eq(newest));
    on!(conn, |db| state.execute(db).await).map(drop)
}
