//! Leases: of several processes one at a time does some things.

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use crate::schema::lease;

impl Store {
    /// Takes or keeps a lease for `span`. False when another holder has it.
    pub async fn hold(&self, name: &str, holder: Id, span: TimeDelta) -> Result<bool, DbError> {
        let now = self.now();
        self.db
            .transaction(async |conn| {
                let free = lease::holder.eq(holder).or(lease::expire_time.le(now));
                // A lease from a future that was taken back by a clock set right is free, too.
                let free = free.or(lease::expire_time.gt(now + span + span));
                let mine = (lease::holder.eq(holder), lease::expire_time.eq(now + span));
                let update = diesel::update(lease::table.find(name).filter(free)).set(mine);
                if on!(conn, |db| update.execute(db).await)? == 1 {
                    return Ok(true);
                }
                let first = (lease::name.eq(name), lease::holder.eq(holder), lease::expire_time.eq(now + span));
                let insert = diesel::insert_into(lease::table).values(first).on_conflict_do_nothing();
                Ok::<_, DbError>(on!(conn, |db| insert.execute(db).await)? == 1)
            })
            .await
    }
}

/// Makes every other transaction that asks for the same name wait for the end of this one.
pub(super) async fn lock(conn: &mut Conn, name: &str, now: Time) -> Result<(), DbError> {
    let row = (lease::name.eq(name), lease::holder.eq(Id::NIL), lease::expire_time.eq(now));
    on!(conn, |db| {
        diesel::insert_into(lease::table)
            .values(row)
            .on_conflict(lease::name)
            .do_update()
            .set(lease::expire_time.eq(now))
            .execute(db)
            .await
    })
    .map(drop)
}
