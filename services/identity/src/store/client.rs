//! Clients of the operator's.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::auth::Target;
use quartet_chassis::caller::Client;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::audit::{Act, Actor};
use crate::error::Error;
use crate::schema::{client, session};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = client)]
pub struct ClientRow {
    pub id: Id,
    pub name: String,
    pub key_hash: Vec<u8>,
    /// Separated by blanks.
    pub scopes: String,
    pub create_time: Time,
    pub last_use_time: Option<Time>,
}

impl ClientRow {
    pub fn may(&self, scope: &str) -> bool {
        self.scopes.split(' ').any(|own| own == scope)
    }
}

/// What a session of a client's is marked with.
pub fn actor_of(name: &str) -> String {
    format!("client {name}")
}

impl Store {
    /// Adds a client.
    pub async fn create_client(&self, row: &ClientRow, operator: &Client) -> Result<(), Error> {
        let created = self
            .db
            .transaction(async |conn| {
                on!(conn, |db| diesel::insert_into(client::table).values(row).execute(db).await)?;
                self.record_client(conn, "client.created", &row.name, &row.scopes, operator).await
            })
            .await;
        match created {
            Err(Error::Db(error)) if error.is_duplicate_of("client", &["name"]) => Err(Error::ClientExists),
            created => created,
        }
    }

    pub async fn client(&self, id: Id) -> Result<Option<ClientRow>, DbError> {
        let conn = &mut self.db.read().await?;
        let query = client::table.find(id);
        on!(conn, |db| query.select(ClientRow::as_select()).first(db).await.optional())
    }

    /// A page of the clients by name, from behind `after`.
    pub async fn clients(&self, after: &str, count: i64) -> Result<Vec<ClientRow>, DbError> {
        let conn = &mut self.db.read().await?;
        let query = client::table.filter(client::name.gt(after)).order(client::name).limit(count);
        on!(conn, |db| query.select(ClientRow::as_select()).load(db).await)
    }

    /// Deletes a client and ends the sessions that it has started. False when there is none of this name.
    pub async fn delete_client(&self, name: &str, operator: &Client) -> Result<bool, Error> {
        let revoked = self
            .db
            .transaction(async |conn| {
                // First the client: a token that it is just being given is waited for, and its session is found.
                let own = client::table.filter(client::name.eq(name));
                let deleted = diesel::delete(own).returning(client::scopes);
                let scopes: Option<String> = on!(conn, |db| deleted.get_result(db).await.optional())?;
                let Some(scopes) = scopes else { return Ok(None) };
                let started = session::table.filter(session::actor.eq(actor_of(name)));
                let ended = diesel::delete(started).returning(session::id);
                let ended: Vec<Id> = on!(conn, |db| ended.get_results(db).await)?;
                self.record_client(conn, "client.deleted", name, &scopes, operator).await?;
                let targets = ended.into_iter().map(Target::Session).collect();
                Ok::<_, Error>(Some(self.revoke(conn, targets).await?))
            })
            .await?;
        let Some(revoked) = revoked else { return Ok(false) };
        self.committed(revoked).await;
        Ok(true)
    }

    /// Notes that a client uses its key. False when it has just been deleted.
    pub(super) async fn touch_client(&self, conn: &mut Conn, id: Id) -> Result<bool, DbError> {
        let used = diesel::update(client::table.find(id)).set(client::last_use_time.eq(self.now()));
        Ok(on!(conn, |db| used.execute(db).await)? == 1)
    }

    async fn record_client(
        &self,
        conn: &mut Conn,
        action: &'static str,
        name: &str,
        scopes: &str,
        operator: &Client,
    ) -> Result<(), Error> {
        let details = BTreeMap::from([("client", name.to_owned()), ("scopes", scopes.to_owned())]);
        self.record(conn, &Act { action, actor: &Actor::Operator, subject: None, client: operator, details }).await
    }
}
