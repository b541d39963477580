//! Activations, and what becomes of an account that was in use before its address was confirmed.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::auth::Revocation;
use quartet_chassis::caller::Caller;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::account::{AccountRow, State};
use super::challenge::ChallengeRow;
use crate::challenge::{Proof, Purpose, matches};
use crate::email::Email;
use crate::error::Error;
use crate::notice::Notice;
use crate::schema::{account, session};

/// An account that was activated.
#[derive(Debug)]
pub struct Activated {
    pub pseudonym: Id,
    /// Whether it has no password, so that its owner has to set one.
    pub password_needed: bool,
}

impl Store {
    /// Activates an account by the link's token.
    pub async fn activate_by_token(
        &self,
        email: &Email,
        token: &Proof,
        caller: Option<&Caller>,
    ) -> Result<Activated, Error> {
        let now = self.now();
        let (activated, revoked) = self
            .db
            .transaction(async |conn| {
                let found = self.find_challenge(conn, email, Purpose::Activate).await?;
                let (account, row) = found.ok_or(Error::ActivationInvalid)?;
                let tag = self.marker.token(account.bond(Purpose::Activate), token.expose());
                if !is_able(&account) || !matches(&row.token_hash, &tag) || row.expire_time <= now {
                    return Err(Error::ActivationInvalid);
                }
                if row.used_time.is_some() {
                    return Err(Error::AccountAlreadyActive);
                }
                self.activate(conn, account, &row, caller).await
            })
            .await?;
        self.committed(revoked).await;
        Ok(activated)
    }

    /// Activates an account by the mail's code.
    pub async fn activate_by_code(
        &self,
        email: &Email,
        code: &Proof,
        caller: Option<&Caller>,
    ) -> Result<Activated, Error> {
        let right = self.try_code(email, code, Purpose::Activate).await?.filter(|(account, _)| is_able(account));
        let (account, row) = right.ok_or(Error::ActivationInvalid)?;
        let (activated, revoked) = self
            .db
            .transaction(async |conn| {
                self.forgive_try(conn, account.id).await?;
                self.activate(conn, account, &row, caller).await
            })
            .await?;
        self.committed(revoked).await;
        Ok(activated)
    }

    /// Activates a challenge's account and uses the challenge up, both or neither. Answers what is revoked by that, too.
    async fn activate(
        &self,
        conn: &mut Conn,
        mut owner: AccountRow,
        row: &ChallengeRow,
        caller: Option<&Caller>,
    ) -> Result<(Activated, Vec<Revocation>), Error> {
        // Nobody uses an account that waits for its activation, so there is nobody to be put out.
        let is_used = owner.state == State::Active && !owner.email_verified;
        let same = account::table.find(owner.id).filter(account::state.eq(owner.state.as_str()));
        let active = (account::state.eq(State::Active.as_str()), account::email_verified.eq(true));
        if on!(conn, |db| diesel::update(same).set(active).execute(db).await)? == 0
            || !self.use_up(conn, row.id).await?
        {
            return Err(Error::ActivationInvalid);
        }
        let keep = if is_used { self.session_of(conn, owner.id, caller).await? } else { None };
        let revoked = if is_used { self.hand_over(conn, &mut owner, row.id, keep).await? } else { Vec::new() };
        let password_needed = owner.password_hash.is_empty();
        if is_used && keep.is_none() {
            self.notify(conn, &owner, Notice::PasswordDropped).await?;
        }
        self.publish(conn, owner.id).await?;
        Ok((Activated { pseudonym: owner.pseudonym, password_needed }, revoked))
    }

    /// Gives an account that was in use before its address was confirmed to whoever has confirmed it. Without mandatory verification
    /// somebody else may have registered it: nothing that they could come back with is left, no session, device, password or link
    /// (S-13). Who confirms it in a session of the account is who has registered it, and keeps the password and that session.
    pub(super) async fn hand_over(
        &self,
        conn: &mut Conn,
        owner: &mut AccountRow,
        used_challenge: Id,
        keep: Option<Id>,
    ) -> Result<Vec<Revocation>, DbError> {
        if keep.is_none() {
            let dropped = (account::password_hash.eq(""), account::email_verified.eq(true));
            on!(conn, |db| diesel::update(account::table.find(owner.id)).set(dropped).execute(db).await)?;
            owner.password_hash.clear();
        }
        owner.email_verified = true;
        self.drop_other_challenges(conn, owner.id, used_challenge).await?;
        self.drop_devices(conn, owner.id, keep).await?;
        let ended = self.end_sessions(conn, owner.id, keep).await?;
        self.revoke(conn, ended).await
    }

    /// The caller's live session, where it is the account's own and its owner acts in it.
    async fn session_of(
        &self,
        conn: &mut Conn,
        account_id: Id,
        caller: Option<&Caller>,
    ) -> Result<Option<Id>, DbError> {
        let caller = caller.filter(|caller| caller.account_id == account_id && caller.actor.is_none());
        let Some(caller) = caller else { return Ok(None) };
        Ok(self.is_live(conn, account_id, caller.session_id).await?.then_some(caller.session_id))
    }

    /// Whether a session of an account lives and its owner acts in it.
    pub(super) async fn is_live(&self, conn: &mut Conn, account_id: Id, session_id: Id) -> Result<bool, DbError> {
        let now = self.now();
        let own = session::table.find(session_id).filter(session::account_id.eq(account_id));
        let own = own.filter(session::idle_expire_time.gt(now)).filter(session::expire_time.gt(now));
        let own = own.filter(session::actor.eq("")).select(session::id);
        let found: Option<Id> = on!(conn, |db| own.first(db).await.optional())?;
        Ok(found.is_some())
    }
}

/// Whether the account is one to be activated. One that was put aside or suspended is not had back by an earlier mail.
fn is_able(account: &AccountRow) -> bool {
    matches!(account.state, State::Pending | State::Active)
}
