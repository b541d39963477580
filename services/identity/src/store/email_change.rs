//! A new address for an account: asked for, and confirmed by who reads its mail.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::auth::Revocation;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::account::{AccountRow, Budget, State, account_by_email, account_by_id};
use super::challenge::{ChallengeRow, Moving};
use crate::challenge::{Bond, Proof, Purpose, matches};
use crate::email::Email;
use crate::error::Error;
use crate::notice::Notice;
use crate::schema::{account, challenge, former_address};

/// How many accounts can be about to move to one address: the last that asked.
const CANDIDATES: i64 = 20;

/// An account that may move, and what has to be proved for it.
type Candidate = (AccountRow, ChallengeRow);

impl Store {
    /// Mails a challenge to the address that an account is to move to, and a notice to the one that it has. Where the new one is
    /// taken, its owner is told instead, and nobody else sees a difference.
    pub async fn request_email_change(&self, owner: &AccountRow, email: &Email, session_id: Id) -> Result<(), Error> {
        let now = self.now();
        self.db
            .transaction(async |conn| {
                // A registration that nobody has activated keeps nobody from an address that they can prove.
                let other = account_by_email(conn, email, now).await?.filter(|other| other.state != State::Pending);
                // Who has lost the session meanwhile, or the account to who proved its address, must not leave a link behind by which
                // it could be had back (S-13).
                if !self.hold_both(conn, owner.id, other.as_ref().map(|other| other.id)).await?
                    || !self.is_live(conn, owner.id, session_id).await?
                    || !self.may_mail(conn, owner.id, Budget::Challenge(Purpose::ChangeEmail)).await?
                {
                    return Ok(());
                }
                match other {
                    None => {
                        let (email, email_key) = (email.as_str().to_owned(), email.key().to_owned());
                        let moving = Moving { email, email_key, session_id };
                        self.challenge_about(conn, owner, Purpose::ChangeEmail, Some(&moving), now).await?;
                    }
                    Some(other) => {
                        self.drop_email_change(conn, owner.id).await?;
                        if other.state == State::Active
                            && self.may_mail(conn, other.id, Budget::AlreadyRegistered).await?
                        {
                            self.notify(conn, &other, Notice::AlreadyRegistered).await?;
                        }
                    }
                }
                self.notify(conn, owner, Notice::EmailChangeAsked { to: email.masked() }).await
            })
            .await?;
        self.committed(Vec::new()).await;
        Ok(())
    }

    /// Moves an account to a new address by the link's token. Answers the account as it was; `None` when the token is not good.
    pub async fn change_email_by_token(&self, email: &Email, token: &Proof) -> Result<Option<AccountRow>, Error> {
        let changed = self
            .db
            .transaction(async |conn| {
                let mut right = None;
                for (account, row) in self.email_changes(conn, email).await? {
                    if matches(&row.token_hash, &self.marker.token(bond(&account, email), token.expose())) {
                        right = Some((account, row));
                    }
                }
                match right {
                    Some(candidate) => self.change_email(conn, candidate).await,
                    None => Ok(None),
                }
            })
            .await;
        self.changed_email(changed).await
    }

    /// The same by the mail's code. The try counts against every account that may move to the address, before any code is looked at.
    pub async fn change_email_by_code(&self, email: &Email, code: &Proof) -> Result<Option<AccountRow>, Error> {
        let counted = self
            .db
            .transaction(async |conn| {
                let mut counted = Vec::new();
                for (account, row) in self.email_changes(conn, email).await? {
                    if self.count_try(conn, &row).await? {
                        counted.push((account, row));
                    }
                }
                Ok::<_, Error>(counted)
            })
            .await?;
        let is_right = |(account, row): &Candidate| {
            matches(&row.code_hash, &self.marker.code(bond(account, email), row.id, code.expose()))
        };
        let Some(right) = counted.into_iter().find(is_right) else { return Ok(None) };
        let changed = self
            .db
            .transaction(async |conn| {
                self.forgive_try(conn, right.0.id).await?;
                self.change_email(conn, right).await
            })
            .await;
        self.changed_email(changed).await
    }

