//! Accounts and their roles.

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::auth::Target;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::{on, random};

use super::Store;
use super::audit::Doer;
use crate::challenge::Purpose;
use crate::email::Email;
use crate::error::Error;
use crate::notice::Notice;
use crate::profile::NAMELESS;
use crate::role;
use crate::schema::{account, account_role, challenge, mail_budget, profile};

/// A registration that is not activated in this time is forgotten.
pub const PENDING_LIFE: TimeDelta = TimeDelta::hours(24);

/// Where an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Pending,
    Active,
    Deactivated,
    Suspended,
    Erasing,
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not the state of an account")]
pub struct NotAState(String);

impl State {
    pub const ALL: [State; 5] = [State::Pending, State::Active, State::Deactivated, State::Suspended, State::Erasing];

    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "PENDING",
            State::Active => "ACTIVE",
            State::Deactivated => "DEACTIVATED",
            State::Suspended => "SUSPENDED",
            State::Erasing => "ERASING",
        }
    }
}

impl TryFrom<String> for State {
    type Error = NotAState;

    fn try_from(text: String) -> Result<State, NotAState> {
        State::ALL.into_iter().find(|state| state.as_str() == text).ok_or(NotAState(text))
    }
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = account)]
pub struct AccountRow {
    pub id: Id,
    pub email: String,
    pub email_key: String,
    pub email_verified: bool,
    /// Empty for nobody's: an address that was registered more than once, see [`Store::tell_of_registration`].
    pub password_hash: String,
    #[diesel(deserialize_as = String)]
    pub state: State,
    pub epoch: i64,
    pub create_time: Time,
    /// What logs call it.
    pub pseudonym: Id,
}

impl AccountRow {
    /// Whether the account counts: a registration that was forgotten does not, though its row may still be there.
    fn is_alive(&self, now: Time) -> bool {
        self.state != State::Pending || now < self.create_time + PENDING_LIFE
    }
}

/// What an account's mails are counted for, each by itself: nobody uses up what somebody else asks for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Budget {
    Challenge(Purpose),
    AlreadyRegistered,
}

impl Budget {
    fn as_str(self) -> &'static str {
        match self {
            Budget::Challenge(purpose) => purpose.as_str(),
            Budget::AlreadyRegistered => "ALREADY_REGISTERED",
        }
    }
}

/// What a token says about an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub state: State,
    pub epoch: i64,
    /// In alphabetical order.
    pub roles: Vec<String>,
}

impl Store {
    /// Registers an account and mails its owner. A forgotten registration makes room for the new one.
    pub async fn register(&self, email: &Email, password_hash: &str, state: State) -> Result<AccountRow, Error> {
        let now = self.now();
        let created = self
            .db
            .transaction(async |conn| {
                forget_pending(conn, email, now).await?;
                let account = self.insert_account(conn, email, password_hash, state, false).await?;
                insert_role(conn, account.id, role::USER, now).await?;
                if self.may_mail(conn, account.id, Budget::Challenge(Purpose::Activate)).await? {
                    self.challenge(conn, &account, Purpose::Activate, now).await?;
                }
                if state == State::Active {
                    self.publish(conn, account.id).await?;
                }
                Ok::<_, Error>(account)
            })
            .await;
        match created {
            Err(Error::Db(error)) if error.is_duplicate_of("account", &["email_key"]) => {
                Err(Error::EmailTaken(email.as_str().to_owned()))
            }
            created => {
                self.committed(Vec::new()).await;
                created
            }
        }
    }

