//! Erasures: begun, reported by the other contexts, carried out here, and forgotten.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::caller::Client;
use quartet_chassis::clock::Time;
use quartet_chassis::crypt::equal;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::{on, page, random};
use tokio::sync::futures::Notified;

use super::Store;
use super::account::{AccountRow, State, account_by_email};
use super::audit::{Act, Actor};
use crate::email::Email;
use crate::error::Error;
use crate::notice::Notice;
use crate::schema::{
    account, account_role, challenge, device, erasure, erasure_context, factor, former_address, profile, revocation,
};

/// This context's own name.
pub const IDENTITY: &str = "identity";
/// How long an erasure waits for the last mails to its account to be sent.
const PATIENCE: TimeDelta = TimeDelta::hours(1);
/// How long what became of an erasure can be asked for.
const KEPT: TimeDelta = TimeDelta::days(90);
/// How many erasures are carried out in one turn.
const TURN: i64 = 100;

/// How many rows or objects of each kind were removed.
pub type Removed = BTreeMap<String, i32>;

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = erasure)]
pub struct ErasureRow {
    pub id: Id,
    /// None when the account's row is gone.
    pub account_id: Option<Id>,
    pub secret_hash: Vec<u8>,
    pub create_time: Time,
    pub complete_time: Option<Time>,
}

/// What a context has said.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = erasure_context)]
pub struct ContextRow {
    pub context: String,
    pub removed: String,
    pub done_time: Option<Time>,
}

impl Store {
    /// Begins to erase an account: from here on nobody can sign in to it, and nothing stops it. Answers the erasure's id, and the
    /// secret that alone shows how far it has come.
    pub async fn begin_erasure(&self, owner: &AccountRow, client: &Client) -> Result<(Id, String), Error> {
        let (id, secret) = (Id::new(&self.clock), random::token());
        let revoked = self
            .db
            .transaction(async |conn| {
                self.lock_administration(conn).await?;
                self.ensure_other_administrator(conn, owner.id).await?;
                let live = account::table.find(owner.id).filter(account::state.eq(State::Active.as_str()));
                let live = live.filter(account::password_hash.eq(&owner.password_hash));
                let gone = (account::state.eq(State::Erasing.as_str()), account::password_hash.eq(""));
                if on!(conn, |db| diesel::update(live).set(gone).execute(db).await)? == 0 {
                    // Somebody has changed the password or the state since the owner showed who they are.
                    return Err(Error::CredentialsInvalid);
                }
                let ended = self.end_sessions(conn, owner.id, None).await?;
                let mut removed = self.drop_ways_in(conn, owner.id).await?;
                removed.insert("session".to_owned(), page::count(ended.len()));
                removed.insert("mail".to_owned(), page::count(self.outbox.drop_waiting(conn, owner.id).await?));
                // By session alone: what is revoked by account would name it, in Redis too.
                let revoked = self.revoke(conn, ended).await?;
                self.insert_erasure(conn, id, owner.id, &secret, &removed).await?;
                let actor = Actor::Account(owner.id);
                let act = Act {
                    action: "account.deleted",
                    actor: &actor,
                    subject: Some(owner.id),
                    client,
                    details: BTreeMap::new(),
                };
                self.record(conn, &act).await?;
                self.notify(conn, owner, Notice::Erasing).await?;
                self.publish(conn, owner.id).await?;
                Ok(revoked)
            })
            .await?;
        self.committed(revoked).await;
        self.erasures.notify_one();
        Ok((id, secret))
    }

    /// An erasure and its contexts in alphabetical order, for who knows its secret. At one moment: it is complete together with the last of
    /// them.
    pub async fn erasure(&self, id: Id, secret: &str) -> Result<Option<(ErasureRow, Vec<ContextRow>)>, DbError> {
        let tag = self.erasure_secret(id, secret);
        self.db
            .snapshot(async |conn| {
                let query = erasure::table.find(id);
                let row: Option<ErasureRow> =
                    on!(conn, |db| query.select(ErasureRow::as_select()).first(db).await.optional())?;
                let Some(row) = row.filter(|row| equal(&row.secret_hash, &tag)) else { return Ok(None) };
                let query = erasure_context::table.filter(erasure_context::erasure_id.eq(id));
                let query = query.order(erasure_context::context);
                let contexts: Vec<ContextRow> = on!(conn, |db| query.select(ContextRow::as_select()).load(db).await)?;
                Ok::<_, DbError>(Some((row, contexts)))
            })
            .await
    }

