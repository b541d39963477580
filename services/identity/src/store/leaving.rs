//! Accounts that their owners put aside, and take into use again.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::auth::Target;
use quartet_chassis::db::Conn;
use quartet_chassis::on;

use super::Store;
use super::account::{AccountRow, Budget, State};
use super::challenge::ChallengeRow;
use crate::challenge::{Proof, Purpose, matches};
use crate::email::Email;
use crate::error::Error;
use crate::notice::Notice;
use crate::schema::account;

impl Store {
    /// Puts an account aside: its sessions and tokens end, its data stays. Not the last administrator's.
    pub async fn deactivate(&self, owner: &AccountRow) -> Result<(), Error> {
        let revoked = self
            .db
            .transaction(async |conn| {
                self.lock_administration(conn).await?;
                self.ensure_other_administrator(conn, owner.id).await?;
                let same = account::table.find(owner.id).filter(account::password_hash.eq(&owner.password_hash));
                let same = same.filter(account::state.eq(State::Active.as_str()));
                let change = (account::state.eq(State::Deactivated.as_str()), account::epoch.eq(account::epoch + 1));
                let update = diesel::update(same).set(change).returning(account::epoch);
                let epoch: Option<i64> = on!(conn, |db| update.get_result(db).await.optional())?;
                // Somebody has changed the password or the state since the owner showed who they are.
                let epoch = epoch.ok_or(Error::CredentialsInvalid)?;
                self.drop_challenges(conn, owner.id).await?;
                let mut targets = self.end_sessions(conn, owner.id, None).await?;
                targets.push(Target::Account { id: owner.id, epoch });
                let revoked = self.revoke(conn, targets).await?;
                self.notify(conn, owner, Notice::Deactivated).await?;
                self.publish(conn, owner.id).await?;
                Ok::<_, Error>(revoked)
            })
            .await?;
        self.committed(revoked).await;
        Ok(())
    }

    /// Mails what takes a deactivated account into use again, if it may get another mail.
    pub async fn request_reactivation(&self, owner: &AccountRow) -> Result<(), Error> {
        self.db
            .transaction(async |conn| {
                if self.may_mail(conn, owner.id, Budget::Challenge(Purpose::Reactivate)).await? {
                    self.challenge(conn, owner, Purpose::Reactivate, self.now()).await?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        self.committed(Vec::new()).await;
        Ok(())
    }

    /// Takes an account into use again by the link's token. False when that is not good.
    pub async fn reactivate_by_token(&self, owner: &AccountRow, email: &Email, token: &Proof) -> Result<bool, Error> {
        let done = self
            .db
            .transaction(async |conn| {
                let Some((account, row)) = self.find_challenge(conn, email, Purpose::Reactivate).await? else {
                    return Ok::<_, Error>(false);
                };
                let tag = self.marker.token(account.bond(Purpose::Reactivate), token.expose());
                Ok::<_, Error>(matches(&row.token_hash, &tag) && self.reactivate(conn, owner, &row).await?)
            })
            .await?;
        self.reactivated(done).await
    }

    /// Takes an account into use again by the mail's code. False when that is not good.
    pub async fn reactivate_by_code(&self, owner: &AccountRow, email: &Email, code: &Proof) -> Result<bool, Error> {
        let Some((account, row)) = self.try_code(email, code, Purpose::Reactivate).await? else { return Ok(false) };
        let done = self
            .db
            .transaction(async |conn| {
                self.forgive_try(conn, account.id).await?;
                self.reactivate(conn, owner, &row).await
            })
            .await?;
        self.reactivated(done).await
    }

    /// Who has both the password and the mail is the owner, whether or not the address was confirmed before.
    async fn reactivate(&self, conn: &mut Conn, owner: &AccountRow, row: &ChallengeRow) -> Result<bool, Error> {
        let same = account::table.find(owner.id).filter(account::password_hash.eq(&owner.password_hash));
        let same = same.filter(account::state.eq(State::Deactivated.as_str()));
        let change = (account::state.eq(State::Active.as_str()), account::email_verified.eq(true));
        if row.account_id != owner.id
            || on!(conn, |db| diesel::update(same).set(change).execute(db).await)? == 0
            || !self.use_up(conn, row.id).await?
        {
            // An error, since the account may be written to already.
            return Err(Error::ReactivationInvalid);
        }
        self.drop_challenges(conn, owner.id).await?;
        self.notify(conn, owner, Notice::Reactivated).await?;
        self.publish(conn, owner.id).await?;
        Ok(true)
    }

    async fn reactivated(&self, done: bool) -> Result<bool, Error> {
        if done {
            self.committed(Vec::new()).await;
        }
        Ok(done)
    }
}
