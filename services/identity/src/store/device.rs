//! What accounts have signed in from.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::caller::Client;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use crate::schema::{device, session};

/// The most devices of an account. One more, and the one that was used the longest ago is forgotten.
const DEVICES: i64 = 50;

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = device)]
pub struct DeviceRow {
    pub id: Id,
    pub account_id: Id,
    pub user_agent: String,
    pub create_time: Time,
    pub last_use_time: Time,
}

impl Store {
    /// Whether an account knows a device.
    pub async fn has_device(&self, account_id: Id, id: Id) -> Result<bool, DbError> {
        let conn = &mut self.db.read().await?;
        let own = device::table.find(id).filter(device::account_id.eq(account_id));
        let found: Option<Id> = on!(conn, |db| own.select(device::id).first(db).await.optional())?;
        Ok(found.is_some())
    }

    /// The device that a sign-in comes from: the known one, or a new one, and whether it is new. Within a transaction that holds the
    /// account's row, so an account has no more devices than it may.
    pub(super) async fn use_device(
        &self,
        conn: &mut Conn,
        account_id: Id,
        known: Option<Id>,
        client: &Client,
    ) -> Result<(DeviceRow, bool), DbError> {
        let now = self.now();
        if let Some(id) = known {
            let own = device::table.find(id).filter(device::account_id.eq(account_id));
            let used = diesel::update(own).set(device::last_use_time.eq(now));
            let row: Option<DeviceRow> =
                on!(conn, |db| used.returning(DeviceRow::as_select()).get_result(db).await.optional())?;
            if let Some(row) = row {
                return Ok((row, false));
            }
        }
        let user_agent = client.user_agent.clone();
        let row = DeviceRow { id: Id::new(&self.clock), account_id, user_agent, create_time: now, last_use_time: now };
        on!(conn, |db| diesel::insert_into(device::table).values(&row).execute(db).await)?;
        self.forget_devices(conn, account_id).await?;
        Ok((row, true))
    }

    /// Forgets an account's devices, all or all but the one that a session was begun from: whoever has one of the others has to start
    /// as a stranger.
    pub(super) async fn drop_devices(
        &self,
        conn: &mut Conn,
        account_id: Id,
        keep_session: Option<Id>,
    ) -> Result<(), DbError> {
        let mut keep = None;
        if let Some(id) = keep_session {
            let query = session::table.find(id).filter(session::account_id.eq(account_id)).select(session::device_id);
            let device: Option<Option<Id>> = on!(conn, |db| query.first(db).await.optional())?;
            keep = device.flatten();
        }
        // No device has the nil id.
        let keep = keep.unwrap_or(Id::NIL);
        let others = device::table.filter(device::account_id.eq(account_id)).filter(device::id.ne(keep));
        on!(conn, |db| diesel::delete(others).execute(db).await).map(drop)
    }

    async fn forget_devices(&self, conn: &mut Conn, account_id: Id) -> Result<(), DbError> {
        let own = device::table.filter(device::account_id.eq(account_id));
        let order = (device::last_use_time.desc(), device::id.desc());
        let surplus = own.select(device::id).order(order).limit(DEVICES).offset(DEVICES);
        let surplus: Vec<Id> = on!(conn, |db| surplus.load(db).await)?;
        if surplus.is_empty() {
            return Ok(());
        }
        let surplus = device::table.filter(device::id.eq_any(&surplus));
        on!(conn, |db| diesel::delete(surplus).execute(db).await).map(drop)
    }
}
