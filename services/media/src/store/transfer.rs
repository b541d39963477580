//! How a project becomes somebody else's.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::accounts::hold;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::blob::lock_blobs;
use super::project::{ProjectRow, held};
use super::project_view::{ProjectView, one};
use super::usage;
use crate::error::Error;
use crate::project::{PROJECTS, Role};
use crate::schema::{blob, media, member, project, upload};

impl Store {
    /// Offers a project to one of its members, for its owner; or hands it over, with what it takes of a quota, to the member it was offered to.
    pub async fn transfer_project(&self, project_id: Id, caller: Id, account_id: Id) -> Result<ProjectView, Error> {
        let now = self.now();
        self.db
            .bulk(async |conn| {
                let (project, role) = held(conn, project_id, caller, Role::Viewer).await?;
                if role.owns() {
                    offer(conn, &project, account_id).await?;
                    return one(conn, project, role).await;
                }
                if account_id != caller || !is_offered(conn, project_id, caller).await? {
                    return Err(Error::ProjectRightMissing);
                }
                if hold::missing(conn, &[caller]).await?.is_some() {
                    return Err(Error::MemberNotFound(caller.to_string()));
                }
                if is_uploading(conn, project_id, now).await? {
                    return Err(Error::UploadInProgress);
                }
                self.move_usage(conn, &project, caller).await?;
                hand_over(conn, project, caller).await
            })
            .await
    }

    async fn move_usage(&self, conn: &mut Conn, project: &ProjectRow, heir: Id) -> Result<(), Error> {
        usage::take(conn, project.owner_id, heir).await?;
        if !usage::add_project(conn, heir, PROJECTS).await? {
            return Err(Error::ProjectLimit(PROJECTS));
        }
        let added = usage::add_bytes(conn, heir, self.limits.account_bytes, project.size_bytes).await?;
        added.map_err(|quota| Error::QuotaExceeded(Some(quota)))?;
        usage::sub_project(conn, project.owner_id).await?;
        usage::sub_bytes(conn, project.owner_id, project.size_bytes).await?;
        Ok(())
    }
}

/// Notes to whom a project is offered: to one member, or by the owner's own id to nobody any more.
async fn offer(conn: &mut Conn, project: &ProjectRow, account_id: Id) -> Result<(), Error> {
    take_back(conn, project.id).await?;
    if account_id == project.owner_id {
        return Ok(());
    }
    let row = diesel::update(member::table.find((project.id, account_id))).set(member::offered.eq(true));
    let offered: usize = on!(conn, |db| row.execute(db).await)?;
    if offered == 0 || hold::missing(conn, &[account_id]).await?.is_some() {
        return Err(Error::MemberNotFound(account_id.to_string()));
    }
    Ok(())
}

async fn is_offered(conn: &mut Conn, project_id: Id, account_id: Id) -> Result<bool, DbError> {
    let offered = member::table.find((project_id, account_id)).select(member::offered);
    let offered: Option<bool> = on!(conn, |db| offered.first(db).await.optional())?;
    Ok(offered.unwrap_or(false))
}

/// A project is offered to nobody any more.
async fn take_back(conn: &mut Conn, project_id: Id) -> Result<(), DbError> {
    let offers = member::table.filter(member::project_id.eq(project_id)).filter(member::offered.eq(true));
    on!(conn, |db| diesel::update(offers).set(member::offered.eq(false)).execute(db).await).map(drop)
}

async fn is_uploading(conn: &mut Conn, project_id: Id, now: Time) -> Result<bool, DbError> {
    let open = upload::project_id.eq(project_id).and(upload::end_time.is_null()).and(upload::expire_time.gt(now));
    let open = upload::table.filter(open).count();
    let open: i64 = on!(conn, |db| open.get_result(db).await)?;
    Ok(open > 0)
}

/// Makes another member the owner. Whose the bytes once were is forgotten: they are shared with nothing else of either any more.
async fn hand_over(conn: &mut Conn, project: ProjectRow, heir: Id) -> Result<ProjectView, Error> {
    take_back(conn, project.id).await?;
    for (account, role) in [(project.owner_id, Role::Editor), (heir, Role::Owner)] {
        let row = member::table.find((project.id, account));
        on!(conn, |db| diesel::update(row).set(member::role.eq(role.name())).execute(db).await)?;
    }
    lock_blobs(conn, project.id).await?;
    let files = media::table.filter(media::project_id.eq(project.id)).select(media::blob_id);
    let bytes = diesel::update(blob::table.filter(blob::id.eq_any(files))).set(blob::owner_id.eq(None::<Id>));
    on!(conn, |db| bytes.execute(db).await)?;
    let row = ProjectRow { owner_id: heir, version: project.version + 1, ..project };
    let set = (project::owner_id.eq(row.owner_id), project::version.eq(row.version));
    on!(conn, |db| diesel::update(project::table.find(row.id)).set(set).execute(db).await)?;
    one(conn, row, Role::Owner).await
}
