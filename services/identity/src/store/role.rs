//! What accounts may do, and whether they may do anything.
//!
//! Administrative acts wait for each other: each asks in its own transaction whether its actor still is an administrator, and whether
//! another one is left.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::auth::{Revocation, Target};
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::account::{
    AccountRow, PENDING_LIFE, Standing, State, account_by_email, account_by_id, insert_role, standing,
};
use super::audit::{Act, Actor, Doer};
use super::lease::lock;
use crate::email::Email;
use crate::error::Error;
use crate::notice::Notice;
use crate::role;
use crate::schema::{account, account_role};

/// Which accounts are asked for.
#[derive(Debug, Default)]
pub struct AccountFilter {
    pub email: Option<Email>,
    pub state: Option<State>,
    pub role: Option<&'static str>,
}

/// What becomes of an account's suspension.
#[derive(Debug, Clone)]
pub enum Suspension {
    Imposed { reason: String },
    Lifted,
}

impl Store {
    /// A page of accounts, the newest first, from behind `after`. At one moment: who has lost the role between two reads would be left out, and
    /// with them the sign that there is another page.
    pub async fn accounts(
        &self,
        filter: AccountFilter,
        after: Option<Id>,
        count: i64,
    ) -> Result<Vec<(AccountRow, Standing)>, DbError> {
        let (last, now) = (after.unwrap_or(Id::MAX), self.now());
        self.db.long_snapshot(async |conn| matching(conn, &filter, last, count, now).await).await
    }

    /// Gives a role. Given again, it changes nothing.
    pub async fn assign_role(&self, doer: &Doer, id: Id, role: &'static str) -> Result<(AccountRow, Standing), Error> {
        let (found, revoked) = self
            .db
            .transaction(async |conn| {
                self.begin_act(conn, &doer.actor).await?;
                let row = account_by_id(conn, id, self.now()).await?.ok_or(Error::AccountNotFound)?;
                if !insert_role(conn, id, role, self.now()).await? {
                    return Ok((with_standing(conn, row).await?, Vec::new()));
                }
                let revoked = self.outdate_tokens(conn, id, Vec::new()).await?;
                self.record_about(conn, doer, id, "role.assigned", [("role", role.to_owned())]).await?;
                Ok::<_, Error>((with_standing(conn, row).await?, revoked))
            })
            .await?;
        self.committed(revoked).await;
        Ok(found)
    }

    /// Takes a role. Taken again, it changes nothing.
    pub async fn revoke_role(&self, doer: &Doer, id: Id, role: &'static str) -> Result<(AccountRow, Standing), Error> {
        let (found, revoked) = self
            .db
            .transaction(async |conn| {
                self.begin_act(conn, &doer.actor).await?;
                let row = account_by_id(conn, id, self.now()).await?.ok_or(Error::AccountNotFound)?;
                if role == role::ADMIN {
                    self.ensure_other_administrator(conn, id).await?;
                }
                let held = account_role::table.find((id, role));
                if on!(conn, |db| diesel::delete(held).execute(db).await)? == 0 {
                    return Ok((with_standing(conn, row).await?, Vec::new()));
                }
                let revoked = self.outdate_tokens(conn, id, Vec::new()).await?;
                self.record_about(conn, doer, id, "role.revoked", [("role", role.to_owned())]).await?;
                Ok::<_, Error>((with_standing(conn, row).await?, revoked))
            })
            .await?;
        self.committed(revoked).await;
        Ok(found)
    }

