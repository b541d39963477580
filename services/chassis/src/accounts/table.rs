//! The tables that each service has.

use diesel::prelude::*;
use quartet_proto::identity::v1::{AccountChange, AccountState};

use super::address::email_key;
use crate::id::Id;

diesel::table! {
    /// What is known of accounts, from identity's feed.
    account (id) {
        id -> Binary,
        email -> Text,
        first_name -> Text,
        last_name -> Text,
        avatar_url -> Text,
        avatar_media_id -> Text,
        state -> Text,
        email_verified -> Bool,
        /// The address as it is compared.
        email_key -> Text,
    }
}

diesel::table! {
    /// The number of the last change that was taken over.
    account_cursor (name) {
        name -> Text,
        number -> BigInt,
    }
}

diesel::table! {
    /// What was removed for accounts that were deleted, until identity has been told.
    erasure (id) {
        id -> Binary,
        removed -> Text,
        create_time -> Timestamp,
        /// Of whom everything is still being removed.
        account_id -> Nullable<Binary>,
    }
}

diesel::table! {
    /// Accounts that were deleted within the last day.
    account_gone (tag) {
        /// Made of the id, which can't be read from it.
        tag -> Binary,
        create_time -> Timestamp,
    }
}

/// An account as it is known here.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = account)]
pub struct AccountRow {
    pub id: Id,
    pub email: String,
    pub first_name: String,
    pub last_name: String,
    pub avatar_url: String,
    pub avatar_media_id: String,
    pub state: String,
    pub email_verified: bool,
    pub email_key: String,
}

impl AccountRow {
    /// An account as the feed tells of it.
    pub fn new(id: Id, told: &AccountChange) -> AccountRow {
        AccountRow {
            id,
            email: told.email.clone(),
            first_name: told.first_name.clone(),
            last_name: told.last_name.clone(),
            avatar_url: told.avatar_url.clone(),
            avatar_media_id: told.avatar_media_id.clone(),
            state: state_name(told.state()),
            email_verified: told.email_verified,
            email_key: email_key(&told.email),
        }
    }

    /// Whether they can sign in.
    pub fn is_active(&self) -> bool {
        self.state == "ACTIVE"
    }

    /// The key of the address that is theirs; empty when they have only claimed it.
    pub fn own_email_key(&self) -> &str {
        if self.email_verified { &self.email_key } else { "" }
    }

    /// First and last name, as far as there are any.
    pub fn name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name).trim().to_owned()
    }
}

fn state_name(state: AccountState) -> String {
    state.as_str_name().trim_start_matches("ACCOUNT_STATE_").to_owned()
}
