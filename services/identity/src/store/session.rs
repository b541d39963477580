//! Sessions. A live one has a row; an ended one has none, and for a while a revocation.

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::auth::{Revocation, Target};
use quartet_chassis::caller::Client;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::account::{AccountRow, Standing, State, account_by_id, standing};
use super::device::DeviceRow;
use crate::error::Error;
use crate::notice::Notice;
use crate::refresh::{Decision, Generation, Presented, decide};
use crate::schema::{account, session};

/// The most live sessions of an account, and of those that others act in. One more ends the oldest.
const SESSIONS: i64 = 100;

/// How a session begins.
#[derive(Debug, Default)]
pub struct Beginning {
    /// The password's newer hash to store, where there is one.
    pub renewed_hash: Option<String>,
    /// How it was shown who it is, RFC 8176.
    pub amr: &'static str,
    /// The device that the account knows and that it comes from.
    pub device: Option<Id>,
    /// As the owner calls the device.
    pub device_name: String,
    /// Who acts in it if not the owner. Such a session has no refresh token and no device, and takes none of the owner's places.
    pub actor: String,
    /// How long it lives, if not as long as the owner's sessions do.
    pub life: Option<TimeDelta>,
}

/// A session that has begun.
#[derive(Debug)]
pub struct Begun {
    pub session: SessionRow,
    pub standing: Standing,
    /// What it was begun from; none where somebody else acts in it.
    pub device: Option<DeviceRow>,
    pub is_new_device: bool,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = session)]
pub struct SessionRow {
    pub id: Id,
    pub account_id: Id,
    pub generation: i64,
    pub rotate_time: Time,
    pub idle_expire_time: Time,
    pub expire_time: Time,
    pub last_use_time: Time,
    pub create_time: Time,
    pub client_address: String,
    pub user_agent: String,
    pub device_id: Option<Id>,
    pub device_name: String,
    pub amr: String,
    pub actor: String,
}

/// What came of a refresh token. A refusal that ends the session is an answer like the others, or it would be undone.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one per call, and nobody keeps it")]
pub enum Refreshed {
    Live(SessionRow, Standing),
    Superseded,
    /// The session is ended now. Whose it was, by the pseudonym, is for the log.
    Reused(Id),
    Expired,
    NotFound,
    AccountNotFound,
}

/// Why a refresh token did not advance its session.
enum Explained {
    /// It may be answered as it was the first time.
    Repeat(SessionRow),
    Refused(Refreshed, Vec<Revocation>),
}

impl Store {
    /// Starts a session, and mails the owner about a device that is new. `None` when the account has changed since it was read, or is
    /// not active.
    pub async fn start_session(
        &self,
        owner: &AccountRow,
        beginning: Beginning,
        client: &Client,
    ) -> Result<Option<Begun>, Error> {
        let begun = self.db.transaction(async |conn| self.begin_session(conn, owner, &beginning, client).await).await?;
        let Some((begun, revoked)) = begun else { return Ok(None) };
        self.committed(revoked).await;
        Ok(Some(begun))
    }

    /// [`start_session`](Self::start_session) within a transaction; with the session comes what it ends.
    pub(super) async fn begin_session(
        &self,
        conn: &mut Conn,
        owner: &AccountRow,
        beginning: &Beginning,
        client: &Client,
    ) -> Result<Option<(Begun, Vec<Revocation>)>, Error> {
        let Some(signed_in) = self.hold_active(conn, owner, beginning.renewed_hash.clone()).await? else {
            return Ok(None);
        };
        let mut session = self.new_session(owner, beginning, client);
        let (mut device, mut is_new_device) = (None, false);
        if session.actor.is_empty() {
            let (row, is_new) = self.use_device(conn, owner.id, beginning.device, client).await?;
            session.device_id = Some(row.id);
            (device, is_new_device) = (Some(row), is_new);
            self.note_sign_in(conn, owner, &session, is_new && signed_in.is_some()).await?;
        }
        on!(conn, |db| diesel::insert_into(session::table).values(&session).execute(db).await)?;
        let surplus = self.end_surplus(conn, owner.id, !session.actor.is_empty()).await?;
        let revoked = self.revoke(conn, surplus).await?;
        let standing = standing(conn, owner.id).await?.ok_or(Error::AccountNotFound)?;
        Ok(Some((Begun { session, standing, device, is_new_device }, revoked)))
    }

