//! Sessions in which somebody acts for an account: started by a client, or by an administrator. The owner sees them and can end them.

use std::collections::BTreeMap;

use quartet_chassis::auth::Revocation;
use quartet_chassis::caller::Client;
use quartet_chassis::clock::Time;
use quartet_chassis::db::Conn;
use quartet_chassis::id::Id;

use super::Store;
use super::account::{AccountRow, Standing, account_by_id};
use super::audit::{Act, Actor};
use super::client::{ClientRow, actor_of};
use super::session::Beginning;
use crate::error::Error;
use crate::notice::Notice;
use crate::role;

/// What a session of an administrator's is marked with.
const ADMINISTRATOR: &str = "administrator";

/// A session in which somebody acts for an account.
#[derive(Debug)]
pub struct Acting {
    pub session_id: Id,
    pub owner: AccountRow,
    pub standing: Standing,
}

/// What an administrator asks for.
#[derive(Debug)]
pub struct Impersonation<'a> {
    pub account_id: Id,
    pub administrator: Id,
    pub reason: &'a str,
    pub minutes: i64,
}

impl Store {
    /// Starts a session of an account for a client.
    pub async fn mint(&self, by: &ClientRow, account_id: Id, expire: Time, client: &Client) -> Result<Acting, Error> {
        let (acting, revoked) = self
            .db
            .transaction(async |conn| {
                if !self.touch_client(conn, by.id).await? {
                    return Err(Error::ClientInvalid);
                }
                let (acting, revoked) = self.act_for(conn, account_id, &actor_of(&by.name), expire, client).await?;
                let who = Actor::Client(by.name.clone());
                let details = BTreeMap::from([("session", acting.session_id.to_string())]);
                let act = Act { action: "token.minted", actor: &who, subject: Some(account_id), client, details };
                self.record(conn, &act).await?;
                Ok((acting, revoked))
            })
            .await?;
        self.committed(revoked).await;
        Ok(acting)
    }

    /// Starts a session of an account for an administrator, and tells its owner.
    pub async fn impersonate(&self, asked: &Impersonation<'_>, expire: Time, client: &Client) -> Result<Acting, Error> {
        let (acting, revoked) = self
            .db
            .transaction(async |conn| {
                let who = Actor::Account(asked.administrator);
                self.begin_act(conn, &who).await?;
                let begun = self.act_for(conn, asked.account_id, ADMINISTRATOR, expire, client).await?;
                let (acting, revoked) = begun;
                // One administrator can't do things in another one's name.
                if acting.standing.roles.iter().any(|role| role == role::ADMIN) {
                    return Err(Error::ActorRefused);
                }
                let (action, subject) = ("account.impersonated", Some(asked.account_id));
                let details =
                    BTreeMap::from([("reason", asked.reason.to_owned()), ("session", acting.session_id.to_string())]);
                self.record(conn, &Act { action, actor: &who, subject, client, details }).await?;
                let notice = Notice::Impersonated { reason: asked.reason.to_owned(), minutes: asked.minutes };
                self.notify(conn, &acting.owner, notice).await?;
                Ok((acting, revoked))
            })
            .await?;
        self.committed(revoked).await;
        Ok(acting)
    }

    /// Starts a session that ends with its one token; with it comes what it ends.
    async fn act_for(
        &self,
        conn: &mut Conn,
        account_id: Id,
        actor: &str,
        expire: Time,
        client: &Client,
    ) -> Result<(Acting, Vec<Revocation>), Error> {
        let now = self.now();
        let owner = account_by_id(conn, account_id, now).await?.ok_or(Error::AccountNotFound)?;
        let beginning = Beginning { actor: actor.to_owned(), life: Some(expire - now), ..Beginning::default() };
        let begun = self.begin_session(conn, &owner, &beginning, client).await?;
        let (begun, revoked) = begun.ok_or(Error::AccountDisabled)?;
        Ok((Acting { session_id: begun.session.id, owner, standing: begun.standing }, revoked))
    }
}
