//! Who is blocked, as it is asked for and answered.

use chrono::DateTime;
use quartet_chassis::clock::{Time, timestamp};
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::page;
use quartet_proto::messaging::v1::{BlockedAccount, ListBlockedAccountsRequest};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::store::block::{BlockList, BlockRow};

/// Somebody other than the caller.
pub fn other(account_id: &str, caller: Id) -> Result<Id, Error> {
    let other = account_id.parse().map_err(|_| Error::PersonNotFound(vec![account_id.to_owned()]))?;
    if other == caller {
        let mut fields = Fields::default();
        fields.refuse("account_id", "must be somebody other than the caller");
        return Err(fields.into());
    }
    Ok(other)
}

pub fn list(asked: &ListBlockedAccountsRequest, account: Id) -> Result<BlockList, Error> {
    let mut fields = Fields::default();
    let size = fields.take("page_size", page::size(asked.page_size));
    let after = fields.take("page_token", position(&asked.page_token));
    let (Some(size), Some(after)) = (size, after) else { return Err(fields.into()) };
    Ok(BlockList { account, after, size })
}

/// Behind whom a page begins.
#[derive(Serialize, Deserialize)]
struct Token {
    /// Microseconds since 1970.
    time: i64,
    id: String,
}

pub fn token(last: &BlockRow) -> String {
    page::encode(&Token { time: last.create_time.and_utc().timestamp_micros(), id: last.blocked_id.to_string() })
}

fn position(token: &str) -> Result<Option<(Time, Id)>, &'static str> {
    let Some(token) = page::decode::<Token>(token)? else { return Ok(None) };
    // A year that no calendar of the databases has is none that was told.
    let time = DateTime::from_timestamp_micros(token.time).filter(|_| (0..1 << 53).contains(&token.time));
    let (Some(time), Ok(id)) = (time, token.id.parse()) else { return Err(page::NOT_A_TOKEN) };
    Ok(Some((time.naive_utc(), id)))
}

impl From<BlockRow> for BlockedAccount {
    fn from(row: BlockRow) -> BlockedAccount {
        let (first_name, last_name, avatar_url) =
            row.account.map(|account| (account.first_name, account.last_name, account.avatar_url)).unwrap_or_default();
        BlockedAccount {
            account_id: row.blocked_id.to_string(),
            first_name,
            last_name,
            avatar_url,
            create_time: Some(timestamp(row.create_time)),
        }
    }
}
