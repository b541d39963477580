//! Settings.

use secrecy::SecretString;

use crate::push::PushConfig;

/// Messaging's settings.
#[derive(clap::Args, Debug, Clone)]
#[group(skip)]
pub struct Config {
    /// Messaging's database: `sqlite:PATH` or `postgres://…`. Embedded it lies in the data directory.
    #[arg(
        id = "messaging_database_url",
        long = "messaging-database-url",
        env = "QUARTET_MESSAGING_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub database_url: Option<SecretString>,

    /// How many people a group may have
    #[arg(
        id = "messaging_participants",
        long = "messaging-participants",
        env = "QUARTET_MESSAGING_PARTICIPANTS",
        value_name = "COUNT",
        default_value_t = 2000,
        value_parser = clap::value_parser!(i32).range(2..=20_000)
    )]
    pub participants: i32,

    /// How many messages an account may send in a minute; 0 for any number
    #[arg(
        id = "messaging_sends_per_minute",
        long = "messaging-sends-per-minute",
        env = "QUARTET_MESSAGING_SENDS_PER_MINUTE",
        value_name = "COUNT",
        default_value_t = 120
    )]
    pub sends_per_minute: u32,

    /// How many conversations an account may start, or add people to, in a minute; 0 for any number
    #[arg(
        id = "messaging_starts_per_minute",
        long = "messaging-starts-per-minute",
        env = "QUARTET_MESSAGING_STARTS_PER_MINUTE",
        value_name = "COUNT",
        default_value_t = 30
    )]
    pub starts_per_minute: u32,

    /// How many people an account may name in a minute to start conversations with them or to add them, beside a thousand at once; 0 for any
    /// number
    #[arg(
        id = "messaging_named_per_minute",
        long = "messaging-named-per-minute",
        env = "QUARTET_MESSAGING_NAMED_PER_MINUTE",
        value_name = "COUNT",
        default_value_t = 200
    )]
    pub named_per_minute: u32,

    /// How many addresses an account may name in an hour that are nobody's: beyond that it is told of none; 0 for any number
    #[arg(
        id = "messaging_misses_per_hour",
        long = "messaging-misses-per-hour",
        env = "QUARTET_MESSAGING_MISSES_PER_HOUR",
        value_name = "COUNT",
        default_value_t = 20
    )]
    pub misses_per_hour: u32,

    /// How many groups somebody may be brought into in an hour by people to whom they have never written, and how many direct conversations, a
    /// quarter of them by the same one; 0 for any number
    #[arg(
        id = "messaging_strangers_per_hour",
        long = "messaging-strangers-per-hour",
        env = "QUARTET_MESSAGING_STRANGERS_PER_HOUR",
        value_name = "COUNT",
        default_value_t = 20
    )]
    pub strangers_per_hour: u32,

    /// How many reactions, edits, deletions, renamings, changes of roles and removals of people an account may make in a minute, and groups leave,
    /// and accounts block or unblock, all together; 0 for any number
    #[arg(
        id = "messaging_acts_per_minute",
        long = "messaging-acts-per-minute",
        env = "QUARTET_MESSAGING_ACTS_PER_MINUTE",
        value_name = "COUNT",
        default_value_t = 120
    )]
    pub acts_per_minute: u32,

    /// How many searches an account may make in a minute; 0 for any number
    #[arg(
        id = "messaging_searches_per_minute",
        long = "messaging-searches-per-minute",
        env = "QUARTET_MESSAGING_SEARCHES_PER_MINUTE",
        value_name = "COUNT",
        default_value_t = 60
    )]
    pub searches_per_minute: u32,

    /// How many streams of an account an instance has at once
    #[arg(
        id = "messaging_streams_per_account",
        long = "messaging-streams-per-account",
        env = "QUARTET_MESSAGING_STREAMS_PER_ACCOUNT",
        value_name = "COUNT",
        default_value_t = 20,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..)
    )]
    pub streams_per_account: usize,

    /// How many streams an account may begin in a minute, a third of them at once; 0 for any number
    #[arg(
        id = "messaging_begins_per_minute",
        long = "messaging-begins-per-minute",
        env = "QUARTET_MESSAGING_BEGINS_PER_MINUTE",
        value_name = "COUNT",
        default_value_t = 60
    )]
    pub begins_per_minute: u32,

    /// How many frames of Connect an account may send in a second to an instance, which takes no more than that and lets the rest wait; 0
    /// for any number
    #[arg(
        id = "messaging_frames_per_second",
        long = "messaging-frames-per-second",
        env = "QUARTET_MESSAGING_FRAMES_PER_SECOND",
        value_name = "COUNT",
        default_value_t = 50
    )]
    pub frames_per_second: u32,

    /// For how long a message can be edited by who wrote it; 0 for ever
    #[arg(
        id = "messaging_edit_hours",
        long = "messaging-edit-hours",
        env = "QUARTET_MESSAGING_EDIT_HOURS",
        value_name = "HOURS",
        default_value_t = 48
    )]
    pub edit_hours: u32,

    /// After how many days a message is removed, and what has happened is no longer told, within an hour; 0 for never
    #[arg(
        id = "messaging_retention_days",
        long = "messaging-retention-days",
        env = "QUARTET_MESSAGING_RETENTION_DAYS",
        value_name = "DAYS",
        default_value_t = 0
    )]
    pub retention_days: u32,

    #[command(flatten)]
    pub push: PushConfig,
}
