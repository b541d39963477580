//! Challenges: made, tried, used.

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::auth::Revocation;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;
use secrecy::ExposeSecret as _;

use super::Store;
use super::account::{AccountRow, State, account_by_email, account_by_id};
use crate::challenge::{Bond, FAILURES_PER_DAY, Proof, Purpose, Secrets, TRIES, expiry, matches};
use crate::email::Email;
use crate::error::Error;
use crate::letter::Letter;
use crate::schema::{account, challenge};

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = challenge)]
pub struct ChallengeRow {
    pub id: Id,
    pub account_id: Id,
    pub token_hash: Vec<u8>,
    pub code_hash: Vec<u8>,
    pub grant_hash: Option<Vec<u8>>,
    pub grant_expire_time: Option<Time>,
    pub expire_time: Time,
    pub used_time: Option<Time>,
}

impl AccountRow {
    pub(super) fn bond(&self, purpose: Purpose) -> Bond<'_> {
        Bond { account_id: self.id, email_key: &self.email_key, purpose }
    }
}

impl Store {
    /// Activates an account by the link's token.
    pub async fn activate_by_token(&self, email: &Email, token: &Proof) -> Result<(), Error> {
        let now = self.now();
        let revoked = self
            .db
            .transaction(async |conn| {
                let found = self.find_challenge(conn, email, Purpose::Activate).await?;
                let (account, row) = found.ok_or(Error::ActivationInvalid)?;
                let tag = self.marker.token(account.bond(Purpose::Activate), token.expose());
                let able = matches!(account.state, State::Pending | State::Active);
                if !able || !matches(&row.token_hash, &tag) || row.expire_time <= now {
                    return Err(Error::ActivationInvalid);
                }
                if row.used_time.is_some() {
                    return Err(Error::AccountAlreadyActive);
                }
                self.activate(conn, &row).await
            })
            .await?;
        self.committed(revoked).await;
        Ok(())
    }

    /// Activates an account by the mail's code.
    pub async fn activate_by_code(&self, email: &Email, code: &Proof) -> Result<(), Error> {
        let row = self.try_code(email, code, Purpose::Activate).await?.ok_or(Error::ActivationInvalid)?;
        let revoked = self
            .db
            .transaction(async |conn| {
                let revoked = self.activate(conn, &row).await?;
                self.forgive_try(conn, row.account_id).await?;
                Ok::<_, Error>(revoked)
            })
            .await?;
        self.committed(revoked).await;
        Ok(())
    }