    /// Tells the owner of an address that somebody has tried to register it, where the answer to that one does not. Of those who
    /// registered an address before it was activated, all but one are not its owner: none of their passwords counts, and the
    /// account goes to whoever sets one by mail (S-13).
    pub async fn tell_of_registration(&self, email: &Email) -> Result<(), Error> {
        let now = self.now();
        self.db
            .transaction(async |conn| {
                let Some(mut account) = account_by_email(conn, email, now).await? else { return Ok(()) };
                if account.state == State::Pending && !self.drop_password(conn, &mut account).await? {
                    return Ok(());
                }
                match account.state {
                    State::Pending if self.may_mail(conn, account.id, Budget::Challenge(Purpose::Reset)).await? => {
                        self.challenge(conn, &account, Purpose::Reset, now).await
                    }
                    State::Active if self.may_mail(conn, account.id, Budget::AlreadyRegistered).await? => {
                        self.notify(conn, &account, Notice::AlreadyRegistered).await
                    }
                    _ => Ok(()),
                }
            })
            .await?;
        self.committed(Vec::new()).await;
        Ok(())
    }

    pub async fn account_by_email(&self, email: &Email) -> Result<Option<AccountRow>, DbError> {
        let conn = &mut self.db.read().await?;
        account_by_email(conn, email, self.now()).await
    }

    /// An account and its roles, in one statement.
    pub async fn account(&self, id: Id) -> Result<Option<(AccountRow, Standing)>, DbError> {
        let conn = &mut self.db.read().await?;
        let query = account::table.left_join(account_role::table).filter(account::id.eq(id)).order(account_role::role);
        let rows: Vec<(AccountRow, Option<String>)> =
            on!(conn, |db| query.select((AccountRow::as_select(), account_role::role.nullable())).load(db).await)?;
        let Some(row) = rows.as_slice().first().map(|(row, _)| row.clone()) else { return Ok(None) };
        let roles = rows.into_iter().filter_map(|(_, role)| role).collect();
        let standing = Standing { state: row.state, epoch: row.epoch, roles };
        Ok(Some((row, standing)))
    }

    /// What logs call an account.
    pub async fn pseudonym(&self, account_id: Id) -> Result<Option<Id>, DbError> {
        pseudonym(&mut self.db.read().await?, account_id).await
    }

    /// Makes an administrator: of a new account, or of the one with this address, which gets the password and loses its sessions.
    /// Answers the account, and whether it is new.
    pub async fn create_administrator(
        &self,
        doer: &Doer,
        email: &Email,
        password_hash: &str,
    ) -> Result<(AccountRow, bool), Error> {
        let now = self.now();
        let (account, created, revoked) = self
            .db
            .transaction(async |conn| {
                self.lock_administration(conn).await?;
                forget_pending(conn, email, now).await?;
                let Some(known) = account_by_email(conn, email, now).await? else {
                    let account = self.insert_account(conn, email, password_hash, State::Active, true).await?;
                    insert_role(conn, account.id, role::USER, now).await?;
                    insert_role(conn, account.id, role::ADMIN, now).await?;
                    self.record_about(conn, doer, account.id, "administrator.created", []).await?;
                    self.publish(conn, account.id).await?;
                    return Ok::<_, Error>((account, true, Vec::new()));
                };
                if known.state == State::Erasing {
                    return Err(Error::AccountStateFixed);
                }
                let gained = insert_role(conn, known.id, role::ADMIN, now).await?;
                let change = (
                    account::password_hash.eq(password_hash),
                    account::state.eq(State::Active.as_str()),
                    account::email_verified.eq(true),
                    account::epoch.eq(account::epoch + i64::from(gained)),
                );
                let update = diesel::update(account::table.find(known.id)).set(change).returning(account::epoch);
                let epoch: i64 = on!(conn, |db| update.get_result(db).await)?;
                // After the password: a sign-in with the old one that was in progress has its session by now, or gets none.
                let mut targets = self.end_sessions(conn, known.id, None).await?;
                if gained {
                    targets.push(Target::Account { id: known.id, epoch });
                }
                self.drop_challenges(conn, known.id).await?;
                let revoked = self.revoke(conn, targets).await?;
                self.record_about(conn, doer, known.id, "administrator.created", []).await?;
                self.publish(conn, known.id).await?;
                Ok((known, false, revoked))
            })
            .await?;
        self.committed(revoked).await;
        Ok((account, created))
    }

