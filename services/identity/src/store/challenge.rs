//! Challenges: made, tried, used.

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::auth::KEPT;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;
use secrecy::ExposeSecret as _;

use super::Store;
use super::account::{AccountRow, Budget, State, account_by_email, account_by_id};
use super::lease::lock;
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
    pub new_email: Option<String>,
    pub new_email_key: Option<String>,
    pub session_id: Option<Id>,
}

/// Where an account is to move to, and the session that asked for it.
#[derive(Debug, Clone)]
pub(super) struct Moving {
    pub email: String,
    pub email_key: String,
    pub session_id: Id,
}

impl ChallengeRow {
    pub(super) fn moving(&self) -> Option<Moving> {
        let (email, email_key) = (self.new_email.clone()?, self.new_email_key.clone()?);
        Some(Moving { email, email_key, session_id: self.session_id? })
    }
}

impl AccountRow {
    pub(super) fn bond(&self, purpose: Purpose) -> Bond<'_> {
        Bond { account_id: self.id, email_key: &self.email_key, purpose }
    }
}

impl Store {
    /// Mails a new challenge where one is due: an activation to an account that waits for it, a reset to one that can sign in or
    /// waits to, a sign-in to one that can, and an activation to one that has to be activated first. The pseudonym of whom it mails is
    /// for the log; nobody who asks learns of it, nor waits for it (see `wish.rs`).
    pub async fn request_challenge(&self, email: &Email, purpose: Purpose, asked: Time) -> Result<Option<Id>, Error> {
        let mailed = self
            .db
            .transaction(async |conn| {
                let Some(account) = account_by_email(conn, email, self.now()).await? else { return Ok(None) };
                let Some(purpose) = due(&account, purpose) else { return Ok(None) };
                if !self.may_mail(conn, account.id, Budget::Challenge(purpose)).await? {
                    return Ok(None);
                }
                self.challenge(conn, &account, purpose, asked).await?;
                Ok::<_, Error>(Some(account.pseudonym))
            })
            .await?;
        self.committed(Vec::new()).await;
        Ok(mailed)
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
                let open: Option<ChallengeRow> =
                    on!(conn, |db| open.select(ChallengeRow::as_select()).first(db).await.optional())?;
                let Some(open) = open else { return Ok(()) };
                let Some(account) = account_by_id(conn, open.account_id, self.now()).await? else { return Ok(()) };
                if due(&account, purpose) != Some(purpose) {
                    return Ok(());
                }
                self.challenge_about(conn, &account, purpose, open.moving().as_ref(), asked).await
            })
            .await?;
        self.committed(Vec::new()).await;
        Ok(())
    }

    /// Forgets the challenges that nobody can use any more. A clock that was ahead and is set right takes nobody theirs (F-15), and a mail
    /// that waits finds its own, to renew it.
    pub async fn sweep_challenges(&self) -> Result<usize, DbError> {
        let now = self.now() - KEPT;
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
        self.challenge_about(conn, account, purpose, None, asked).await
    }

    /// The same; what proves that an account may move to an address is bound and goes to that one.
    pub(super) async fn challenge_about(
        &self,
        conn: &mut Conn,
        account: &AccountRow,
        purpose: Purpose,
        moving: Option<&Moving>,
        asked: Time,
    ) -> Result<(), Error> {
        let (id, now) = (Id::new(&self.clock), self.now());
        let (to, email_key) = match moving {
            Some(moving) => (&moving.email, moving.email_key.as_str()),
            None => (&account.email, account.email_key.as_str()),
        };
        let bond = Bond { account_id: account.id, email_key, purpose };
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
            challenge::new_email.eq(moving.map(|moving| moving.email.clone())),
            challenge::new_email_key.eq(moving.map(|moving| moving.email_key.clone())),
            challenge::session_id.eq(moving.map(|moving| moving.session_id)),
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
            to: to.clone(),
            token: token.expose_secret().to_owned(),
            code: code.expose_secret().to_owned(),
            asked_time: asked,
            again: is_nobodys(account),
        };
        self.enqueue_mail(conn, account.id, &letter).await
    }

    /// Uses a challenge up. False when somebody else has, when it was replaced or when it is too late.
    pub(super) async fn use_up(&self, conn: &mut Conn, id: Id) -> Result<bool, DbError> {
        let now = self.now();
        let open = challenge::table.find(id).filter(challenge::used_time.is_null());
        let open = open.filter(challenge::expire_time.gt(now));
        Ok(on!(conn, |db| diesel::update(open).set(challenge::used_time.eq(now)).execute(db).await)? == 1)
    }

    pub(super) async fn drop_challenges(&self, conn: &mut Conn, account_id: Id) -> Result<(), DbError> {
        // No challenge has the nil id.
        self.drop_other_challenges(conn, account_id, Id::NIL).await
    }

    pub(super) async fn drop_other_challenges(&self, conn: &mut Conn, account_id: Id, keep: Id) -> Result<(), DbError> {
        let others = challenge::table.filter(challenge::account_id.eq(account_id)).filter(challenge::id.ne(keep));
        on!(conn, |db| diesel::delete(others).execute(db).await).map(drop)
    }

    /// Checks a code. The try is counted, and the count committed, before the code is looked at. The account and the
    /// challenge, where it was right.
    pub(super) async fn try_code(
        &self,
        email: &Email,
        code: &Proof,
        purpose: Purpose,
    ) -> Result<Option<(AccountRow, ChallengeRow)>, Error> {
        let counted = self
            .db
            .transaction(async |conn| {
                let Some((account, row)) = self.find_challenge(conn, email, purpose).await? else {
                    self.count_nothing(conn, email).await?;
                    return Ok::<_, Error>(None);
                };
                let counted = self.count_try(conn, &row).await?;
                Ok(counted.then_some((account, row)))
            })
            .await?;
        let right = |(account, row): &(AccountRow, ChallengeRow)| {
            matches(&row.code_hash, &self.marker.code(account.bond(purpose), row.id, code.expose()))
        };
        Ok(counted.filter(right))
    }

    /// Looks and writes as much as the count of a try does, where there is none to count: how long the answer takes must not tell
    /// whether an address has an account (S-10). Those who try at one address wait for each other, as they do at an account.
    async fn count_nothing(&self, conn: &mut Conn, email: &Email) -> Result<(), DbError> {
        // No challenge has the nil id.
        let none = challenge::table.find(Id::NIL);
        let _: Option<ChallengeRow> =
            on!(conn, |db| none.select(ChallengeRow::as_select()).first(db).await.optional())?;
        let part = email.key().bytes().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
        // An account, its challenge, and the account again.
        for _ in 0..3 {
            lock(conn, &format!("nobody {part}"), self.now()).await?;
        }
        Ok(())
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

    /// Counts a try of a code, unless its challenge or its account has had its share.
    pub(super) async fn count_try(&self, conn: &mut Conn, row: &ChallengeRow) -> Result<bool, DbError> {
        let now = self.now();
        // Everybody takes the account before its challenges, or two would wait for each other.
        self.hold_account(conn, row.account_id).await?;
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

/// What an account in this state is to prove when somebody asks for a purpose. Who proves to read the mail of an address that
/// somebody else has registered gets the account by a reset (S-13).
fn due(account: &AccountRow, purpose: Purpose) -> Option<Purpose> {
    match (purpose, account.state) {
        (Purpose::Activate | Purpose::SignIn, State::Pending) if is_nobodys(account) => Some(Purpose::Reset),
        (Purpose::Activate | Purpose::SignIn, State::Pending) => Some(Purpose::Activate),
        (Purpose::Activate, State::Active) => (!account.email_verified).then_some(Purpose::Activate),
        (Purpose::Reset, State::Pending | State::Active) => Some(Purpose::Reset),
        (Purpose::SignIn | Purpose::ChangeEmail, State::Active) => Some(purpose),
        (Purpose::Reactivate, State::Deactivated) => Some(purpose),
        _ => None,
    }
}

/// Whether a registration has no password that counts, so that it is had by setting one alone.
fn is_nobodys(account: &AccountRow) -> bool {
    account.state == State::Pending && account.password_hash.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::lease;

    #[tokio::test(flavor = "multi_thread")]
    async fn s10_a_try_at_nobody_is_written_like_one_at_somebody() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let store = Store::in_folder(folder.path()).await?;
        let proof = Proof::parse("1234567".to_owned()).map_err(anyhow::Error::msg)?;
        for number in 0..600 {
            let nobody = Email::parse(&format!("nobody{number}@example.com"))?;
            assert!(store.try_code(&nobody, &proof, Purpose::Reset).await?.is_none());
        }
        let conn = &mut store.db.read().await?;
        let written = lease::table.filter(lease::name.like("nobody %")).count();
        let written: i64 = on!(conn, |db| written.get_result(db).await)?;
        assert!((1..=256).contains(&written), "{written}");
        Ok(())
    }
}