    /// The accounts that may move to an address, in the order of their ids: whoever takes several takes them in that order.
    async fn email_changes(&self, conn: &mut Conn, email: &Email) -> Result<Vec<Candidate>, DbError> {
        let now = self.now();
        let open = challenge::table.filter(challenge::new_email_key.eq(email.key()));
        let open = open.filter(challenge::purpose.eq(Purpose::ChangeEmail.as_str()));
        let open = open.filter(challenge::used_time.is_null()).filter(challenge::expire_time.gt(now));
        let open = open.order(challenge::id.desc()).limit(CANDIDATES);
        let mut rows: Vec<ChallengeRow> = on!(conn, |db| open.select(ChallengeRow::as_select()).load(db).await)?;
        rows.sort_by_key(|row| row.account_id);
        let mut candidates = Vec::with_capacity(rows.len());
        for row in rows {
            if let Some(account) = account_by_id(conn, row.account_id, now).await? {
                candidates.push((account, row));
            }
        }
        Ok(candidates)
    }

    /// Moves the account. The unique index alone says whether the address is free: who looks first is told what was.
    async fn change_email(
        &self,
        conn: &mut Conn,
        (owner, row): Candidate,
    ) -> Result<Option<(AccountRow, Vec<Revocation>)>, Error> {
        let (Some(moving), Some(old)) = (row.moving(), self.hold_account(conn, owner.id).await?) else {
            return Ok(None);
        };
        if old != State::Active.as_str() || !self.use_up(conn, row.id).await? {
            return Ok(None);
        }
        let waiting = account::table.filter(account::email_key.eq(&moving.email_key));
        let waiting = waiting.filter(account::state.eq(State::Pending.as_str()));
        on!(conn, |db| diesel::delete(waiting).execute(db).await)?;
        let change = (
            account::email.eq(&moving.email),
            account::email_key.eq(&moving.email_key),
            account::email_verified.eq(true),
        );
        on!(conn, |db| diesel::update(account::table.find(owner.id)).set(change).execute(db).await)?;
        let former = (former_address::account_id.eq(owner.id), former_address::email.eq(&owner.email));
        let insert = diesel::insert_into(former_address::table).values(former).on_conflict_do_nothing();
        on!(conn, |db| insert.execute(db).await)?;
        self.drop_challenges(conn, owner.id).await?;
        let ended = self.end_sessions(conn, owner.id, Some(moving.session_id)).await?;
        let revoked = self.revoke(conn, ended).await?;
        let to = Email::parse(&moving.email).map_err(Error::defect)?.masked();
        self.notify(conn, &owner, Notice::EmailChanged { to }).await?;
        self.publish(conn, owner.id).await?;
        Ok(Some((owner, revoked)))
    }

    async fn changed_email(
        &self,
        changed: Result<Option<(AccountRow, Vec<Revocation>)>, Error>,
    ) -> Result<Option<AccountRow>, Error> {
        match changed {
            Err(Error::Db(error)) if error.is_duplicate_of("account", &["email_key"]) => Ok(None),
            Err(error) => Err(error),
            Ok(None) => Ok(None),
            Ok(Some((owner, revoked))) => {
                self.committed(revoked).await;
                Ok(Some(owner))
            }
        }
    }

    /// Holds the accounts until the transaction ends, whether or not it goes on; whether the first one is in use. Two who ask for each
    /// other's address hold them in the same order, so that neither waits for the other.
    async fn hold_both(&self, conn: &mut Conn, owner: Id, other: Option<Id>) -> Result<bool, DbError> {
        let mut ids: Vec<Id> = other.into_iter().chain([owner]).collect();
        ids.sort();
        let mut is_active = false;
        for id in ids {
            let state = self.hold_account(conn, id).await?;
            is_active |= id == owner && state.as_deref() == Some(State::Active.as_str());
        }
        Ok(is_active)
    }

    async fn drop_email_change(&self, conn: &mut Conn, account_id: Id) -> Result<(), DbError> {
        let open = challenge::table.filter(challenge::account_id.eq(account_id));
        let open = open.filter(challenge::purpose.eq(Purpose::ChangeEmail.as_str()));
        on!(conn, |db| diesel::delete(open).execute(db).await).map(drop)
    }
}

fn bond<'a>(account: &AccountRow, email: &'a Email) -> Bond<'a> {
    Bond { account_id: account.id, email_key: email.key(), purpose: Purpose::ChangeEmail }
}
