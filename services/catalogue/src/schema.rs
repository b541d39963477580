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
    }
}

diesel::table! {
    genre (genre_id) {
        genre_id -> Binary,
        name -> Text,
        name_key -> Text,
    }
}

diesel::table! {
    actor (actor_id) {
        actor_id -> Binary,
        name -> Text,
        name_key -> Text,
    }
}

diesel::table! {
    language (language_id) {
        language_id -> Binary,
        name -> Text,
        name_key -> Text,
    }
}

diesel::table! {
    country (country_code) {
        country_code -> Text,
        name -> Text,
        name_key -> Text,
    }
}

diesel::table! {
    movie_state (state_id) {
        state_id -> Integer,
        version -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(movie, country, movie_state);
