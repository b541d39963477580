//! The tables as both databases have them.

diesel::table! {
    conversation (id) {
        id -> Binary,
        kind -> Text,
        /// Of a direct one: the two accounts, the lesser first, as hexadecimal digits.
        direct_key -> Nullable<Text>,
        name -> Text,
        participant_count -> Integer,
        last_seq -> BigInt,
        last_change -> BigInt,
        /// From which on changes are kept.
        first_change -> BigInt,
        version -> BigInt,
        create_time -> Timestamp,
        activity_time -> Timestamp,
    }
}

diesel::table! {
    member (conversation_id, account_id) {
        conversation_id -> Binary,
        account_id -> Binary,
        role -> Text,
        /// They see what has a higher number.
        joined_seq -> BigInt,
        joined_change -> BigInt,
        cleared_seq -> BigInt,
        delivered_seq -> BigInt,
        read_seq -> BigInt,
        favorite -> Bool,
        /// The place among the pinned ones.
        pin_number -> Nullable<BigInt>,
        muted_until -> Nullable<Timestamp>,
        /// Whether they have written something there.
        has_written -> Bool,
        /// Whether they have begun it.
        began -> Bool,
        /// Of a direct one: whether they have blocked the other, …
        blocks -> Bool,
        /// … or the other them.
        blocked -> Bool,
        create_time -> Timestamp,
    }
}

diesel::table! {
    message (conversation_id, seq) {
        conversation_id -> Binary,
        seq -> BigInt,
        id -> Binary,
        /// Nobody's when the account is gone.
        sender_id -> Nullable<Binary>,
        client_message_id -> Text,
        /// What was asked for with that id, so that something else under it is noticed.
        request_hash -> Binary,
        body -> Text,
        /// A JSON object with attachments and mentions; empty where there are none.
        extras -> Text,
        /// A JSON array with how many have reacted how, and the first ten of each; empty where nobody has.
        reactions -> Text,
        reply_to_seq -> BigInt,
        is_deleted -> Bool,
        /// Whether the search knows this state of it.
        is_indexed -> Bool,
        version -> BigInt,
        send_time -> Timestamp,
        edit_time -> Nullable<Timestamp>,
    }
}

diesel::table! {
    mention (conversation_id, account_id, seq) {
        conversation_id -> Binary,
        account_id -> Binary,
        seq -> BigInt,
    }
}

diesel::table! {
    reaction (conversation_id, seq, emoji, account_id) {
        conversation_id -> Binary,
        seq -> BigInt,
        emoji -> Text,
        account_id -> Binary,
        create_time -> Timestamp,
    }
}

diesel::table! {
    edit (conversation_id, seq, version) {
        conversation_id -> Binary,
        seq -> BigInt,
        version -> BigInt,
        body -> Text,
        replace_time -> Timestamp,
    }
}

diesel::table! {
    change (conversation_id, number) {
        conversation_id -> Binary,
        number -> BigInt,
        kind -> Text,
        /// The message that it is about; 0 for none.
        seq -> BigInt,
        /// Who did it.
        account_id -> Nullable<Binary>,
        /// The accounts that it is about, or a name; empty where a message says all.
        subject -> Text,
        create_time -> Timestamp,
    }
}

diesel::table! {
    /// The accounts that a change is about, so that their erasure finds it.
    change_subject (conversation_id, number, account_id) {
        conversation_id -> Binary,
        number -> BigInt,
        account_id -> Binary,
    }
}

diesel::table! {
    /// From whom an account accepts nothing.
    block (account_id, blocked_id) {
        account_id -> Binary,
        blocked_id -> Binary,
        create_time -> Timestamp,
    }
}

diesel::table! {
    /// Who has left a group by themselves.
    departure (conversation_id, account_id) {
        conversation_id -> Binary,
        account_id -> Binary,
        leave_time -> Timestamp,
    }
}

diesel::table! {
    /// Whom an account has named by which address.
    addressed (account_id, person_id) {
        account_id -> Binary,
        person_id -> Binary,
        email_key -> Text,
    }
}

diesel::table! {
    /// How many conversations an account takes part in that it has begun.
    usage (account_id) {
        account_id -> Binary,
        conversation_count -> Integer,
    }
}

diesel::table! {
    device (id) {
        id -> Binary,
        account_id -> Binary,
        session_id -> Binary,
        name -> Text,
        kind -> Text,
        /// Where pushes go, as JSON, sealed.
        target -> Binary,
        /// Names the target, so that it is registered once.
        target_tag -> Binary,
        create_time -> Timestamp,
        push_time -> Nullable<Timestamp>,
    }
}

diesel::joinable!(member -> conversation (conversation_id));
diesel::joinable!(message -> conversation (conversation_id));

diesel::allow_tables_to_appear_in_same_query!(
    conversation,
    member,
    message,
    mention,
    reaction,
    edit,
    change,
    change_subject,
    usage,
    block,
    departure,
    addressed,
    device
);
