//! The number of the catalogue's state, which is the number of its last change.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::on;

use super::Store;
use crate::schema::movie_state;

/// What is known of all movies together.
#[derive(Debug, Clone, Copy, PartialEq, Queryable, Selectable)]
#[diesel(table_name = movie_state)]
pub struct State {
    pub version: i64,
    pub forgotten: i64,
    pub search_version: i32,
}

impl Store {
    pub async fn state(&self) -> Result<State, DbError> {
        let conn = &mut self.db.read().await?;
        on!(conn, |db| movie_state::table.select(State::as_select()).first(db).await)
    }
}

/// Makes all who change movies or names wait for each other until the transaction ends, and gives the number of this one's change. The
/// first thing that such a transaction does: so nobody waits for two things at once, and numbers become visible in their order.
pub(super) async fn next_number(conn: &mut Conn) -> Result<i64, DbError> {
    let lock = diesel::update(movie_state::table).set(movie_state::version.eq(movie_state::version));
    let version: i64 = on!(conn, |db| lock.returning(movie_state::version).get_result(db).await)?;
    Ok(version + 1)
}

/// Says that the change with this number is done. Not said of what changed nothing.
pub(super) async fn done(conn: &mut Conn, number: i64) -> Result<(), DbError> {
    let raise = diesel::update(movie_state::table).set(movie_state::version.eq(number));
    on!(conn, |db| raise.execute(db).await).map(drop)
}