    /// Holds an active account's row until the transaction ends, so that no session slips by a password reset or a suspension that is
    /// in progress, and stores the password's newer hash. Answers when it was last signed in to; `None` when the account is another
    /// one by now.
    async fn hold_active(
        &self,
        conn: &mut Conn,
        owner: &AccountRow,
        renewed_hash: Option<String>,
    ) -> Result<Option<Option<Time>>, DbError> {
        let hash = renewed_hash.unwrap_or_else(|| owner.password_hash.clone());
        let same = account::table.find(owner.id).filter(account::password_hash.eq(&owner.password_hash));
        // Who has shown that they read an address's mail has shown nothing any more once the account has moved away from it.
        let same = same.filter(account::email_key.eq(&owner.email_key));
        let same = same.filter(account::state.eq(State::Active.as_str()));
        let update = diesel::update(same).set(account::password_hash.eq(hash)).returning(account::sign_in_time);
        let held: Option<Option<Time>> = on!(conn, |db| update.get_result(db).await.optional())?;
        Ok(held)
    }

    fn new_session(&self, owner: &AccountRow, beginning: &Beginning, client: &Client) -> SessionRow {
        let now = self.now();
        let (idle, life) = match beginning.life {
            Some(life) => (life, life),
            None => (self.rules.session_idle, self.rules.session_life),
        };
        SessionRow {
            id: Id::new(&self.clock),
            account_id: owner.id,
            generation: 1,
            rotate_time: now,
            idle_expire_time: now + idle,
            expire_time: now + life,
            last_use_time: now,
            create_time: now,
            client_address: client.address_text(),
            user_agent: client.user_agent.clone(),
            device_id: None,
            device_name: beginning.device_name.clone(),
            amr: beginning.amr.to_owned(),
            actor: beginning.actor.clone(),
        }
    }

    /// Remembers when the owner signed in, and tells them where that was from a strange device.
    async fn note_sign_in(
        &self,
        conn: &mut Conn,
        owner: &AccountRow,
        session: &SessionRow,
        is_strange: bool,
    ) -> Result<(), Error> {
        let when = account::sign_in_time.eq(session.create_time);
        on!(conn, |db| diesel::update(account::table.find(owner.id)).set(when).execute(db).await)?;
        if !is_strange {
            return Ok(());
        }
        let time = session.create_time.format("%Y-%m-%d %H:%M").to_string();
        let (user_agent, address) = (session.user_agent.clone(), session.client_address.clone());
        self.notify(conn, owner, Notice::NewDevice { time, user_agent, address }).await
    }

    /// Advances a session to its next generation: one compare-and-swap. Only when that fails, it is asked why.
    pub async fn refresh(&self, presented: &Presented) -> Result<Refreshed, Error> {
        let (refreshed, revoked) = self
            .db
            .transaction(async |conn| {
                let row = match self.advance(conn, presented).await? {
                    Some(row) => row,
                    None => match self.explain(conn, presented).await? {
                        Explained::Repeat(row) => row,
                        Explained::Refused(refusal, revoked) => return Ok((refusal, revoked)),
                    },
                };
                match standing(conn, row.account_id).await? {
                    Some(standing) if standing.state == State::Active => {
                        Ok((Refreshed::Live(row, standing), Vec::new()))
                    }
                    Some(_) => Err(Error::AccountDisabled),
                    None => Err(Error::AccountNotFound),
                }
            })
            .await?;
        if matches!(refreshed, Refreshed::Reused(_)) {
            self.committed(revoked).await;
        }
        Ok(refreshed)
    }

    /// What the session's refresh token is made of.
    pub fn generation(&self, row: &SessionRow) -> Generation {
        Generation {
            account_id: row.account_id,
            session_id: row.id,
            number: row.generation,
            begin: row.rotate_time,
            // Without rotation the token stays the same for the session's whole life, and only the row says when it has idled.
            expire: if self.rules.rotate { row.idle_expire_time.min(row.expire_time) } else { row.expire_time },
        }
    }

    /// A page of an account's live sessions, the newest first, from behind `after`.
    pub async fn sessions(&self, account_id: Id, after: Option<Id>, count: i64) -> Result<Vec<SessionRow>, DbError> {
        let now = self.now();
        let conn = &mut self.db.read().await?;
        let last = after.unwrap_or(Id::MAX);
        let query = session::table.filter(session::account_id.eq(account_id)).filter(session::id.lt(last));
        let query = query.filter(session::idle_expire_time.gt(now)).filter(session::expire_time.gt(now));
        let query = query.order(session::id.desc()).limit(count);
        on!(conn, |db| query.select(SessionRow::as_select()).load(db).await)
    }

