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
    course (id) {
        id -> Binary,
        owner_id -> Binary,
        title -> Text,
        title_key -> Text,
        description -> Text,
        /// `DRAFT`, `PUBLISHED`, `ARCHIVED`; `DELETED` until all that is in it is gone.
        state -> Text,
        /// `OPEN`, `INVITATION`, `CODE`.
        enrolment_policy -> Text,
        enrolment_code -> Text,
        version -> BigInt,
        create_time -> Timestamp,
        update_time -> Timestamp,
    }
}

diesel::table! {
    /// What was asked for with a key, for a day.
    course_request (account_id, idempotency_key) {
        account_id -> Binary,
        idempotency_key -> Text,
        body_hash -> Binary,
        course_id -> Binary,
        create_time -> Timestamp,
    }
}

diesel::table! {
    course_teacher (course_id, account_id) {
        course_id -> Binary,
        account_id -> Binary,
        create_time -> Timestamp,
    }
}

diesel::table! {
    section (id) {
        id -> Binary,
        course_id -> Binary,
        position -> Integer,
        title -> Text,
        description -> Text,
        /// `DRAFT`, `PUBLISHED`, `ARCHIVED`.
        state -> Text,
        version -> BigInt,
        create_time -> Timestamp,
        update_time -> Timestamp,
    }
}

diesel::table! {
    content_block (id) {
        id -> Binary,
        course_id -> Binary,
        section_id -> Binary,
        position -> Integer,
        /// `LESSON`, `QUIZ`, `ASSIGNMENT`, `VIDEO`, `FILE`, `LINK`.
        #[sql_name = "type"]
        kind -> Text,
        title -> Text,
        description -> Text,
        content -> Text,
        url -> Text,
        media_id -> Text,
        /// A JSON object with the answers; empty where there is no quiz.
        quiz -> Text,
        state -> Text,
        version -> BigInt,
        create_time -> Timestamp,
        update_time -> Timestamp,
    }
}

diesel::table! {
    enrolment (course_id, student_id) {
        course_id -> Binary,
        student_id -> Binary,
        /// Whether the student takes it now; who has left keeps their work.
        active -> Bool,
        /// Their name as the class list orders it.
        name_key -> Text,
        create_time -> Timestamp,
        override_completed -> Nullable<Bool>,
        override_reason -> Text,
        override_teacher_id -> Nullable<Binary>,
        override_time -> Nullable<Timestamp>,
    }
}

diesel::table! {
    /// Of an account or of an address, never of both.
    invitation (id) {
        id -> Binary,
        course_id -> Binary,
        account_id -> Nullable<Binary>,
        email_key -> Nullable<Text>,
        email -> Text,
        create_time -> Timestamp,
        /// Of one of an address: the account that had it and has another one now.
        follows_id -> Nullable<Binary>,
    }
}

diesel::table! {
    submission (block_id, student_id) {
        block_id -> Binary,
        student_id -> Binary,
        course_id -> Binary,
        url -> Text,
        remarks -> Text,
        completed -> Bool,
        complete_time -> Nullable<Timestamp>,
    }
}

diesel::table! {
    quiz_attempt (id) {
        id -> Binary,
        block_id -> Binary,
        student_id -> Binary,
        course_id -> Binary,
        number -> Integer,
        idempotency_key -> Nullable<Text>,
        answers -> Text,
        correct -> Text,
        points -> Integer,
        max_points -> Integer,
        passed -> Bool,
        create_time -> Timestamp,
    }
}

diesel::table! {
    assessment (id) {
        id -> Binary,
        block_id -> Binary,
        student_id -> Binary,
        course_id -> Binary,
        /// Of a student in a block: 1, 2, …
        number -> Integer,
        /// None when the teacher's account is gone.
        teacher_id -> Nullable<Binary>,
        grade -> Nullable<Integer>,
        feedback -> Text,
        create_time -> Timestamp,
    }
}

diesel::allow_tables_to_appear_in_same_query!(movie, country, movie_state);
diesel::allow_tables_to_appear_in_same_query!(
    course,
    course_teacher,
    section,
    content_block,
    enrolment,
    invitation,
    submission,
    quiz_attempt,
    assessment
);
diesel::allow_columns_to_appear_in_same_group_by_clause!(section::course_id, section::state);
diesel::allow_columns_to_appear_in_same_group_by_clause!(
    content_block::course_id,
    content_block::state,
    section::state
);