    /// Suspends an account that is in use, ending its sessions, or takes a suspended one into use again. Done again, it changes
    /// nothing.
    pub async fn set_status(&self, doer: &Doer, id: Id, status: Suspension) -> Result<(AccountRow, Standing), Error> {
        let (from, to) = match status {
            Suspension::Imposed { .. } => (State::Active, State::Suspended),
            Suspension::Lifted => (State::Suspended, State::Active),
        };
        let (found, revoked) = self
            .db
            .transaction(async |conn| {
                self.begin_act(conn, &doer.actor).await?;
                let row = account_by_id(conn, id, self.now()).await?.ok_or(Error::AccountNotFound)?;
                if row.state == to {
                    return Ok((with_standing(conn, row).await?, Vec::new()));
                }
                if to == State::Suspended {
                    self.ensure_other_administrator(conn, id).await?;
                }
                // Waits for whoever changes the account at this moment, and looks at what they have made of it.
                let same = account::table.find(id).filter(account::state.eq(from.as_str()));
                let change = account::state.eq(to.as_str());
                if on!(conn, |db| diesel::update(same).set(change).execute(db).await)? == 0 {
                    return Err(Error::AccountStateFixed);
                }
                self.drop_challenges(conn, id).await?;
                let ended = self.end_sessions(conn, id, None).await?;
                let revoked = self.outdate_tokens(conn, id, ended).await?;
                let (action, notice, details) = told(status);
                self.record_about(conn, doer, id, action, details).await?;
                self.notify(conn, &row, notice).await?;
                let found = with_standing(conn, row).await?;
                self.publish(conn, id).await?;
                Ok::<_, Error>((found, revoked))
            })
            .await?;
        self.committed(revoked).await;
        Ok(found)
    }

    /// Refuses when the account is an administrator in use and no other one is. Whoever goes on to shut the account or to take the role
    /// has taken [`lock_administration`](Self::lock_administration) before any row, or two could go at once.
    pub(super) async fn ensure_other_administrator(&self, conn: &mut Conn, id: Id) -> Result<(), Error> {
        let active = account_role::table.inner_join(account::table).filter(account_role::role.eq(role::ADMIN));
        let active = active.filter(account::state.eq(State::Active.as_str())).select(account::id);
        // One that is this account, and one that is not: two rows are enough to know.
        let others = active.filter(account::id.ne(id)).limit(1);
        let own = active.filter(account::id.eq(id));
        let own: Option<Id> = on!(conn, |db| own.first(db).await.optional())?;
        let others: Option<Id> = on!(conn, |db| others.first(db).await.optional())?;
        if own.is_some() && others.is_none() { Err(Error::LastAdministrator) } else { Ok(()) }
    }

    /// Makes administrative acts wait for each other until the transaction ends. Whoever must be sure that nobody else does one meanwhile
    /// (the last administrator!) takes it before anything else. It is not the row that [`publish`](Self::publish) changes: that one is
    /// taken last, behind an account's row and its profile's, and two that took these in another order would wait for each other.
    pub(super) async fn lock_administration(&self, conn: &mut Conn) -> Result<(), DbError> {
        lock(conn, "administration", self.now()).await
    }

    /// Begins the transaction of an administrative act: waits for the others, and refuses an account that is no administrator any more,
    /// whatever its token says.
    pub(super) async fn begin_act(&self, conn: &mut Conn, actor: &Actor) -> Result<(), Error> {
        self.lock_administration(conn).await?;
        let Actor::Account(id) = actor else { return Ok(()) };
        let found = standing(conn, *id).await?;
        let able = |standing: &Standing| {
            standing.state == State::Active && standing.roles.iter().any(|role| role == role::ADMIN)
        };
        if found.as_ref().is_some_and(able) { Ok(()) } else { Err(Error::RoleMissing(role::ADMIN)) }
    }

    /// Makes every access token of the account stale, beside what else is to be revoked. Sessions go on with new ones.
    async fn outdate_tokens(
        &self,
        conn: &mut Conn,
        id: Id,
        mut targets: Vec<Target>,
    ) -> Result<Vec<Revocation>, Error> {
        // Of one that is being erased nothing new may name the account.
        let there = account::table.find(id).filter(account::state.ne(State::Erasing.as_str()));
        let next = diesel::update(there).set(account::epoch.eq(account::epoch + 1));
        let epoch: Option<i64> = on!(conn, |db| next.returning(account::epoch).get_result(db).await.optional())?;
        targets.push(Target::Account { id, epoch: epoch.ok_or(Error::AccountStateFixed)? });
        Ok(self.revoke(conn, targets).await?)
    }

