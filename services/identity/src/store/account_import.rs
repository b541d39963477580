//! Accounts that come in by hundreds.

use std::collections::{BTreeMap, HashSet};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::caller::Client;
use quartet_chassis::clock::Time;
use quartet_chassis::db::rows::{Column, Rows};
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::{on, random};

use super::Store;
use super::account::State;
use super::audit::{Act, Actor};
use super::feed;
use crate::account_file::NewAccount;
use crate::error::Error;
use crate::profile::sort_key;
use crate::role;
use crate::schema;

/// An account that is about to be stored.
struct Row<'a> {
    id: Id,
    pseudonym: Id,
    account: &'a NewAccount,
    state: State,
    create_time: Time,
    sort_key: String,
}

impl Store {
    /// Stores those of the accounts whose address has none, and answers how many those were. All or none. `unverified` is the state of
    /// an account whose address is not confirmed. `begins` is given until something was stored, and makes the audit log say who began.
    ///
    /// Two imports at once meet in the same addresses. They are inserted in their order, so that one waits for the other and never
    /// both; of two lines with one address the first wins, since equal ones keep theirs.
    pub async fn insert_accounts(
        &self,
        accounts: &[NewAccount],
        unverified: State,
        begins: Option<&Client>,
    ) -> Result<usize, Error> {
        let mut rows: Vec<Row<'_>> = accounts.iter().map(|account| self.row(account, unverified)).collect();
        rows.sort_by(|a, b| a.account.email.key().cmp(b.account.email.key()));
        let rows = &rows;
        let now = self.now();
        self.db
            .bulk(async |conn| {
                let created = insert_rows(conn, rows, now).await?;
                let created: Vec<&Row<'_>> = rows.iter().filter(|row| created.contains(&row.id)).collect();
                if created.is_empty() {
                    return Ok(0);
                }
                insert_profiles(conn, &created, now).await?;
                insert_roles(conn, &created, now).await?;
                if let Some(client) = begins {
                    self.record(conn, &act(client, BTreeMap::from([("progress", "begun".to_owned())]))).await?;
                }
                number(conn, &created).await?;
                Ok::<_, Error>(created.len())
            })
            .await
    }

    /// Writes into the audit log what an import has come to.
    pub async fn record_import(&self, client: &Client, counts: &[(&'static str, i32)]) -> Result<(), Error> {
        let counts = counts.iter().map(|(name, count)| (*name, count.to_string()));
        let details: BTreeMap<&str, String> = counts.chain([("progress", "done".to_owned())]).collect();
        self.db.transaction(async |conn| self.record(conn, &act(client, details.clone())).await).await
    }

    /// Brings the planner's statistics up to date, without which PostgreSQL reads whole tables after a first import.
    pub async fn analyze_accounts(&self) -> Result<(), DbError> {
        self.db
            .bulk(async |conn| {
                for statement in ["analyze account", "analyze account_role", "analyze profile"] {
                    on!(conn, |db| diesel::sql_query(statement).execute(db).await)?;
                }
                Ok(())
            })
            .await
    }

    fn row<'a>(&self, account: &'a NewAccount, unverified: State) -> Row<'a> {
        let state = if account.email_verified { State::Active } else { unverified };
        // A registration counts from now on: its owner has as much time to activate it as anybody.
        let create_time = account.create_time.filter(|_| state != State::Pending).unwrap_or_else(|| self.now());
        let sort_key = sort_key(&account.first_name, &account.last_name);
        let pseudonym = Id::from_bytes(random::bytes());
        Row { id: Id::new(&self.clock), pseudonym, account, state, create_time, sort_key }
    }
}

fn act<'a>(client: &'a Client, details: BTreeMap<&'static str, String>) -> Act<'a> {
    Act { action: "accounts.imported", actor: &Actor::Operator, subject: None, client, details }
}

