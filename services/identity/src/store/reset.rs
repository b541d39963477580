//! Password resets: a code traded for a grant, and a grant or a link's token for a new password.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::DbError;
use quartet_chassis::id::Id;
use quartet_chassis::{on, random};

use super::Store;
use super::account::{AccountRow, State};
use super::challenge::ChallengeRow;
use crate::challenge::{GRANT_LIFE, Proof, Purpose, TRIES, matches};
use crate::email::Email;
use crate::error::Error;
use crate::notice::Notice;
use crate::schema::{account, challenge};

/// A reset that may be completed, found by a token or grant that was right.
#[derive(Debug)]
pub struct Ticket {
    pub account: AccountRow,
    challenge_id: Id,
    by_grant: bool,
}

impl Store {
    /// Trades a reset mail's code for a grant, once.
    pub async fn grant_reset(&self, email: &Email, code: &Proof) -> Result<Option<String>, Error> {
        let Some((account, row)) = self.try_code(email, code, Purpose::Reset).await? else { return Ok(None) };
        let (now, grant) = (self.now(), random::token());
        let granted = self
            .db
            .transaction(async |conn| {
                self.hold_account(conn, account.id).await?;
                let open = challenge::table.find(row.id).filter(challenge::used_time.is_null());
                let open = open.filter(challenge::grant_hash.is_null()).filter(challenge::expire_time.gt(now));
                let change = (
                    challenge::grant_hash.eq(self.marker.grant(account.bond(Purpose::Reset), &grant)),
                    challenge::grant_expire_time.eq(now + GRANT_LIFE),
                    challenge::tries.eq(TRIES),
                );
                let granted = on!(conn, |db| diesel::update(open).set(change).execute(db).await)? == 1;
                self.forgive_try(conn, account.id).await?;
                Ok::<_, Error>(granted)
            })
            .await?;
        Ok(granted.then_some(grant))
    }

    /// The reset that a link's token is good for.
    pub async fn reset_by_token(&self, email: &Email, token: &Proof) -> Result<Option<Ticket>, DbError> {
        self.ticket(email, false, |account, row| {
            let fresh = row.expire_time > self.now();
            fresh && matches(&row.token_hash, &self.marker.token(account.bond(Purpose::Reset), token.expose()))
        })
        .await
    }

    /// The reset that a grant is good for.
    pub async fn reset_by_grant(&self, email: &Email, grant: &Proof) -> Result<Option<Ticket>, DbError> {
        self.ticket(email, true, |account, row| {
            let fresh = row.grant_expire_time.is_some_and(|expire| expire > self.now());
            let stored = row.grant_hash.as_deref().unwrap_or_default();
            fresh && matches(stored, &self.marker.grant(account.bond(Purpose::Reset), grant.expose()))
        })
        .await
    }

    /// Sets the new password, ends every session and tells the owner. False when the ticket was used meanwhile.
    pub async fn complete_reset(&self, ticket: Ticket, password_hash: &str) -> Result<bool, Error> {
        let Ticket { account: owner, challenge_id, by_grant } = ticket;
        let now = self.now();
        let done = self
            .db
            .transaction(async |conn| {
                self.hold_account(conn, owner.id).await?;
                let open = challenge::table.find(challenge_id).filter(challenge::used_time.is_null());
                let used = challenge::used_time.eq(now);
                let taken = if by_grant {
                    let open = open.filter(challenge::grant_expire_time.gt(now));
                    on!(conn, |db| diesel::update(open).set(used).execute(db).await)?
                } else {
                    let open = open.filter(challenge::expire_time.gt(now));
                    on!(conn, |db| diesel::update(open).set(used).execute(db).await)?
                };
                if taken == 0 {
                    return Ok(None);
                }
                // Who resets reads the address's mail: that confirms a pending account, and whoever registered it is out.
                let able = account::state.eq_any([State::Pending.as_str(), State::Active.as_str()]);
                let able = account::table.find(owner.id).filter(able);
                let change = (
                    account::password_hash.eq(password_hash),
                    account::state.eq(State::Active.as_str()),
                    account::email_verified.eq(true),
                );
                if on!(conn, |db| diesel::update(able).set(change).execute(db).await)? == 0 {
                    return Ok(None);
                }
                self.drop_challenges(conn, owner.id).await?;
                self.drop_devices(conn, owner.id, None).await?;
                let ended = self.end_sessions(conn, owner.id, None).await?;
                let revoked = self.revoke(conn, ended).await?;
                self.notify(conn, &owner, Notice::PasswordReset).await?;
                self.publish(conn, owner.id).await?;
                Ok::<_, Error>(Some(revoked))
            })
            .await?;
        let Some(revoked) = done else { return Ok(false) };
        self.committed(revoked).await;
        Ok(true)
    }

    async fn ticket(
        &self,
        email: &Email,
        by_grant: bool,
        is_right: impl Fn(&AccountRow, &ChallengeRow) -> bool + Send,
    ) -> Result<Option<Ticket>, DbError> {
        let conn = &mut self.db.read().await?;
        let found = self.find_challenge(conn, email, Purpose::Reset).await?;
        let found = found.filter(|(account, row)| row.used_time.is_none() && is_right(account, row));
        Ok(found.map(|(account, row)| Ticket { account, challenge_id: row.id, by_grant }))
    }
}