    /// Writes down what another context has removed; its first report counts. A context that nobody waits for may report, too.
    pub async fn report_erasure(&self, id: Id, context: &str, removed: &Removed) -> Result<(), Error> {
        let removed = serde_json::to_string(removed).map_err(Error::defect)?;
        let now = self.now();
        self.db
            .transaction(async |conn| {
                let known = erasure::table.find(id).select(erasure::id);
                let known: Option<Id> = on!(conn, |db| known.first(db).await.optional())?;
                if known.is_none() || context == IDENTITY {
                    return Err(Error::ErasureNotFound);
                }
                let row = (
                    erasure_context::erasure_id.eq(id),
                    erasure_context::context.eq(context),
                    erasure_context::removed.eq(&removed),
                    erasure_context::done_time.eq(now),
                );
                let insert = diesel::insert_into(erasure_context::table).values(row).on_conflict_do_nothing();
                on!(conn, |db| insert.execute(db).await)?;
                let open = erasure_context::table.find((id, context)).filter(erasure_context::done_time.is_null());
                let done = (erasure_context::removed.eq(&removed), erasure_context::done_time.eq(now));
                on!(conn, |db| diesel::update(open).set(done).execute(db).await)?;
                Ok(())
            })
            .await?;
        self.erasures.notify_one();
        Ok(())
    }

