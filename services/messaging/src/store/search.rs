//! The search: filled behind the answers that messages get, and the one question that the two databases are asked in words of their own.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Text};
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::conversation::not_found;
use super::member::member_in;
use super::message_view::{MessageRow, MessageView, seen};
use crate::error::Error;
use crate::schema::{conversation, member, message};
use crate::search::{self, Query};

/// In how many conversations it is looked: in those where something was said last.
const PLACES: i64 = 500;
/// How many searches this process carries out at a time: others want the database's connections, too.
pub const AT_ONCE: usize = 4;
/// How many of them may be one account's.
pub const OF_ONE: usize = 2;

const ON_POSTGRES: &str = "select m.id from message_words w join message m on m.id = w.id \
    join member p on p.conversation_id = m.conversation_id and p.account_id = $1 \
    where w.words @@ $2::tsquery and m.id < $3 and m.seq > p.joined_seq and m.seq > p.cleared_seq order by m.id desc limit $4";
const ON_SQLITE: &str = "select m.id from message_words w cross join message_search s on s.search_id = w.rowid \
    cross join message m on m.id = s.message_id \
    join member p on p.conversation_id = m.conversation_id and p.account_id = $1 \
    where w.message_words match $2 and m.id < $3 and m.seq > p.joined_seq and m.seq > p.cleared_seq order by m.id desc limit $4";

/// What is looked for.
#[derive(Debug, Clone)]
pub struct Search {
    pub query: Query,
    /// In this conversation alone.
    pub conversation: Option<Id>,
    /// Below this message.
    pub before: Id,
    pub size: i64,
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Binary)]
    id: Id,
}

/// A message that the search does not know.
#[derive(Queryable, Selectable)]
#[diesel(table_name = message)]
struct Unindexed {
    id: Id,
    conversation_id: Id,
    seq: i64,
    version: i64,
    body: String,
}

impl Store {
    /// Messages that somebody sees and that have the words, the newest first; one more than asked for when others follow.
    pub async fn search_messages(&self, viewer: Id, search: &Search) -> Result<Vec<MessageView>, Error> {
        let _place = self.searchers.enter(viewer).await;
        // Before a connection is taken, which others would wait for. Nobody closes it.
        let _turn = self.searches.acquire().await.ok();
        self.db
            .long_snapshot(async |conn| {
                let places = places(conn, viewer, search.conversation).await?;
                if places.is_empty() {
                    return Ok(Vec::new());
                }
                let ids = find(conn, viewer, search, &places).await?;
                let found = message::table.filter(message::id.eq_any(&ids)).order(message::id.desc());
                let mut rows: Vec<MessageRow> = on!(conn, |db| found.select(MessageRow::as_select()).load(db).await)?;
                rows.retain(|row| search.conversation.is_none_or(|wanted| wanted == row.conversation_id));
                seen(conn, viewer, rows).await.map_err(Error::from)
            })
            .await
    }

    /// Takes some messages into the index; how many it did not know.
    pub async fn index_messages(&self, most: i64) -> Result<usize, DbError> {
        let rows = self.unindexed_messages(most).await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let count = rows.len();
        self.db
            .transaction(async |conn| {
                for row in &rows {
                    index(conn, row).await?;
                }
                Ok::<_, DbError>(count)
            })
            .await
    }

    async fn unindexed_messages(&self, most: i64) -> Result<Vec<Unindexed>, DbError> {
        let conn = &mut self.db.read().await?;
        // As the index of these says it.
        let rows = message::table.filter(diesel::dsl::not(message::is_indexed)).order(message::id).limit(most);
        let rows: Vec<Unindexed> = on!(conn, |db| rows.select(Unindexed::as_select()).load(db).await)?;
        Ok(rows)
    }
}

/// Takes messages out of the index. Their rows are held, so that nobody puts them in at the same time.
pub async fn forget(conn: &mut Conn, ids: &[Id]) -> Result<(), DbError> {
    for id in ids {
        let forget = match conn {
            Conn::Postgres(_) => "delete from message_words where id = $1",
            // Its words go with it.
            Conn::Reader(_) | Conn::Writer(_) => "delete from message_search where message_id = $1",
        };
        let forget = diesel::sql_query(forget).bind::<Binary, _>(*id);
        on!(conn, |db| forget.execute(db).await)?;
    }
    Ok(())
}

/// Where it is looked.
async fn places(conn: &mut Conn, viewer: Id, wanted: Option<Id>) -> Result<Vec<Id>, Error> {
    if let Some(id) = wanted {
        member_in(conn, id, viewer).await?.ok_or_else(|| not_found(id))?;
        return Ok(vec![id]);
    }
    let own = member::table
        .inner_join(conversation::table)
        .filter(member::account_id.eq(viewer))
        .order((conversation::activity_time.desc(), conversation::id.desc()))
        .limit(PLACES)
        .select(conversation::id);
    let own: Vec<Id> = on!(conn, |db| own.load(db).await)?;
    Ok(own)
}

async fn find(conn: &mut Conn, viewer: Id, search: &Search, places: &[Id]) -> Result<Vec<Id>, DbError> {
    let (statement, words) = match conn {
        Conn::Postgres(_) => (ON_POSTGRES, search.query.on_postgres(places)),
        Conn::Reader(_) | Conn::Writer(_) => (ON_SQLITE, search.query.on_sqlite(places)),
    };
    let found = diesel::sql_query(statement)
        .bind::<Binary, _>(viewer)
        .bind::<Text, _>(words)
        .bind::<Binary, _>(search.before)
        .bind::<BigInt, _>(search.size + 1);
    let found: Vec<Found> = on!(conn, |db| found.load(db).await)?;
    Ok(found.into_iter().map(|found| found.id).collect())
}

/// Whoever indexes the same message waits for its row. One that was changed meanwhile is taken again.
async fn index(conn: &mut Conn, row: &Unindexed) -> Result<(), DbError> {
    let same = message::table.find((row.conversation_id, row.seq)).filter(message::version.eq(row.version));
    let same = same.filter(diesel::dsl::not(message::is_indexed));
    if on!(conn, |db| diesel::update(same).set(message::is_indexed.eq(true)).execute(db).await)? == 0 {
        return Ok(());
    }
    let words = search::words(row.conversation_id, &row.body);
    if words.is_empty() {
        return Ok(());
    }
    match conn {
        Conn::Postgres(_) => {
            let words = format!("'{}'", words.join("' '"));
            let insert = diesel::sql_query("insert into message_words (id, words) values ($1, $2::tsvector)");
            let insert = insert.bind::<Binary, _>(row.id).bind::<Text, _>(words);
            on!(conn, |db| insert.execute(db).await).map(drop)
        }
        Conn::Reader(_) | Conn::Writer(_) => {
            let number = diesel::sql_query("insert into message_search (message_id) values ($1)");
            on!(&mut *conn, |db| number.bind::<Binary, _>(row.id).execute(db).await)?;
            let insert = "insert into message_words (rowid, words) select search_id, $1 from message_search where message_id = $2";
            let insert = diesel::sql_query(insert).bind::<Text, _>(words.join(" ")).bind::<Binary, _>(row.id);
            on!(conn, |db| insert.execute(db).await).map(drop)
        }
    }
}
