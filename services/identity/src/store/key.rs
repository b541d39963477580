//! The keys that sign access tokens, sealed.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::auth::Target;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::on;

use super::Store;
use super::audit::{Act, Doer};
use super::lease::lock;
use crate::error::Error;
use crate::schema::signing_key;

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = signing_key)]
pub struct SigningKeyRow {
    pub id: String,
    pub public_key: Vec<u8>,
    pub sealed_seed: Vec<u8>,
    pub create_time: Time,
    pub sign_time: Time,
    pub retire_time: Option<Time>,
}

impl Store {
    /// The keys whose tokens are accepted, now or soon, in the order of their making.
    pub async fn signing_keys(&self) -> Result<Vec<SigningKeyRow>, DbError> {
        let now = self.now();
        let conn = &mut self.db.read().await?;
        let live = signing_key::retire_time.is_null().or(signing_key::retire_time.gt(now));
        let live = signing_key::table.filter(live).order(signing_key::id);
        on!(conn, |db| live.select(SigningKeyRow::as_select()).load(db).await)
    }

    /// Adds the first key, unless there is one. Of two instances that start at once the second waits and finds the first's.
    pub async fn add_first_key(&self, row: SigningKeyRow) -> Result<(), DbError> {
        self.db
            .transaction(async |conn| {
                lock(conn, "first key", row.create_time).await?;
                let live = signing_key::retire_time.is_null().or(signing_key::retire_time.gt(row.create_time));
                let count: i64 = on!(conn, |db| signing_key::table.filter(live).count().get_result(db).await)?;
                if count == 0 { insert(conn, &row).await } else { Ok(()) }
            })
            .await
    }

    /// Adds a key; the others retire when the last token that they sign until it takes over has ended.
    pub async fn rotate_key(&self, row: SigningKeyRow, doer: Option<&Doer>) -> Result<(), Error> {
        let retire = row.sign_time + self.rules.key_life;
        self.db
            .transaction(async |conn| {
                let others = signing_key::table.filter(signing_key::retire_time.is_null());
                let retired = signing_key::retire_time.eq(retire);
                on!(conn, |db| diesel::update(others).set(retired).execute(db).await)?;
                insert(conn, &row).await?;
                self.record_rotation(conn, doer, false).await
            })
            .await
    }

    /// Adds a key and withdraws the others at once: every token that they have signed is refused.
    pub async fn replace_keys(&self, row: SigningKeyRow, doer: Option<&Doer>) -> Result<(), Error> {
        let now = row.create_time;
        let revoked = self
            .db
            .transaction(async |conn| {
                let live = || signing_key::retire_time.is_null().or(signing_key::retire_time.gt(now));
                let others = signing_key::table.filter(live());
                let retired = signing_key::retire_time.eq(now);
                let withdrawn: Vec<String> = on!(conn, |db| {
                    diesel::update(others).set(retired).returning(signing_key::id).get_results(db).await
                })?;
                insert(conn, &row).await?;
                self.record_rotation(conn, doer, true).await?;
                Ok::<_, Error>(self.revoke(conn, withdrawn.into_iter().map(Target::Key).collect()).await?)
            })
            .await?;
        self.announce(&revoked).await;
        Ok(())
    }

    /// A change that nobody has asked for is no act.
    async fn record_rotation(&self, conn: &mut Conn, doer: Option<&Doer>, withdrawn: bool) -> Result<(), Error> {
        let Some(Doer { actor, client }) = doer else { return Ok(()) };
        let details = BTreeMap::from([("withdrawn", withdrawn.to_string())]);
        self.record(conn, &Act { action: "keys.rotated", actor, subject: None, client, details }).await
    }

    /// Forgets the keys whose tokens have all ended long ago.
    pub async fn sweep_keys(&self) -> Result<usize, DbError> {
        let before = self.now() - chrono::TimeDelta::days(1);
        self.db
            .transaction(async |conn| {
                let over = signing_key::table.filter(signing_key::retire_time.le(before));
                on!(conn, |db| diesel::delete(over).execute(db).await)
            })
            .await
    }
}

async fn insert(conn: &mut Conn, row: &SigningKeyRow) -> Result<(), DbError> {
    on!(conn, |db| diesel::insert_into(signing_key::table).values(row).execute(db).await).map(drop)
}
