//! Parts of uploads: who may write one, and that it counts.
//!
//! A part is written between two transactions. The first takes a lease on the upload; the second moves the upload's offset, with the
//! running digest, the quota and the part's row, and only if the lease and the offset are still what they were. So of all who write only one
//! moves the upload, by any number of instances and whatever happens between.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::lease::lend;
use super::project::{role_in, role_locked};
use super::upload::{UploadRow, exceeded, locked, not_found};
use super::{Store, usage};
use crate::error::Error;
use crate::project::Role;
use crate::schema::{upload, upload_part};
use crate::upload::Place;

/// What is to be done about a part.
pub enum Begun {
    /// One of its length is there already. It is the same one if this digest, taken on over it, becomes that one.
    There { offset: i64, before: Vec<u8>, behind: Vec<u8> },
    /// It is to be written.
    Write(Box<Ground>),
}

/// What a part is written upon: the upload as it is, with the lease.
#[derive(Debug, Clone)]
pub struct Ground {
    pub upload: UploadRow,
    pub number: i32,
    pub lease: Id,
}

impl Store {
    /// Takes the lease for a part, or finds that it is there.
    pub async fn begin_part(&self, id: Id, account: Id, place: Place) -> Result<Begun, Error> {
        let (now, lease) = (self.now(), self.new_id());
        self.db
            .transaction(async |conn| {
                let row = locked(conn, id).await?.filter(|row| row.account_id == account);
                let row = row.ok_or_else(|| not_found(id))?;
                let found = role_in(conn, row.project_id, account).await?;
                let (project, role) = found.ok_or_else(|| not_found(id))?;
                role.may(Role::Editor)?;
                row.open(now)?;
                let shape = row.shape(self.limits.file_bytes);
                let number = shape.number(place.offset).ok_or(Error::OffsetWrong(row.offset_bytes))?;
                if place.offset != row.offset_bytes {
                    let there = part_in(conn, id, number).await?.filter(|(size, _)| i64::from(*size) == place.length);
                    let (_, behind) = there.ok_or(Error::OffsetWrong(row.offset_bytes))?;
                    let before = part_in(conn, id, number - 1).await?.map(|(_, digest)| digest).unwrap_or_default();
                    return Ok(Begun::There { offset: row.offset_bytes, before, behind });
                }
                shape.check(place)?;
                let room = usage::fits(conn, &self.limits, &project, place.length).await?;
                room.map_err(|quota| exceeded(role, quota))?;
                if self.is_leased(&row, now) {
                    return Err(Error::UploadBusy);
                }
                lend(conn, id, lease, now).await?;
                Ok(Begun::Write(Box::new(Ground { upload: row, number, lease })))
            })
            .await
    }

    /// Notes the store's own name for an upload that was begun there, and answers the one that counts: another instance may have been first.
    pub async fn set_store_id(&self, id: Id, store_id: &str) -> Result<String, Error> {
        self.db
            .transaction(async |conn| {
                let first = upload::table.find(id).filter(upload::store_id.eq(""));
                let set = diesel::update(first).set(upload::store_id.eq(store_id));
                on!(conn, |db| set.execute(db).await)?;
                let counts = upload::table.find(id).select(upload::store_id);
                let counts: Option<String> = on!(conn, |db| counts.first(db).await.optional())?;
                counts.ok_or_else(|| not_found(id))
            })
            .await
    }

    /// Makes a written part count, and answers how far the upload is. Whose lease is gone, or who comes behind another one, is told that the
    /// upload is busy; nothing has happened then.
    pub async fn advance(
        &self,
        ground: &Ground,
        place: Place,
        content_id: &str,
        digest: Vec<u8>,
    ) -> Result<i64, Error> {
        let (now, row) = (self.now(), &ground.upload);
        let offset = row.offset_bytes + place.length;
        let size = if place.last { Some(offset) } else { row.size_bytes };
        self.db
            .transaction(async |conn| {
                let found = role_locked(conn, row.project_id, row.account_id).await?;
                let (project, role) = found.ok_or_else(|| not_found(row.id))?;
                role.may(Role::Editor)?;
                let charged = usage::charge(conn, &self.limits, &project, place.length).await?;
                charged.map_err(|quota| exceeded(role, quota))?;
                let same = upload::table
                    .find(row.id)
                    .filter(upload::lease_id.eq(ground.lease))
                    .filter(upload::offset_bytes.eq(row.offset_bytes))
                    .filter(upload::end_time.is_null())
                    .filter(upload::expire_time.gt(now));
                let set = (
                    upload::offset_bytes.eq(offset),
                    upload::size_bytes.eq(size),
                    upload::digest.eq(&digest),
                    upload::expire_time.eq(self.expiry(now)),
                    upload::lease_id.eq(None::<Id>),
                    upload::lease_time.eq(None::<Time>),
                );
                let moved: usize = on!(conn, |db| diesel::update(same).set(set).execute(db).await)?;
                if moved == 0 {
                    return Err(Error::UploadBusy);
                }
                insert_part(conn, ground, place, content_id, &digest).await?;
                Ok(offset)
            })
            .await
    }
}

/// The length of a part, and the running digest behind it.
async fn part_in(conn: &mut Conn, id: Id, number: i32) -> Result<Option<(i32, Vec<u8>)>, DbError> {
    let query = upload_part::table.find((id, number)).select((upload_part::size_bytes, upload_part::digest));
    on!(conn, |db| query.first(db).await.optional())
}

async fn insert_part(
    conn: &mut Conn,
    ground: &Ground,
    place: Place,
    content_id: &str,
    digest: &[u8],
) -> Result<(), DbError> {
    let values = (
        upload_part::upload_id.eq(ground.upload.id),
        upload_part::number.eq(ground.number),
        upload_part::size_bytes.eq(i32::try_from(place.length).unwrap_or(i32::MAX)),
        upload_part::digest.eq(digest),
        upload_part::content_id.eq(content_id),
    );
    on!(conn, |db| diesel::insert_into(upload_part::table).values(values).execute(db).await).map(drop)
}

/// The store's own names for the parts of an upload, in their order.
pub(super) async fn content_ids(conn: &mut Conn, id: Id) -> Result<Vec<String>, DbError> {
    let query = upload_part::table.filter(upload_part::upload_id.eq(id)).order(upload_part::number);
    on!(conn, |db| query.select(upload_part::content_id).load(db).await)
}
