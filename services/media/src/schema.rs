//! The tables as both databases have them.

diesel::table! {
    project (id) {
        id -> Binary,
        owner_id -> Binary,
        name -> Text,
        media_count -> Integer,
        /// What its files have, with what uploads under way have stored.
        size_bytes -> BigInt,
        /// The number of the last event in it.
        last_event -> BigInt,
        version -> BigInt,
        create_time -> Timestamp,
        update_time -> Timestamp,
        delete_time -> Nullable<Timestamp>,
        purge_time -> Nullable<Timestamp>,
    }
}

diesel::table! {
    member (project_id, account_id) {
        project_id -> Binary,
        account_id -> Binary,
        role -> Text,
        /// Whether the owner has offered them the project.
        offered -> Bool,
        create_time -> Timestamp,
    }
}

diesel::table! {
    usage (account_id) {
        account_id -> Binary,
        projects -> Integer,
        size_bytes -> BigInt,
        open_uploads -> Integer,
    }
}

diesel::table! {
    blob (id) {
        id -> Binary,
        /// Nobody's when the project was handed over: then it is not looked for again.
        owner_id -> Nullable<Binary>,
        sha256 -> Binary,
        size_bytes -> BigInt,
        object_key -> Text,
        create_time -> Timestamp,
        /// When it was last known to be whole, or somebody began to look.
        check_time -> Timestamp,
        /// Since when it is known to be damaged.
        damage_time -> Nullable<Timestamp>,
    }
}

diesel::table! {
    media (id) {
        id -> Binary,
        project_id -> Binary,
        blob_id -> Binary,
        name -> Text,
        kind -> Text,
        content_type -> Text,
        /// The type under which a browser may show it; empty: none.
        inline_type -> Text,
        uploader_id -> Nullable<Binary>,
        version -> BigInt,
        create_time -> Timestamp,
        update_time -> Timestamp,
    }
}

diesel::table! {
    upload (id) {
        id -> Binary,
        project_id -> Binary,
        account_id -> Binary,
        name -> Text,
        kind -> Text,
        content_type -> Text,
        size_bytes -> Nullable<BigInt>,
        sha256 -> Nullable<Binary>,
        offset_bytes -> BigInt,
        part_size_bytes -> Integer,
        state -> Text,
        failure -> Text,
        object_key -> Text,
        /// The store's own name for the upload, where it has one.
        store_id -> Text,
        /// The running digest.
        digest -> Binary,
        /// Who writes, and until when.
        lease_id -> Nullable<Binary>,
        lease_time -> Nullable<Timestamp>,
        media_id -> Nullable<Binary>,
        create_time -> Timestamp,
        expire_time -> Timestamp,
        end_time -> Nullable<Timestamp>,
    }
}

diesel::table! {
    upload_part (upload_id, number) {
        upload_id -> Binary,
        number -> Integer,
        size_bytes -> Integer,
        /// The running digest behind the part.
        digest -> Binary,
        /// The store's own name for the part.
        content_id -> Text,
    }
}

diesel::table! {
    garbage (id) {
        id -> Binary,
        object_key -> Text,
        store_id -> Text,
        /// Whose bytes they were. The erasure of their account waits for it.
        account_id -> Nullable<Binary>,
        due_time -> Timestamp,
        attempts -> Integer,
        create_time -> Timestamp,
    }
}

diesel::table! {
    event (project_id, number) {
        project_id -> Binary,
        number -> BigInt,
        kind -> Text,
        upload_id -> Nullable<Binary>,
        media_id -> Nullable<Binary>,
        create_time -> Timestamp,
    }
}

diesel::allow_tables_to_appear_in_same_query!(project, member, usage, blob, media, upload, upload_part, garbage, event);