    /// Mails a new challenge where one is due: an activation to an account that waits for it, a reset to one that can sign in or
    /// waits to. Says nothing about whether it did.
    pub async fn request_challenge(&self, email: &Email, purpose: Purpose) -> Result<(), Error> {
        self.db
            .transaction(async |conn| {
                let Some(account) = account_by_email(conn, email, self.now()).await? else { return Ok(()) };
                if is_due(&account, purpose) && self.may_mail(conn, account.id).await? {
                    // An account that is nobody's yet is had by setting its password alone.
                    let purpose = if account.password_hash.is_empty() { Purpose::Reset } else { purpose };
                    self.challenge(conn, &account, purpose, self.now()).await?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        self.committed(Vec::new()).await;
        Ok(())
    }

    /// When the challenge expires, unless it was used or replaced.
    pub async fn challenge_expiry(&self, id: Id) -> Result<Option<Time>, DbError> {
        let conn = &mut self.db.read().await?;
        let open = challenge::table.find(id).filter(challenge::used_time.is_null()).select(challenge::expire_time);
        on!(conn, |db| open.first(db).await.optional())
    }

    /// Replaces a challenge that was asked for at `asked`, and whose mail could not be sent in time, by a new one with a new mail.
    pub async fn renew_challenge(&self, id: Id, purpose: Purpose, asked: Time) -> Result<(), Error> {
        self.db
            .transaction(async |conn| {
                let open = challenge::table.find(id).filter(challenge::used_time.is_null());
                let open = open.select(challenge::account_id);
                let owner: Option<Id> = on!(conn, |db| open.first(db).await.optional())?;
                let Some(owner) = owner else { return Ok(()) };
                let Some(account) = account_by_id(conn, owner, self.now()).await? else { return Ok(()) };
                if is_due(&account, purpose) { self.challenge(conn, &account, purpose, asked).await } else { Ok(()) }
            })
            .await?;
        self.committed(Vec::new()).await;
        Ok(())
    }

    /// Forgets the challenges that nobody can use any more.
    pub async fn sweep_challenges(&self) -> Result<usize, DbError> {
        let now = self.now();
        self.db
            .transaction(async |conn| {
                let ungranted = challenge::grant_expire_time.is_null().or(challenge::grant_expire_time.le(now));
                let dead = challenge::table.filter(challenge::expire_time.le(now)).filter(ungranted);
                on!(conn, |db| diesel::delete(dead).execute(db).await)
            })
            .await
    }

    /// Makes the one challenge of an account for a purpose, in the place of an earlier one, and mails it.
    pub(super) async fn challenge(
        &self,
        conn: &mut Conn,
        account: &AccountRow,
        purpose: Purpose,
        asked: Time,
    ) -> Result<(), Error> {
        let (id, now, bond) = (Id::new(&self.clock), self.now(), account.bond(purpose));
        let Secrets { token, code } = Secrets::draw(self.rules.code_digits);
        let row = (
            challenge::id.eq(id),
            challenge::account_id.eq(account.id),
            challenge::purpose.eq(purpose.as_str()),
            challenge::token_hash.eq(self.marker.token(bond, token.expose_secret())),
            challenge::code_hash.eq(self.marker.code(bond, id, code.expose_secret())),
            challenge::tries.eq(0),
            challenge::grant_hash.eq(None::<Vec<u8>>),
            challenge::grant_expire_time.eq(None::<Time>),
            challenge::create_time.eq(now),
            challenge::expire_time.eq(expiry(now)),
            challenge::used_time.eq(None::<Time>),
        );
        on!(conn, |db| {
            diesel::insert_into(challenge::table)
                .values(row.clone())
                .on_conflict((challenge::account_id, challenge::purpose))
                .do_update()
                .set(row)
                .execute(db)
                .await
        })?;
        let letter = Letter::Challenge {
            challenge_id: id.to_string(),
            purpose,
            to: account.email.clone(),
            token: token.expose_secret().to_owned(),
            code: code.expose_secret().to_owned(),
            asked_time: asked,
            again: account.password_hash.is_empty(),
        };
        self.enqueue_mail(conn, &letter).await
    }

    pub(super) async fn drop_challenges(&self, conn: &mut Conn, account_id: Id) -> Result<(), DbError> {
        let all = challenge::table.filter(challenge::account_id.eq(account_id));
        on!(conn, |db| diesel::delete(all).execute(db).await).map(drop)
    }

    /// Checks a code. The try is counted, and the count committed, before the code is looked at. The challenge, where it was right.
    pub(super) async fn try_code(
        &self,
        email: &Email,
        code: &Proof,
        purpose: Purpose,
    ) -> Result<Option<ChallengeRow>, Error> {
        let counted = self
            .db
            .transaction(async |conn| {
                let Some((account, row)) = self.find_challenge(conn, email, purpose).await? else {
                    return Ok::<_, Error>(None);
                };
                let counted = self.count_try(conn, &row).await?;
                Ok(counted.then_some((account, row)))
            })
            .await?;
        let right = |(account, row): &(AccountRow, ChallengeRow)| {
            matches(&row.code_hash, &self.marker.code(account.bond(purpose), row.id, code.expose()))
        };
        Ok(counted.filter(right).map(|(_, row)| row))
    }

    /// Takes a counted try back that turned out right, from the account's count; the challenge's stands.
    pub(super) async fn forgive_try(&self, conn: &mut Conn, account_id: Id) -> Result<(), DbError> {
        let counted = account::table.find(account_id).filter(account::code_failures.gt(0));
        let fewer = account::code_failures.eq(account::code_failures - 1);
        on!(conn, |db| diesel::update(counted).set(fewer).execute(db).await).map(drop)
    }

    /// The account of an address and its challenge for a purpose, used or not.
    pub(super) async fn find_challenge(
        &self,
        conn: &mut Conn,
        email: &Email,
        purpose: Purpose,
    ) -> Result<Option<(AccountRow, ChallengeRow)>, DbError> {
        let Some(account) = account_by_email(conn, email, self.now()).await? else { return Ok(None) };
        let query = challenge::table.filter(challenge::account_id.eq(account.id));
        let query = query.filter(challenge::purpose.eq(purpose.as_str()));
        let row: Option<ChallengeRow> =
            on!(conn, |db| query.select(ChallengeRow::as_select()).first(db).await.optional())?;
        Ok(row.map(|row| (account, row)))
    }

    /// Activates a challenge's account and uses the challenge up, both or neither. Answers what is revoked by that: without
    /// mandatory verification whoever registered the address may have sessions, and need not be who reads its mail (S-13).
    async fn activate(&self, conn: &mut Conn, row: &ChallengeRow) -> Result<Vec<Revocation>, Error> {
        let now = self.now();
        let waiting = account::state.eq_any([State::Pending.as_str(), State::Active.as_str()]);
        let waiting = account::table.find(row.account_id).filter(waiting);
        let active = (account::state.eq(State::Active.as_str()), account::email_verified.eq(true));
        let open = challenge::table.find(row.id).filter(challenge::used_time.is_null());
        let open = open.filter(challenge::expire_time.gt(now));
        let used = challenge::used_time.eq(now);
        if on!(conn, |db| diesel::update(waiting).set(active).execute(db).await)? == 0
            || on!(conn, |db| diesel::update(open).set(used).execute(db).await)? == 0
        {
            return Err(Error::ActivationInvalid);
        }
        let ended = self.end_sessions(conn, row.account_id, None).await?;
        Ok(self.revoke(conn, ended).await?)
    }

    /// Counts a try of a code, unless its challenge or its account has had its share.
    async fn count_try(&self, conn: &mut Conn, row: &ChallengeRow) -> Result<bool, DbError> {
        let now = self.now();
        let open = challenge::table.find(row.id).filter(challenge::used_time.is_null());
        let open = open.filter(challenge::grant_hash.is_null()).filter(challenge::expire_time.gt(now));
        let open = open.filter(challenge::tries.lt(TRIES));
        let count = challenge::tries.eq(challenge::tries + 1);
        if on!(conn, |db| diesel::update(open).set(count).execute(db).await)? == 0 {
            return Ok(false);
        }
        let day = now - TimeDelta::days(1);
        let within = account::table.find(row.account_id).filter(account::code_failures_time.gt(day));
        let within = within.filter(account::code_failures.lt(FAILURES_PER_DAY));
        let count = account::code_failures.eq(account::code_failures + 1);
        if on!(conn, |db| diesel::update(within).set(count).execute(db).await)? == 1 {
            return Ok(true);
        }
        let over = account::table.find(row.account_id).filter(account::code_failures_time.le(day));
        let begin = (account::code_failures.eq(1), account::code_failures_time.eq(now));
        Ok(on!(conn, |db| diesel::update(over).set(begin).execute(db).await)? == 1)
    }
}

/// Whether an account in this state has something to prove for this purpose. Who proves to read the mail of an address that
/// somebody else has registered gets the account by a reset (S-13).
fn is_due(account: &AccountRow, purpose: Purpose) -> bool {
    match (purpose, account.state) {
        (Purpose::Activate, State::Pending) => true,
        (Purpose::Activate, State::Active) => !account.email_verified,
        (Purpose::Reset, State::Pending | State::Active) => true,
        _ => false,
    }
}