/// Inserts the rows whose address is free and answers their ids.
async fn insert_rows(conn: &mut Conn, rows: &[Row<'_>], now: Time) -> Result<HashSet<Id>, DbError> {
    let insert = Rows {
        before: "insert into account (id, email, email_key, email_verified, password_hash, state, epoch, code_failures, \
                 code_failures_time, create_time, pseudonym)",
        columns: vec![
            Column::Ids(rows.iter().map(|row| row.id).collect()),
            Column::Texts(rows.iter().map(|row| row.account.email.as_str()).collect()),
            Column::Texts(rows.iter().map(|row| row.account.email.key()).collect()),
            Column::Flags(rows.iter().map(|row| row.account.email_verified).collect()),
            Column::Texts(rows.iter().map(|row| row.account.password_hash.as_str()).collect()),
            Column::Texts(rows.iter().map(|row| row.state.as_str()).collect()),
            Column::Numbers(vec![0; rows.len()]),
            Column::Integers(vec![0; rows.len()]),
            Column::Times(vec![now; rows.len()]),
            Column::Times(rows.iter().map(|row| row.create_time).collect()),
            Column::Ids(rows.iter().map(|row| row.pseudonym).collect()),
        ],
        count: rows.len(),
        after: " on conflict (email_key) do nothing returning id, email",
    };
    Ok(insert.returning(conn).await?.into_iter().map(|(id, _)| id).collect())
}

async fn insert_profiles(conn: &mut Conn, rows: &[&Row<'_>], now: Time) -> Result<(), DbError> {
    let empty = || Column::Texts(vec![""; rows.len()]);
    let insert = Rows {
        before: "insert into profile (account_id, first_name, last_name, gender, date_of_birth, info, avatar_url, \
                 avatar_media_id, sort_key, listed, update_time)",
        columns: vec![
            Column::Ids(rows.iter().map(|row| row.id).collect()),
            Column::Texts(rows.iter().map(|row| row.account.first_name.as_str()).collect()),
            Column::Texts(rows.iter().map(|row| row.account.last_name.as_str()).collect()),
            empty(),
            empty(),
            empty(),
            empty(),
            empty(),
            Column::Texts(rows.iter().map(|row| row.sort_key.as_str()).collect()),
            Column::Flags(rows.iter().map(|row| row.state == State::Active).collect()),
            Column::Times(vec![now; rows.len()]),
        ],
        count: rows.len(),
        after: "",
    };
    insert.run(conn).await
}

async fn insert_roles(conn: &mut Conn, rows: &[&Row<'_>], now: Time) -> Result<(), DbError> {
    let roles = |row: &Row<'_>| [role::USER].into_iter().chain(row.account.roles.iter().copied()).collect::<Vec<_>>();
    let pairs: Vec<(Id, &str)> =
        rows.iter().flat_map(|row| roles(row).into_iter().map(|role| (row.id, role))).collect();
    let insert = Rows {
        before: "insert into account_role (account_id, role, create_time)",
        columns: vec![
            Column::Ids(pairs.iter().map(|pair| pair.0).collect()),
            Column::Texts(pairs.iter().map(|pair| pair.1).collect()),
            Column::Times(vec![now; pairs.len()]),
        ],
        count: pairs.len(),
        after: "",
    };
    insert.run(conn).await
}

/// Gives the accounts that are in use their numbers in the feed: the last thing that a transaction does, see `feed.rs`.
async fn number(conn: &mut Conn, rows: &[&Row<'_>]) -> Result<(), DbError> {
    let ids: Vec<Id> = rows.iter().filter(|row| row.state == State::Active).map(|row| row.id).collect();
    let count = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    if count == 0 {
        return Ok(());
    }
    let (table, column) = (schema::feed::table, schema::feed::number);
    let raise = diesel::update(table.find(feed::ACCOUNT)).set(column.eq(column + count)).returning(column);
    let last: i64 = on!(conn, |db| raise.get_result(db).await)?;
    let update = Rows {
        before: "with fresh (id, number) as (",
        count: ids.len(),
        columns: vec![Column::Ids(ids), Column::Numbers((last - count + 1..=last).collect())],
        after: ") update account set change_number = fresh.number from fresh where account.id = fresh.id",
    };
    update.run(conn).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::email::Email;

    fn account(number: usize, verified: bool) -> anyhow::Result<NewAccount> {
        Ok(NewAccount {
            email: Email::parse(&format!("person{number}@example.com"))?,
            password_hash: String::new(),
            email_verified: verified,
            first_name: format!("{number}"),
            last_name: String::new(),
            roles: Vec::new(),
            create_time: None,
        })
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn import_accounts_every_account_in_use_gets_a_number_of_its_own() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let store = Store::in_folder(folder.path()).await?;
        let accounts: Vec<NewAccount> =
            (0..3_000).map(|number| account(number % 2_500, number % 5 != 0)).collect::<anyhow::Result<_>>()?;
        let client = Client::default();
        assert_eq!(store.insert_accounts(&accounts[..1_000], State::Pending, Some(&client)).await?, 1_000);
        assert_eq!(store.insert_accounts(&accounts, State::Pending, None).await?, 1_500);
        assert_eq!(store.insert_accounts(&accounts, State::Pending, Some(&client)).await?, 0);
        store.record_import(&client, &[("created", 2_500)]).await?;
        store.analyze_accounts().await?;

        let conn = &mut store.db.read().await?;
        let numbered = schema::account::table.filter(schema::account::change_number.is_not_null());
        let numbered = numbered.order(schema::account::change_number).select(schema::account::change_number);
        let numbers: Vec<Option<i64>> = on!(conn, |db| numbered.load(db).await)?;
        assert_eq!(numbers, (1..=2_000).map(Some).collect::<Vec<_>>());
        let pending = schema::account::table.filter(schema::account::state.eq(State::Pending.as_str())).count();
        assert_eq!(on!(conn, |db| pending.get_result::<i64>(db).await)?, 500);
        let listed = schema::profile::table.filter(schema::profile::listed).count();
        assert_eq!(on!(conn, |db| listed.get_result::<i64>(db).await)?, 2_000);
        let acts = schema::audit_event::table.count();
        assert_eq!(
            on!(conn, |db| acts.get_result::<i64>(db).await)?,
            2,
            "begun and done, and nothing of what changed nothing"
        );
        Ok(())
    }
}
