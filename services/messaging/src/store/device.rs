//! Devices: each belongs to a session, and each target is one account's.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::accounts::hold::{self, Writer};
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::{Store, usage};
use crate::error::Error;
use crate::schema::device;

/// How many devices an account has.
pub const DEVICES: i32 = 20;
/// How often it is tried anew when somebody else registers the same target at the same time.
const TRIES: usize = 5;

/// A device.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = device)]
pub struct DeviceRow {
    pub id: Id,
    pub account_id: Id,
    pub session_id: Id,
    pub name: String,
    pub kind: String,
    /// Sealed for the row with this tag.
    pub target: Vec<u8>,
    pub target_tag: Vec<u8>,
    pub create_time: Time,
    pub push_time: Option<Time>,
}

/// A device that is to be registered.
#[derive(Debug, Clone)]
pub struct NewDevice {
    pub name: String,
    pub kind: &'static str,
    pub target: Vec<u8>,
    pub target_tag: Vec<u8>,
}

impl Store {
    /// Registers a session's device in place of what it had. A target that is registered moves.
    pub async fn register_device(&self, account: Id, session: Id, new: &NewDevice) -> Result<DeviceRow, Error> {
        let _turn = self.own_turn(account).await?;
        let mut tries = 0;
        loop {
            let row = DeviceRow {
                id: self.new_id(),
                account_id: account,
                session_id: session,
                name: new.name.clone(),
                kind: new.kind.to_owned(),
                target: new.target.clone(),
                target_tag: new.target_tag.clone(),
                create_time: self.now(),
                push_time: None,
            };
            match self.db.transaction(async |conn| register(conn, row.clone()).await).await {
                Err(Error::Db(error)) if error.is_duplicate_of("device", &["target_tag"]) && tries < TRIES => {
                    tries += 1
                }
                registered => return registered,
            }
        }
    }

    /// Removes a device. One that is not there is no error.
    pub async fn unregister_device(&self, account: Id, id: Id) -> Result<(), Error> {
        let _turn = self.own_turn(account).await?;
        self.db
            .transaction(async |conn| {
                let own = device::table.find(id).filter(device::account_id.eq(account));
                on!(conn, |db| diesel::delete(own).execute(db).await).map(drop).map_err(Error::from)
            })
            .await
    }

    /// Somebody's devices, the newest first.
    pub async fn devices(&self, account: Id) -> Result<Vec<DeviceRow>, DbError> {
        let conn = &mut self.db.read().await?;
        let own = device::table.filter(device::account_id.eq(account)).order(device::id.desc());
        on!(conn, |db| own.select(DeviceRow::as_select()).load(db).await)
    }

    pub async fn device(&self, account: Id, id: Id) -> Result<Option<DeviceRow>, DbError> {
        let conn = &mut self.db.read().await?;
        let own = device::table.find(id).filter(device::account_id.eq(account));
        on!(conn, |db| own.select(DeviceRow::as_select()).first(db).await.optional())
    }

    /// Notes that a push has reached its service.
    pub async fn note_pushed(&self, id: Id) -> Result<(), DbError> {
        let pushed = device::push_time.eq(self.now());
        self.db
            .transaction(async |conn| {
                on!(conn, |db| diesel::update(device::table.find(id)).set(pushed).execute(db).await).map(drop)
            })
            .await
    }

    /// Drops a device that its push service knows no more, unless it has been given another target meanwhile.
    pub async fn drop_device(&self, row: &DeviceRow) -> Result<(), DbError> {
        self.db
            .transaction(async |conn| {
                let same = device::table.find(row.id).filter(device::target.eq(&row.target));
                on!(conn, |db| diesel::delete(same).execute(db).await).map(drop)
            })
            .await
    }

    /// Drops the devices of sessions that have ended.
    pub async fn drop_devices_of(&self, sessions: Vec<Id>) -> Result<(), DbError> {
        if sessions.is_empty() {
            return Ok(());
        }
        self.db
            .transaction(async |conn| {
                let theirs = device::table.filter(device::session_id.eq_any(&sessions));
                on!(conn, |db| diesel::delete(theirs).execute(db).await).map(drop)
            })
            .await
    }

    /// Some devices in the order of their ids, each with its session.
    pub async fn device_sessions(&self, after: Id, most: i64) -> Result<Vec<(Id, Id)>, DbError> {
        let conn = &mut self.db.read().await?;
        let some = device::table.filter(device::id.gt(after)).order(device::id).limit(most);
        on!(conn, |db| some.select((device::id, device::session_id)).load(db).await)
    }
}

async fn register(conn: &mut Conn, row: DeviceRow) -> Result<DeviceRow, Error> {
    if hold::writer(conn, row.account_id).await? == Writer::Erased {
        return Err(Error::PersonNotFound(vec![row.account_id.to_string()]));
    }
    // One after the other, or a session had two, and all of them too many.
    usage::lock(conn, row.account_id).await?;
    // What this session had, and whose the target was: one program on one device speaks for itself.
    let before = device::table.filter(device::session_id.eq(row.session_id));
    let before = before.filter(device::target_tag.ne(&row.target_tag));
    on!(conn, |db| diesel::delete(before).execute(db).await)?;
    let others = device::table.filter(device::target_tag.eq(&row.target_tag));
    let others = others.filter(device::account_id.ne(row.account_id));
    on!(conn, |db| diesel::delete(others).execute(db).await)?;
    let same = device::table.filter(device::target_tag.eq(&row.target_tag));
    let set = (
        device::session_id.eq(row.session_id),
        device::name.eq(&row.name),
        device::kind.eq(&row.kind),
        device::target.eq(&row.target),
    );
    let known = diesel::update(same).set(set);
    let known: Option<DeviceRow> =
        on!(conn, |db| known.returning(DeviceRow::as_returning()).get_result(db).await.optional())?;
    if let Some(known) = known {
        return Ok(known);
    }
    let count = device::table.filter(device::account_id.eq(row.account_id)).count();
    let count: i64 = on!(conn, |db| count.get_result(db).await)?;
    if count >= i64::from(DEVICES) {
        return Err(Error::DeviceLimit(DEVICES));
    }
    on!(conn, |db| diesel::insert_into(device::table).values(&row).execute(db).await)?;
    Ok(row)
}
