//! Who is blocked, as it is asked for and answered.

use quartet_chassis::clock::{Time, timestamp};
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::page;
use quartet_proto::messaging::v1::{BlockedAccount, ListBlockedAccountsRequest};

use super::conversation_view::shown;
use super::moment::Moment;
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

pub fn token(last: &BlockRow) -> String {
    page::encode(&Moment::of(last.create_time, last.blocked_id))
}

fn position(token: &str) -> Result<Option<(Time, Id)>, &'static str> {
    page::decode::<Moment>(token)?.map(|moment| moment.read()).transpose()
}

impl From<BlockRow> for BlockedAccount {
    fn from(row: BlockRow) -> BlockedAccount {
        let (first_name, last_name, avatar_url) = shown(row.account);
        BlockedAccount {
            account_id: row.blocked_id.to_string(),
            first_name,
            last_name,
            avatar_url,
            create_time: Some(timestamp(row.create_time)),
        }
    }
}
