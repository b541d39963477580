//! The tables as both databases have them.

diesel::table! {
    movie (movie_id) {
        movie_id -> Binary,
        name -> Text,
        name_key -> Text,
        original_name -> Text,
        release_date -> Text,
        score -> Double,
        overview -> Text,
        status -> Integer,
        budget_cents -> BigInt,
        revenue_cents -> BigInt,
        country_code -> Nullable<Text>,
        country_name -> Nullable<Text>,
        genres -> Text,
        actors -> Text,
        languages -> Text,
        create_time -> Timestamp,
        update_time -> Timestamp,
        /// The number of its last change.
        change_number -> BigInt,
    }
}

diesel::table! {
    genre (genre_id) {
        genre_id -> Binary,
        name -> Text,
        name_key -> Text,
        /// While it is being renamed: the name that some movies' rows still have.
        old_name -> Nullable<Text>,
    }
}

diesel::table! {
    actor (actor_id) {
        actor_id -> Binary,
        name -> Text,
        name_key -> Text,
        /// While it is being renamed: the name that some movies' rows still have.
        old_name -> Nullable<Text>,
    }
}

diesel::table! {
    language (language_id) {
        language_id -> Binary,
        name -> Text,
        name_key -> Text,
        /// While it is being renamed: the name that some movies' rows still have.
        old_name -> Nullable<Text>,
    }
}

diesel::table! {
    country (country_code) {
        country_code -> Text,
        name -> Text,
        name_key -> Text,
        old_name -> Nullable<Text>,
    }
}

diesel::table! {
    movie_state (state_id) {
        state_id -> Integer,
        /// The number of the last change.
        version -> BigInt,
        /// The number of the newest deletion that is forgotten.
        forgotten -> BigInt,
        /// With which version of its rules the search index is complete.
        search_version -> Integer,
    }
}

diesel::table! {
    /// Movies that were deleted.
    movie_gone (movie_id) {
        movie_id -> Binary,
        change_number -> BigInt,
        delete_time -> Timestamp,
    }
}

diesel::table! {
    /// What is known of accounts, from identity's feed.
    account (id) {
        id -> Binary,
        email -> Text,
        first_name -> Text,
        last_name -> Text,
        avatar_url -> Text,
        avatar_media_id -> Text,
        /// `PENDING`, `ACTIVE`, `DEACTIVATED`, `SUSPENDED`.
        state -> Text,
    }
}

diesel::table! {
    /// How far a feed was taken over.
    account_cursor (name) {
        name -> Text,
        number -> BigInt,
    }
}

diesel::table! {
    /// What was removed for accounts that were deleted, until identity has been told.
    erasure (id) {
        id -> Binary,
        /// A JSON object of kinds and counts.
        removed -> Text,
        create_time -> Timestamp,
    }
}

diesel::allow_tables_to_appear_in_same_query!(movie, country, movie_state);