    /// A live session, and the account that it belongs to.
    pub async fn session_owner(&self, id: Id) -> Result<Option<(AccountRow, SessionRow)>, DbError> {
        let now = self.now();
        let conn = &mut self.db.read().await?;
        let query = session::table.inner_join(account::table).filter(session::id.eq(id));
        let query = query.filter(session::idle_expire_time.gt(now)).filter(session::expire_time.gt(now));
        on!(conn, |db| query.select((AccountRow::as_select(), SessionRow::as_select())).first(db).await.optional())
    }

    /// Which of these sessions live, of accounts that are active.
    pub async fn live_sessions(&self, ids: &[Id]) -> Result<Vec<Id>, DbError> {
        let now = self.now();
        let conn = &mut self.db.read().await?;
        let query = session::table.inner_join(account::table).filter(session::id.eq_any(ids));
        let query = query.filter(session::idle_expire_time.gt(now)).filter(session::expire_time.gt(now));
        let query = query.filter(account::state.eq(State::Active.as_str())).select(session::id);
        on!(conn, |db| query.load(db).await)
    }

    /// Ends one of an account's sessions. False when it has no such session.
    pub async fn end_session(&self, account_id: Id, id: Id) -> Result<bool, DbError> {
        let revoked = self
            .db
            .transaction(async |conn| {
                let own = session::table.find(id).filter(session::account_id.eq(account_id));
                if on!(conn, |db| diesel::delete(own).execute(db).await)? == 0 {
                    return Ok::<_, DbError>(Vec::new());
                }
                self.revoke(conn, vec![Target::Session(id)]).await
            })
            .await?;
        let ended = !revoked.is_empty();
        self.announce(&revoked).await;
        Ok(ended)
    }

    /// Ends an account's sessions, all or all but one, and says how many.
    pub async fn end_all_sessions(&self, account_id: Id, keep: Option<Id>) -> Result<usize, DbError> {
        let revoked = self
            .db
            .transaction(async |conn| {
                let ended = self.end_sessions(conn, account_id, keep).await?;
                self.revoke(conn, ended).await
            })
            .await?;
        self.announce(&revoked).await;
        Ok(revoked.len())
    }

    /// Forgets the sessions whose time is over.
    pub async fn sweep_sessions(&self) -> Result<usize, DbError> {
        let now = self.now();
        self.db
            .transaction(async |conn| {
                let over = session::idle_expire_time.le(now).or(session::expire_time.le(now));
                on!(conn, |db| diesel::delete(session::table.filter(over)).execute(db).await)
            })
            .await
    }

    /// Ends an account's sessions within a transaction; what is to be revoked for it.
    pub(super) async fn end_sessions(
        &self,
        conn: &mut Conn,
        account_id: Id,
        keep: Option<Id>,
    ) -> Result<Vec<Target>, DbError> {
        // No session has the nil id.
        let keep = keep.unwrap_or(Id::NIL);
        let others = session::table.filter(session::account_id.eq(account_id)).filter(session::id.ne(keep));
        let ended: Vec<Id> = on!(conn, |db| diesel::delete(others).returning(session::id).get_results(db).await)?;
        Ok(ended.into_iter().map(Target::Session).collect())
    }

    /// Ends the oldest of an account's live sessions beyond [`SESSIONS`], of the owner's own or of those that others act in; what is to
    /// be revoked for it.
    async fn end_surplus(&self, conn: &mut Conn, account_id: Id, of_others: bool) -> Result<Vec<Target>, DbError> {
        let now = self.now();
        let live = session::table.filter(session::account_id.eq(account_id));
        let live = live.filter(session::actor.ne("").eq(of_others));
        let live = live.filter(session::idle_expire_time.gt(now)).filter(session::expire_time.gt(now));
        let surplus = live.select(session::id).order(session::id.desc()).limit(SESSIONS).offset(SESSIONS);
        let surplus: Vec<Id> = on!(conn, |db| surplus.load(db).await)?;
        if !surplus.is_empty() {
            let surplus = session::table.filter(session::id.eq_any(&surplus));
            on!(conn, |db| diesel::delete(surplus).execute(db).await)?;
        }
        Ok(surplus.into_iter().map(Target::Session).collect())
    }

