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
        sign_in_time -> Nullable<Timestamp>,
        create_time -> Timestamp,
        /// What logs and the audit log call it: nothing leads back once the row is gone.
        pseudonym -> Binary,
        /// Of its newest change in the feed; none before it is first used.
        change_number -> Nullable<BigInt>,
    }
}

diesel::table! {
    /// The number that a feed has come to.
    feed (name) {
        name -> Text,
        number -> BigInt,
    }
}

diesel::table! {
    profile (account_id) {
        account_id -> Binary,
        first_name -> Text,
        last_name -> Text,
        /// Empty where it was not said.
        gender -> Text,
        /// ISO, or empty.
        date_of_birth -> Text,
        info -> Text,
        avatar_url -> Text,
        avatar_media_id -> Text,
        /// The folded name, by which the directory is ordered and searched; without a name the last of all characters.
        sort_key -> Text,
        /// Whether the directory shows it: the account is active.
        listed -> Bool,
        update_time -> Timestamp,
    }
}

diesel::table! {
    /// What an account has signed in from.
    device (id) {
        id -> Binary,
        account_id -> Binary,
        user_agent -> Text,
        create_time -> Timestamp,
        last_use_time -> Timestamp,
    }
}

diesel::table! {
    /// A second factor or a passkey; nothing fills it yet.
    factor (id) {
        id -> Binary,
        account_id -> Binary,
    }
}

diesel::table! {
    /// Who did what to whom. Accounts are in it by their pseudonyms alone.
    audit_event (id) {
        id -> Binary,
        create_time -> Timestamp,
        action -> Text,
        actor -> Text,
        actor_pseudonym -> Nullable<Binary>,
        subject_pseudonym -> Nullable<Binary>,
        client_address -> Text,
        user_agent -> Text,
        request_id -> Text,
        /// A JSON object.
        details -> Text,
    }
}

diesel::table! {
    erasure (id) {
        id -> Binary,
        /// None once it is complete.
        account_id -> Nullable<Binary>,
        secret_hash -> Binary,
        create_time -> Timestamp,
        complete_time -> Nullable<Timestamp>,
    }
}

diesel::table! {
    erasure_context (erasure_id, context) {
        erasure_id -> Binary,
        context -> Text,
        /// A JSON object of kinds and counts; empty until it is done.
        removed -> Text,
        done_time -> Nullable<Timestamp>,
    }
}

diesel::table! {
    /// Programs of the operator's.
    client (id) {
        id -> Binary,
        name -> Text,
        key_hash -> Binary,
        /// Separated by blanks.
        scopes -> Text,
        create_time -> Timestamp,
        last_use_time -> Nullable<Timestamp>,
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
        /// A used one stays for a while, so that its holder can be told.
        used_time -> Nullable<Timestamp>,
        /// Of an email change: the address to be, and the session that asked for it.
        new_email -> Nullable<Text>,
        new_email_key -> Nullable<Text>,
        session_id -> Nullable<Binary>,
    }
}

diesel::table! {
    /// Mails of a purpose within the hour that began at `begin_time`.
    mail_budget (account_id, purpose) {
        account_id -> Binary,
        purpose -> Text,
        count -> Integer,
        begin_time -> Timestamp,
    }
}

diesel::table! {
    /// The addresses that an account had before.
    former_address (account_id, email) {
        account_id -> Binary,
        email -> Text,
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
        device_id -> Nullable<Binary>,
        /// As its owner calls it, or empty.
        device_name -> Text,
        /// How it was begun, RFC 8176, separated by blanks.
        amr -> Text,
        /// Who acts in it if not the owner: `client NAME` or `administrator`.
        actor -> Text,
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
diesel::joinable!(profile -> account (account_id));
diesel::joinable!(erasure_context -> erasure (erasure_id));
diesel::joinable!(session -> account (account_id));
diesel::allow_tables_to_appear_in_same_query!(account, account_role, session, profile, erasure, erasure_context);