    pub(super) async fn record_about(
        &self,
        conn: &mut Conn,
        doer: &Doer,
        subject: Id,
        action: &'static str,
        details: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<(), Error> {
        let Doer { actor, client } = doer;
        let details: BTreeMap<_, _> = details.into_iter().collect();
        self.record(conn, &Act { action, actor, subject: Some(subject), client, details }).await
    }
}

/// What the audit log and the owner read about a change of status.
fn told(status: Suspension) -> (&'static str, Notice, Vec<(&'static str, String)>) {
    match status {
        Suspension::Imposed { reason } => {
            ("account.suspended", Notice::Suspended { reason: reason.clone() }, vec![("reason", reason)])
        }
        Suspension::Lifted => ("account.unsuspended", Notice::Unsuspended, Vec::new()),
    }
}

/// The account as it is now in the transaction.
async fn with_standing(conn: &mut Conn, row: AccountRow) -> Result<(AccountRow, Standing), Error> {
    let standing = standing(conn, row.id).await?.ok_or(Error::AccountNotFound)?;
    Ok((row, standing))
}

/// The accounts that are asked for, older than `last`.
async fn matching(
    conn: &mut Conn,
    filter: &AccountFilter,
    last: Id,
    count: i64,
    now: Time,
) -> Result<Vec<(AccountRow, Standing)>, DbError> {
    let states = filter.state.map_or(State::ALL.to_vec(), |state| vec![state]);
    let states: Vec<&str> = states.into_iter().map(State::as_str).collect();
    // Whom everybody knows by the role that all have, nobody has to be asked for.
    let role = filter.role.unwrap_or(role::USER);
    let rows: Vec<AccountRow> = match &filter.email {
        Some(email) => account_by_email(conn, email, now).await?.into_iter().collect(),
        None => {
            let alive = account::state.ne(State::Pending.as_str()).or(account::create_time.gt(now - PENDING_LIFE));
            let having = account_role::table.filter(account_role::account_id.eq(account::id));
            let having = diesel::dsl::exists(having.filter(account_role::role.eq(role)));
            let query = account::table.filter(account::id.lt(last)).filter(account::state.eq_any(states));
            let query = query.filter(alive).filter(having).order(account::id.desc()).limit(count);
            on!(conn, |db| query.select(AccountRow::as_select()).load(db).await)?
        }
    };
    let mut found = Vec::with_capacity(rows.len());
    for row in with_roles(conn, rows).await? {
        let fits = row.0.id < last && filter.state.is_none_or(|state| state == row.1.state);
        if fits && row.1.roles.iter().any(|own| own == role) {
            found.push(row);
        }
    }
    Ok(found)
}

/// Accounts with their roles, in one question for all of them.
async fn with_roles(conn: &mut Conn, rows: Vec<AccountRow>) -> Result<Vec<(AccountRow, Standing)>, DbError> {
    let ids: Vec<Id> = rows.iter().map(|row| row.id).collect();
    let query = account_role::table.filter(account_role::account_id.eq_any(ids)).order(account_role::role);
    let query = query.select((account_role::account_id, account_role::role));
    let held: Vec<(Id, String)> = on!(conn, |db| query.load(db).await)?;
    let mut roles: BTreeMap<Id, Vec<String>> = BTreeMap::new();
    for (id, role) in held {
        roles.entry(id).or_default().push(role);
    }
    let standing = |row: AccountRow| {
        let roles = roles.remove(&row.id).unwrap_or_default();
        let standing = Standing { state: row.state, epoch: row.epoch, roles };
        (row, standing)
    };
    Ok(rows.into_iter().map(standing).collect())
}