    /// Completes when an erasure has begun or has been reported to this very process.
    pub fn erasure_news(&self) -> Notified<'_> {
        self.erasures.notified()
    }

    /// The erasures that only wait for this context: every other one is done.
    pub async fn ready_erasures(&self) -> Result<Vec<ErasureRow>, DbError> {
        let conn = &mut self.db.read().await?;
        let others = erasure_context::table.filter(erasure_context::erasure_id.eq(erasure::id));
        let waits = others.filter(erasure_context::context.ne(IDENTITY)).filter(erasure_context::done_time.is_null());
        let ready = erasure::table
            .filter(erasure::complete_time.is_null())
            .filter(diesel::dsl::not(diesel::dsl::exists(waits)));
        let ready = ready.order(erasure::id).limit(TURN);
        on!(conn, |db| ready.select(ErasureRow::as_select()).load(db).await)
    }

    /// Forgets the jobs about the account. `None` while a mail to it is still on its way; else the address, and those that it had before.
    pub async fn erase_jobs(&self, row: &ErasureRow, account_id: Id) -> Result<Option<Vec<String>>, Error> {
        let is_late = row.create_time + PATIENCE <= self.now();
        self.db
            .transaction(async |conn| {
                let mut dropped = 0;
                if is_late {
                    dropped = self.outbox.drop_waiting(conn, account_id).await?;
                }
                if self.outbox.waiting_about(conn, account_id).await? > 0 {
                    return Ok(None);
                }
                dropped += self.outbox.forget(conn, account_id).await?;
                add_removed(conn, row.id, &[("mail", dropped)]).await?;
                let query = account::table.find(account_id).select(account::email);
                let address: Option<String> = on!(conn, |db| query.first(db).await.optional())?;
                let Some(address) = address else { return Ok(None) };
                let mut addresses = self.former_addresses(conn, account_id).await?;
                addresses.push(address);
                Ok::<_, Error>(Some(addresses))
            })
            .await
    }

    /// Forgets the revocations that name the account, here and in Redis. Its sessions are revoked one by one.
    pub async fn erase_revocations(&self, row: &ErasureRow, account_id: Id) -> Result<(), Error> {
        self.db
            .transaction(async |conn| {
                let about = revocation::table.filter(revocation::target.like(format!("account:{account_id}:%")));
                let dropped = on!(conn, |db| diesel::delete(about).execute(db).await)?;
                add_removed(conn, row.id, &[("revocation", dropped)]).await
            })
            .await?;
        self.bus.forget(account_id).await.map_err(|error| DbError::Unavailable(error.to_string()).into())
    }

    /// Removes the account with all that is left of it.
    pub async fn erase_account(&self, row: &ErasureRow, account_id: Id) -> Result<(), Error> {
        self.db
            .transaction(async |conn| {
                let open = erasure::table.find(row.id).filter(erasure::account_id.is_not_null());
                let nobody = erasure::account_id.eq(None::<Id>);
                if on!(conn, |db| diesel::update(open).set(nobody).execute(db).await)? == 0 {
                    return Ok(());
                }
                let ended = self.end_sessions(conn, account_id, None).await?.len();
                let mails = self.outbox.forget(conn, account_id).await?;
                let rest = self.drop_ways_in(conn, account_id).await?;
                let roles = account_role::table.filter(account_role::account_id.eq(account_id));
                let roles = on!(conn, |db| diesel::delete(roles).execute(db).await)?;
                let profiles = profile::table.find(account_id);
                let profiles = on!(conn, |db| diesel::delete(profiles).execute(db).await)?;
                let accounts = on!(conn, |db| diesel::delete(account::table.find(account_id)).execute(db).await)?;
                let counts = [
                    ("session", ended),
                    ("mail", mails),
                    ("role", roles),
                    ("profile", profiles),
                    ("account", accounts),
                ];
                let rest =
                    rest.iter().map(|(kind, count)| (kind.as_str(), usize::try_from(*count).unwrap_or_default()));
                add_removed(conn, row.id, &counts.into_iter().chain(rest).collect::<Vec<_>>()).await
            })
            .await
    }

    /// Sees to it that what was deleted has left the database's files. False when that has to be tried again.
    pub async fn forget_deleted(&self) -> Result<bool, DbError> {
        self.db.forget_deleted().await
    }

    /// Ends an erasure.
    pub async fn complete_erasure(&self, row: &ErasureRow) -> Result<(), DbError> {
        let now = self.now();
        self.db
            .transaction(async |conn| {
                let own = erasure_context::table.find((row.id, IDENTITY));
                let own = own.filter(erasure_context::done_time.is_null());
                let done = erasure_context::done_time.eq(now);
                on!(conn, |db| diesel::update(own).set(done).execute(db).await)?;
                let open = erasure::table.find(row.id).filter(erasure::complete_time.is_null());
                let complete = erasure::complete_time.eq(now);
                on!(conn, |db| diesel::update(open).set(complete).execute(db).await).map(drop)
            })
            .await
    }

    /// Forgets the erasures that were complete long ago.
    pub async fn sweep_erasures(&self) -> Result<usize, DbError> {
        let before = self.now() - KEPT;
        self.db
            .transaction(async |conn| {
                let old = erasure::table.filter(erasure::complete_time.le(before));
                on!(conn, |db| diesel::delete(old).execute(db).await)
            })
            .await
    }

    fn erasure_secret(&self, id: Id, secret: &str) -> Vec<u8> {
        self.erasure_tagger.tag(&[id.as_bytes(), secret.as_bytes()])
    }

    async fn insert_erasure(
        &self,
        conn: &mut Conn,
        id: Id,
        account_id: Id,
        secret: &str,
        removed: &Removed,
    ) -> Result<(), Error> {
        let row = (
            erasure::id.eq(id),
            erasure::account_id.eq(account_id),
            erasure::secret_hash.eq(self.erasure_secret(id, secret)),
            erasure::create_time.eq(self.now()),
        );
        on!(conn, |db| diesel::insert_into(erasure::table).values(row).execute(db).await)?;
        let own = serde_json::to_string(removed).map_err(Error::defect)?;
        let others = self.erasure_contexts.iter().map(|context| (context.as_str(), ""));
        for (context, removed) in others.chain([(IDENTITY, own.as_str())]) {
            let row = (
                erasure_context::erasure_id.eq(id),
                erasure_context::context.eq(context),
                erasure_context::removed.eq(removed),
            );
            on!(conn, |db| diesel::insert_into(erasure_context::table).values(row).execute(db).await)?;
        }
        Ok(())
    }

    /// The addresses that an account had before and that nobody else has now: the mails to those are somebody else's.
    async fn former_addresses(&self, conn: &mut Conn, account_id: Id) -> Result<Vec<String>, Error> {
        let query = former_address::table.filter(former_address::account_id.eq(account_id));
        let query = query.select(former_address::email);
        let former: Vec<String> = on!(conn, |db| query.load(db).await)?;
        let mut own = Vec::with_capacity(former.len());
        for address in former {
            let email = Email::parse(&address).map_err(Error::defect)?;
            let owner = account_by_email(conn, &email, self.now()).await?;
            if owner.is_none_or(|owner| owner.id == account_id) {
                own.push(address);
            }
        }
        Ok(own)
    }

    /// Removes what an account could be got into with.
    async fn drop_ways_in(&self, conn: &mut Conn, account_id: Id) -> Result<Removed, DbError> {
        let challenges = challenge::table.filter(challenge::account_id.eq(account_id));
        let challenges = on!(conn, |db| diesel::delete(challenges).execute(db).await)?;
        let devices = device::table.filter(device::account_id.eq(account_id));
        let devices = on!(conn, |db| diesel::delete(devices).execute(db).await)?;
        let factors = factor::table.filter(factor::account_id.eq(account_id));
        let factors = on!(conn, |db| diesel::delete(factors).execute(db).await)?;
        let counts: [(_, usize); 3] = [("challenge", challenges), ("device", devices), ("factor", factors)];
        Ok(counts.into_iter().map(|(kind, dropped)| (kind.to_owned(), page::count(dropped))).collect())
    }
}