    /// The compare-and-swap. Without rotation the generation stays, and only the idling begins anew.
    async fn advance(&self, conn: &mut Conn, presented: &Presented) -> Result<Option<SessionRow>, DbError> {
        let now = self.now();
        let live = session::table.find(presented.session_id).filter(session::account_id.eq(presented.account_id));
        let live = live.filter(session::generation.eq(presented.generation));
        let live = live.filter(session::idle_expire_time.gt(now)).filter(session::expire_time.gt(now));
        let used = (session::last_use_time.eq(now), session::idle_expire_time.eq(now + self.rules.session_idle));
        if !self.rules.rotate {
            let update = diesel::update(live).set(used);
            return on!(conn, |db| update.returning(SessionRow::as_select()).get_result(db).await.optional());
        }
        let next = (session::generation.eq(session::generation + 1), session::rotate_time.eq(now), used.0, used.1);
        let update = diesel::update(live).set(next);
        on!(conn, |db| update.returning(SessionRow::as_select()).get_result(db).await.optional())
    }

    /// Why the compare-and-swap found nothing, and what follows from it.
    async fn explain(&self, conn: &mut Conn, presented: &Presented) -> Result<Explained, Error> {
        let now = self.now();
        let refused = |refusal| Ok(Explained::Refused(refusal, Vec::new()));
        let query = session::table.find(presented.session_id);
        let row: Option<SessionRow> = on!(conn, |db| query.select(SessionRow::as_select()).first(db).await.optional())?;
        let owner = account_by_id(conn, presented.account_id, now).await?;
        let (Some(owner), Some(row)) = (&owner, row) else {
            return refused(if owner.is_none() { Refreshed::AccountNotFound } else { Refreshed::NotFound });
        };
        if row.account_id != presented.account_id {
            return refused(Refreshed::NotFound);
        }
        if row.idle_expire_time <= now || row.expire_time <= now {
            return refused(Refreshed::Expired);
        }
        let grace = self.rules.grace;
        match decide(presented.generation, row.generation, row.rotate_time, now, grace) {
            Decision::Repeat => Ok(Explained::Repeat(row)),
            Decision::Superseded => refused(Refreshed::Superseded),
            Decision::Unknown => refused(Refreshed::NotFound),
            Decision::Reused => {
                tracing::warn!(account = %owner.pseudonym, session = %row.id, "a spent refresh token was used again: the session is ended");
                on!(conn, |db| diesel::delete(session::table.find(row.id)).execute(db).await)?;
                let revoked = self.revoke(conn, vec![Target::Session(row.id)]).await?;
                let began = row.create_time.date().to_string();
                self.notify(conn, owner, Notice::SessionEnded { began, user_agent: row.user_agent }).await?;
                Ok(Explained::Refused(Refreshed::Reused(owner.pseudonym), revoked))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::email::Email;

    #[tokio::test(flavor = "multi_thread")]
    async fn x4_sessions_that_others_act_in_take_none_of_the_owners_places() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let store = Store::in_folder(folder.path()).await?;
        let ada = store.register(&Email::parse("ada@example.com")?, "hash", State::Active).await?;
        let begin = async |actor: &str| {
            let life = (!actor.is_empty()).then_some(TimeDelta::minutes(5));
            let beginning = Beginning { actor: actor.to_owned(), life, ..Beginning::default() };
            let begun = store.start_session(&ada, beginning, &Client::default()).await?;
            begun.map(|begun| begun.session).ok_or_else(|| anyhow::anyhow!("no session"))
        };
        let own = begin("").await?;
        let first = begin("client mobile").await?;
        assert_eq!((first.device_id, first.expire_time - first.create_time), (None, TimeDelta::minutes(5)));
        for _ in 0..100 {
            begin("client mobile").await?;
        }
        let ids: Vec<Id> = store.sessions(ada.id, None, 1000).await?.iter().map(|row| row.id).collect();
        assert_eq!((ids.len(), ids.contains(&own.id), ids.contains(&first.id)), (101, true, false));
        Ok(())
    }
    #[tokio::test(flavor = "multi_thread")]
    async fn s13_the_mail_of_an_address_that_was_left_starts_no_session() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let store = Store::in_folder(folder.path()).await?;
        let (ada, moved) = (Email::parse("ada@example.com")?, Email::parse("moved@example.com")?);
        let before = store.register(&ada, "hash", State::Active).await?;
        let change = async |conn: &mut Conn| {
            let address = (account::email.eq(moved.as_str()), account::email_key.eq(moved.key()));
            on!(conn, |db| diesel::update(account::table.find(before.id)).set(address).execute(db).await)
        };
        store.db.transaction(change).await?;
        assert!(store.start_session(&before, Beginning::default(), &Client::default()).await?.is_none());
        let after = store.account_by_email(&moved).await?.ok_or_else(|| anyhow::anyhow!("no account"))?;
        assert!(store.start_session(&after, Beginning::default(), &Client::default()).await?.is_some());
        Ok(())
    }
}