    /// Forgets the registrations that were never activated.
    pub async fn sweep_accounts(&self) -> Result<usize, DbError> {
        let before = self.now() - PENDING_LIFE;
        self.db
            .transaction(async |conn| {
                let dead = account::table.filter(account::state.eq(State::Pending.as_str()));
                let dead = dead.filter(account::create_time.le(before));
                on!(conn, |db| diesel::delete(dead).execute(db).await)
            })
            .await
    }

    /// Holds an account's row until the transaction ends. Whoever writes its profile does so behind this.
    pub(super) async fn hold_account(&self, conn: &mut Conn, account_id: Id) -> Result<Option<String>, DbError> {
        let same = diesel::update(account::table.find(account_id)).set(account::state.eq(account::state));
        on!(conn, |db| same.returning(account::state).get_result(db).await.optional())
    }

    /// Whether another mail of the kind may go to the account in this hour; counts it. Holds the account until the transaction ends.
    pub(super) async fn may_mail(&self, conn: &mut Conn, id: Id, budget: Budget) -> Result<bool, DbError> {
        if self.hold_account(conn, id).await?.is_none() {
            return Ok(false);
        }
        let now = self.now();
        let hour = now - TimeDelta::hours(1);
        let own = mail_budget::table.find((id, budget.as_str()));
        let within = own.filter(mail_budget::begin_time.gt(hour));
        let within = within.filter(mail_budget::count.lt(self.rules.mails_per_hour));
        let count = mail_budget::count.eq(mail_budget::count + 1);
        if on!(conn, |db| diesel::update(within).set(count).execute(db).await)? == 1 {
            return Ok(true);
        }
        let over = own.filter(mail_budget::begin_time.le(hour));
        let begin = (mail_budget::count.eq(1), mail_budget::begin_time.eq(now));
        if on!(conn, |db| diesel::update(over).set(begin).execute(db).await)? == 1 {
            return Ok(true);
        }
        let first = (
            mail_budget::account_id.eq(id),
            mail_budget::purpose.eq(budget.as_str()),
            mail_budget::count.eq(1),
            mail_budget::begin_time.eq(now),
        );
        let insert = diesel::insert_into(mail_budget::table).values(first).on_conflict_do_nothing();
        Ok(on!(conn, |db| insert.execute(db).await)? == 1)
    }

    /// Leaves a registration without a password and without a way to activate it but a reset. False when it is activated already.
    async fn drop_password(&self, conn: &mut Conn, account: &mut AccountRow) -> Result<bool, DbError> {
        let pending = account::table.find(account.id).filter(account::state.eq(State::Pending.as_str()));
        let none = account::password_hash.eq("");
        if on!(conn, |db| diesel::update(pending).set(none).execute(db).await)? == 0 {
            return Ok(false);
        }
        let activation = challenge::table.filter(challenge::account_id.eq(account.id));
        let activation = activation.filter(challenge::purpose.eq(Purpose::Activate.as_str()));
        on!(conn, |db| diesel::delete(activation).execute(db).await)?;
        account.password_hash.clear();
        Ok(true)
    }