/// Adds to what this context has removed for an erasure, in the transaction that removes it: a crash between two steps loses no count.
async fn add_removed(conn: &mut Conn, id: Id, counts: &[(&str, usize)]) -> Result<(), Error> {
    let own = erasure_context::table.find((id, IDENTITY));
    // An update that changes nothing holds the row until the end of the transaction.
    let hold = diesel::update(own).set(erasure_context::context.eq(IDENTITY)).returning(erasure_context::removed);
    let removed: String = on!(conn, |db| hold.get_result(db).await)?;
    let mut removed: Removed = serde_json::from_str(&removed).map_err(Error::defect)?;
    for (kind, dropped) in counts {
        *removed.entry((*kind).to_owned()).or_default() += page::count(*dropped);
    }
    let removed = serde_json::to_string(&removed).map_err(Error::defect)?;
    on!(conn, |db| diesel::update(own).set(erasure_context::removed.eq(removed)).execute(db).await)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An erasure that has begun, and that every other context has reported.
    async fn reported(store: &Store) -> anyhow::Result<(ErasureRow, String)> {
        let email = Email::parse("ada@example.com")?;
        store.register(&email, "hash", State::Active).await?;
        let owner = store.account_by_email(&email).await?.ok_or_else(|| anyhow::anyhow!("not registered"))?;
        let (id, secret) = store.begin_erasure(&owner, &Client::default()).await?;
        assert!(store.begin_erasure(&owner, &Client::default()).await.is_err(), "once");
        for context in ["catalogue", "media", "messaging"] {
            assert!(store.ready_erasures().await?.is_empty(), "{context} has not reported");
            store.report_erasure(id, context, &Removed::new()).await?;
        }
        let ready = store.ready_erasures().await?;
        Ok((ready.into_iter().next().ok_or_else(|| anyhow::anyhow!("not ready"))?, secret))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn i16_the_last_mail_is_waited_for_an_hour_long() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let store = Store::in_folder(folder.path()).await?;
        let (row, _) = reported(&store).await?;
        let account_id = row.account_id.ok_or_else(|| anyhow::anyhow!("no account"))?;
        store.clock.move_by(TimeDelta::minutes(59))?;
        assert_eq!(store.erase_jobs(&row, account_id).await?, None);
        store.clock.move_by(TimeDelta::minutes(2))?;
        assert_eq!(store.erase_jobs(&row, account_id).await?, Some(vec!["ada@example.com".to_owned()]));
        assert_eq!(store.outbox().waiting().await?, 0);
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn i16_what_became_of_an_erasure_is_told_for_ninety_days() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let store = Store::in_folder(folder.path()).await?;
        let (row, secret) = reported(&store).await?;
        let account_id = row.account_id.ok_or_else(|| anyhow::anyhow!("no account"))?;
        // Whatever was done before a process ended is done again by the next one.
        for _ in 0..2 {
            store.erase_revocations(&row, account_id).await?;
            store.erase_account(&row, account_id).await?;
            store.complete_erasure(&row).await?;
        }
        store.clock.move_by(TimeDelta::days(89))?;
        store.sweep_erasures().await?;
        let (kept, contexts) = store.erasure(row.id, &secret).await?.ok_or_else(|| anyhow::anyhow!("forgotten"))?;
        assert!(kept.complete_time.is_some() && kept.account_id.is_none());
        let own = contexts.iter().find(|one| one.context == IDENTITY).map(|one| one.removed.as_str());
        let own: Removed = serde_json::from_str(own.unwrap_or_default())?;
        assert_eq!([own["account"], own["profile"], own["role"]], [1, 1, 1]);
        store.clock.move_by(TimeDelta::days(2))?;
        assert_eq!(store.sweep_erasures().await?, 1);
        assert!(store.erasure(row.id, &secret).await?.is_none());
        Ok(())
    }
}
