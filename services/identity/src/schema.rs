//! The tables, the same for both databases. The outbox's is the chassis's.

diesel::table! {
    account (id) {
        id -> Binary,
        /// As its owner wrote it.
        email -> Text,
        /// What is compared: see `email.rs`.
        email_key -> Text,
        email_verified -> Bool,
        password_hash -> Text,
        state -> Text,
        /// Raised by what makes older access tokens stale.
        epoch -> BigInt,
        /// Tries of codes within the day that began at `code_failures_time`, the right ones taken off again.
        code_failures -> Integer,
        code_failures_time -> Timestamp,
        /// Mails asked for by anybody within the hour that began at `mails_time`.
        mails -> Integer,
        mails_time -> Timestamp,
        sign_in_time -> Nullable<Timestamp>,
        create_time -> Timestamp,
    }
}

diesel::table! {
    account_role (account_id, role) {
        account_id -> Binary,
        role -> Text,
        create_time -> Timestamp,
    }
}

diesel::table! {
    /// What was mailed to prove an address, one per account and purpose.
    challenge (id) {
        id -> Binary,
        account_id -> Binary,
        purpose -> Text,
        token_hash -> Binary,
        code_hash -> Binary,
        /// Tries of the code, counted before each is checked.
        tries -> Integer,
        /// What the right code was traded for.
        grant_hash -> Nullable<Binary>,
        grant_expire_time -> Nullable<Timestamp>,
        create_time -> Timestamp,
        expire_time -> Timestamp,
        /// A used one stays until it expires, so that its holder can be told.
        used_time -> Nullable<Timestamp>,
    }
}

diesel::table! {
    /// The live sessions; an ended one has no row.
    session (id) {
        id -> Binary,
        account_id -> Binary,
        /// Of the refresh token that is good now.
        generation -> BigInt,
        /// When that one was made.
        rotate_time -> Timestamp,
        idle_expire_time -> Timestamp,
        expire_time -> Timestamp,
        last_use_time -> Timestamp,
        create_time -> Timestamp,
        client_address -> Text,
        user_agent -> Text,
    }
}

diesel::table! {
    revocation (id) {
        id -> Binary,
        /// As the chassis writes a `Target`.
        target -> Text,
        expire_time -> Timestamp,
        create_time -> Timestamp,
        /// Whether Redis has been told.
        published -> Bool,
    }
}

diesel::table! {
    signing_key (id) {
        id -> Text,
        public_key -> Binary,
        sealed_seed -> Binary,
        create_time -> Timestamp,
        /// Signs from then on, unless a later key does.
        sign_time -> Timestamp,
        /// Its tokens are accepted until then.
        retire_time -> Nullable<Timestamp>,
    }
}

diesel::table! {
    /// Which process does what only one may do at a time.
    lease (name) {
        name -> Text,
        holder -> Binary,
        expire_time -> Timestamp,
    }
}

diesel::joinable!(account_role -> account (account_id));
diesel::joinable!(session -> account (account_id));
diesel::allow_tables_to_appear_in_same_query!(account, account_role, session);
