//! The audit log: who did what to whom. A row is written in the transaction of the act.

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use quartet_chassis::caller::Client;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::account::pseudonym;
use crate::error::Error;
use crate::schema::{account, audit_event};

/// Who acts.
#[derive(Debug, Clone)]
pub enum Actor {
    /// The machine's operator, by a command.
    Operator,
    Account(Id),
    /// A client of the operator's, by its name.
    Client(String),
}

/// Who does an administrative act, and from where.
#[derive(Debug, Clone)]
pub struct Doer {
    pub actor: Actor,
    pub client: Client,
}

/// An administrative act.
#[derive(Debug, Clone)]
pub struct Act<'a> {
    /// As in `AuditEvent.action`.
    pub action: &'static str,
    pub actor: &'a Actor,
    /// The account that it is done to.
    pub subject: Option<Id>,
    pub client: &'a Client,
    pub details: BTreeMap<&'static str, String>,
}

/// A recorded act.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = audit_event)]
pub struct AuditRow {
    pub id: Id,
    pub create_time: Time,
    pub action: String,
    pub actor: String,
    pub actor_pseudonym: Option<Id>,
    pub subject_pseudonym: Option<Id>,
    pub client_address: String,
    pub user_agent: String,
    pub request_id: String,
    pub details: String,
}

/// Which acts are asked for.
#[derive(Debug, Default)]
pub struct AuditFilter {
    /// Done by or to this account.
    pub account: Option<Id>,
    pub action: Option<String>,
}

impl Store {
    /// A page of acts, the newest first, from behind `after`, and the accounts that they name, by pseudonym, as far as they live.
    pub async fn audit_events(
        &self,
        filter: &AuditFilter,
        after: Option<Id>,
        count: i64,
    ) -> Result<(Vec<AuditRow>, HashMap<Id, Id>), Error> {
        let last = after.unwrap_or(Id::MAX);
        self.db
            .long_snapshot(async |conn| {
                let rows = acts(conn, filter, last, count).await?;
                let names: Vec<Id> =
                    rows.iter().flat_map(|row| [row.actor_pseudonym, row.subject_pseudonym]).flatten().collect();
                let living = account::table.filter(account::pseudonym.eq_any(names));
                let living = living.select((account::pseudonym, account::id));
                let living: Vec<(Id, Id)> = on!(conn, |db| living.load(db).await)?;
                Ok::<_, Error>((rows, living.into_iter().collect()))
            })
            .await
    }

    /// Forgets the acts that are older than the setting says.
    pub async fn sweep_audit(&self) -> Result<usize, DbError> {
        let before = self.now() - self.rules.audit_life;
        self.db
            .transaction(async |conn| {
                let over = audit_event::table.filter(audit_event::create_time.le(before));
                on!(conn, |db| diesel::delete(over).execute(db).await)
            })
            .await
    }

    /// What the security log calls whoever acts.
    pub async fn name_of(&self, actor: &Actor) -> Result<String, Error> {
        let Actor::Account(id) = actor else { return Ok(label(actor)) };
        let conn = &mut self.db.read().await?;
        Ok(pseudonym(conn, *id).await?.map(|name| name.to_string()).unwrap_or_default())
    }

    /// Writes an act into its transaction, before anything removes the accounts that it names.
    pub(super) async fn record(&self, conn: &mut Conn, act: &Act<'_>) -> Result<(), Error> {
        let actor_pseudonym = match act.actor {
            Actor::Account(id) => pseudonym(conn, *id).await?,
            Actor::Operator | Actor::Client(_) => None,
        };
        let subject_pseudonym = match act.subject {
            Some(id) => pseudonym(conn, id).await?,
            None => None,
        };
        let row = (
            audit_event::id.eq(Id::new(&self.clock)),
            audit_event::create_time.eq(self.now()),
            audit_event::action.eq(act.action),
            audit_event::actor.eq(label(act.actor)),
            audit_event::actor_pseudonym.eq(actor_pseudonym),
            audit_event::subject_pseudonym.eq(subject_pseudonym),
            audit_event::client_address.eq(act.client.address_text()),
            audit_event::user_agent.eq(&act.client.user_agent),
            audit_event::request_id.eq(&act.client.request_id),
            audit_event::details.eq(serde_json::to_string(&act.details).map_err(Error::defect)?),
        );
        on!(conn, |db| diesel::insert_into(audit_event::table).values(row).execute(db).await)?;
        Ok(())
    }
}

/// The acts that are asked for, older than `last`.
async fn acts(conn: &mut Conn, filter: &AuditFilter, last: Id, count: i64) -> Result<Vec<AuditRow>, DbError> {
    let action = filter.action.as_deref().unwrap_or_default();
    let page = audit_event::table.filter(audit_event::id.lt(last)).order(audit_event::id.desc()).limit(count);
    let page = page.filter(audit_event::action.eq(action).or(action.into_sql::<Text>().eq("")));
    let rows: Vec<AuditRow> = match filter.account {
        None => on!(conn, |db| page.select(AuditRow::as_select()).load(db).await)?,
        Some(account) => {
            let Some(name) = pseudonym(conn, account).await? else { return Ok(Vec::new()) };
            let part = audit_event::actor_pseudonym.eq(name).or(audit_event::subject_pseudonym.eq(name));
            let page = page.filter(part.assume_not_null());
            on!(conn, |db| page.select(AuditRow::as_select()).load(db).await)?
        }
    };
    Ok(rows)
}

fn label(actor: &Actor) -> String {
    match actor {
        Actor::Operator => "operator".to_owned(),
        Actor::Account(_) => "account".to_owned(),
        Actor::Client(name) => format!("client {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::email::Email;

    #[tokio::test(flavor = "multi_thread")]
    async fn i22_acts_are_forgotten_when_the_setting_says_so() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let store = Store::in_folder(folder.path()).await?;
        let doer = Doer { actor: Actor::Operator, client: Client::default() };
        let (admin, _) = store.create_administrator(&doer, &Email::parse("ada@example.com")?, "").await?;
        let filter = AuditFilter { account: Some(admin.id), action: None };
        store.clock.move_by(chrono::TimeDelta::days(364))?;
        assert_eq!(store.sweep_audit().await?, 0);
        assert_eq!(store.audit_events(&filter, None, 10).await?.0.len(), 1);
        store.clock.move_by(chrono::TimeDelta::days(2))?;
        assert_eq!(store.sweep_audit().await?, 1);
        assert_eq!(store.audit_events(&filter, None, 10).await?.0.len(), 0);
        Ok(())
    }
}