    async fn insert_account(
        &self,
        conn: &mut Conn,
        email: &Email,
        password_hash: &str,
        state: State,
        email_verified: bool,
    ) -> Result<AccountRow, DbError> {
        let now = self.now();
        let row = AccountRow {
            id: Id::new(&self.clock),
            email: email.as_str().to_owned(),
            email_key: email.key().to_owned(),
            email_verified,
            password_hash: password_hash.to_owned(),
            state,
            epoch: 0,
            create_time: now,
            pseudonym: Id::from_bytes(random::bytes()),
        };
        let values = (
            account::id.eq(row.id),
            account::email.eq(&row.email),
            account::email_key.eq(&row.email_key),
            account::email_verified.eq(email_verified),
            account::password_hash.eq(&row.password_hash),
            account::state.eq(state.as_str()),
            account::epoch.eq(row.epoch),
            account::code_failures.eq(0),
            account::code_failures_time.eq(now),
            account::create_time.eq(now),
            account::pseudonym.eq(row.pseudonym),
        );
        on!(conn, |db| diesel::insert_into(account::table).values(values).execute(db).await)?;
        let values = (
            profile::account_id.eq(row.id),
            profile::first_name.eq(""),
            profile::last_name.eq(""),
            profile::gender.eq(""),
            profile::date_of_birth.eq(""),
            profile::info.eq(""),
            profile::avatar_url.eq(""),
            profile::avatar_media_id.eq(""),
            profile::sort_key.eq(NAMELESS),
            profile::listed.eq(state == State::Active),
            profile::update_time.eq(now),
        );
        on!(conn, |db| diesel::insert_into(profile::table).values(values).execute(db).await)?;
        Ok(row)
    }
}

/// The account of an address, unless it is a forgotten registration.
pub(super) async fn account_by_email(conn: &mut Conn, email: &Email, now: Time) -> Result<Option<AccountRow>, DbError> {
    let query = account::table.filter(account::email_key.eq(email.key()));
    let row: Option<AccountRow> = on!(conn, |db| query.select(AccountRow::as_select()).first(db).await.optional())?;
    Ok(row.filter(|row| row.is_alive(now)))
}

pub(super) async fn account_by_id(conn: &mut Conn, id: Id, now: Time) -> Result<Option<AccountRow>, DbError> {
    let query = account::table.find(id);
    let row: Option<AccountRow> = on!(conn, |db| query.select(AccountRow::as_select()).first(db).await.optional())?;
    Ok(row.filter(|row| row.is_alive(now)))
}

/// What logs call an account.
pub(super) async fn pseudonym(conn: &mut Conn, id: Id) -> Result<Option<Id>, DbError> {
    let query = account::table.find(id).select(account::pseudonym);
    let found: Option<Id> = on!(conn, |db| query.first(db).await.optional())?;
    Ok(found)
}

/// State, epoch and roles, in one statement.
pub(super) async fn standing(conn: &mut Conn, id: Id) -> Result<Option<Standing>, DbError> {
    let query = account::table.left_join(account_role::table).filter(account::id.eq(id)).order(account_role::role);
    let query = query.select((account::state, account::epoch, account_role::role.nullable()));
    let rows: Vec<(String, i64, Option<String>)> = on!(conn, |db| query.load(db).await)?;
    let Some((state, epoch, _)) = rows.as_slice().first() else { return Ok(None) };
    let state = State::try_from(state.clone())
        .map_err(|error| DbError::Failed(diesel::result::Error::DeserializationError(error.into())))?;
    let epoch = *epoch;
    Ok(Some(Standing { state, epoch, roles: rows.into_iter().filter_map(|(_, _, role)| role).collect() }))
}

/// Gives a role; whether it is new to the account.
pub(super) async fn insert_role(conn: &mut Conn, id: Id, role: &str, now: Time) -> Result<bool, DbError> {
    let values = (account_role::account_id.eq(id), account_role::role.eq(role), account_role::create_time.eq(now));
    let inserted = on!(conn, |db| {
        diesel::insert_into(account_role::table).values(values).on_conflict_do_nothing().execute(db).await
    })?;
    Ok(inserted == 1)
}

/// Frees an address that was registered and never activated.
async fn forget_pending(conn: &mut Conn, email: &Email, now: Time) -> Result<(), DbError> {
    let dead = account::table.filter(account::email_key.eq(email.key()));
    let dead =
        dead.filter(account::state.eq(State::Pending.as_str())).filter(account::create_time.le(now - PENDING_LIFE));
    on!(conn, |db| diesel::delete(dead).execute(db).await).map(drop)
}
