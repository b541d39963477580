//! The password of an account in use.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::account::{AccountRow, State};
use crate::error::Error;
use crate::notice::Notice;
use crate::schema::account;

impl Store {
    /// Sets a new password in the place of the one that `owner` was read with, ends every session but one and tells the owner. Answers
    /// how many were ended; `None` when the password is another one by now.
    pub async fn update_password(
        &self,
        owner: &AccountRow,
        keep: Id,
        password_hash: &str,
    ) -> Result<Option<usize>, Error> {
        let done = self
            .db
            .transaction(async |conn| {
                let same = account::table.find(owner.id).filter(account::password_hash.eq(&owner.password_hash));
                let same = same.filter(account::state.eq(State::Active.as_str()));
                let change = account::password_hash.eq(password_hash);
                if on!(conn, |db| diesel::update(same).set(change).execute(db).await)? == 0 {
                    return Ok(None);
                }
                self.drop_challenges(conn, owner.id).await?;
                self.drop_devices(conn, owner.id, Some(keep)).await?;
                let ended = self.end_sessions(conn, owner.id, Some(keep)).await?;
                let revoked = self.revoke(conn, ended).await?;
                self.notify(conn, owner, Notice::PasswordUpdated).await?;
                Ok::<_, Error>(Some(revoked))
            })
            .await?;
        let Some(revoked) = done else { return Ok(None) };
        let count = revoked.len();
        self.committed(revoked).await;
        Ok(Some(count))
    }
}
