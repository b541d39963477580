//! What has happened to the uploads and files of a project, with numbers that become visible in their order.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use crate::schema::{event, project};

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    UploadStarted,
    Ready,
    UploadEnded,
    Renamed,
    Deleted,
}

impl EventKind {
    pub fn name(self) -> &'static str {
        match self {
            EventKind::UploadStarted => "UPLOAD_STARTED",
            EventKind::Ready => "READY",
            EventKind::UploadEnded => "UPLOAD_ENDED",
            EventKind::Renamed => "RENAMED",
            EventKind::Deleted => "DELETED",
        }
    }
}

/// Notes an event. The project's row, which gives the number, is locked until the transaction ends, so no reader ever skips one. Ring the
/// project's bell when the transaction is through.
pub async fn note(
    conn: &mut Conn,
    project_id: Id,
    kind: EventKind,
    upload_id: Option<Id>,
    media_id: Option<Id>,
    now: Time,
) -> Result<(), DbError> {
    let next = diesel::update(project::table.find(project_id))
        .set(project::last_event.eq(project::last_event + 1))
        .returning(project::last_event);
    let number: i64 = on!(conn, |db| next.get_result(db).await)?;
    let values = (
        event::project_id.eq(project_id),
        event::number.eq(number),
        event::kind.eq(kind.name()),
        event::upload_id.eq(upload_id),
        event::media_id.eq(media_id),
        event::create_time.eq(now),
    );
    on!(conn, |db| diesel::insert_into(event::table).values(values).execute(db).await).map(drop)
}
