//! Settings.

use std::path::PathBuf;

use clap::ValueEnum;
use secrecy::SecretString;

/// Media's settings.
#[derive(clap::Args, Debug, Clone)]
#[group(skip)]
pub struct Config {
    /// Media's database: `sqlite:PATH` or `postgres://…`. Embedded it lies in the data directory.
    #[arg(
        id = "media_database_url",
        long = "media-database-url",
        env = "QUARTET_MEDIA_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub database_url: Option<SecretString>,

    /// Where the bytes of files lie
    #[arg(id = "media_store", long = "media-store", env = "QUARTET_MEDIA_STORE", value_enum, default_value_t = StoreKind::Directory)]
    pub store: StoreKind,

    /// With the store `directory`: the folder, for one process alone. Embedded it is `media` in the data directory
    #[arg(id = "media_directory", long = "media-directory", env = "QUARTET_MEDIA_DIRECTORY", value_name = "DIR")]
    pub directory: Option<PathBuf>,

    /// With the store `s3`: the bucket, which must be there
    #[arg(id = "media_s3_bucket", long = "media-s3-bucket", env = "QUARTET_MEDIA_S3_BUCKET", value_name = "NAME")]
    pub s3_bucket: Option<String>,

    /// With the store `s3`: where it answers, such as `https://s3.example.com`. Without it, Amazon's of the region
    #[arg(id = "media_s3_endpoint", long = "media-s3-endpoint", env = "QUARTET_MEDIA_S3_ENDPOINT", value_name = "URL")]
    pub s3_endpoint: Option<String>,

    /// With the store `s3`: the region
    #[arg(
        id = "media_s3_region",
        long = "media-s3-region",
        env = "QUARTET_MEDIA_S3_REGION",
        value_name = "NAME",
        default_value = "us-east-1"
    )]
    pub s3_region: String,

    /// With the store `s3`: the access key's id
    #[arg(
        id = "media_s3_access_key_id",
        long = "media-s3-access-key-id",
        env = "QUARTET_MEDIA_S3_ACCESS_KEY_ID",
        value_name = "ID",
        hide_env_values = true
    )]
    pub s3_access_key_id: Option<SecretString>,

    /// With the store `s3`: the access key
    #[arg(
        id = "media_s3_secret_access_key",
        long = "media-s3-secret-access-key",
        env = "QUARTET_MEDIA_S3_SECRET_ACCESS_KEY",
        value_name = "KEY",
        hide_env_values = true
    )]
    pub s3_secret_access_key: Option<SecretString>,

    /// How many bytes an account's projects may have together; 0 for any number
    #[arg(
        id = "media_account_quota_bytes",
        long = "media-account-quota-bytes",
        env = "QUARTET_MEDIA_ACCOUNT_QUOTA_BYTES",
        value_name = "BYTES",
        default_value_t = 50 << 30,
        value_parser = clap::value_parser!(i64).range(0..)
    )]
    pub account_quota_bytes: i64,

    /// How many bytes a project may have; 0 for any number
    #[arg(
        id = "media_project_quota_bytes",
        long = "media-project-quota-bytes",
        env = "QUARTET_MEDIA_PROJECT_QUOTA_BYTES",
        value_name = "BYTES",
        default_value_t = 0,
        value_parser = clap::value_parser!(i64).range(0..)
    )]
    pub project_quota_bytes: i64,

    /// How long a file may be, at most 156 GiB: an object of S3 has 10,000 parts, and a part travels in one message of at most 16 MiB
    #[arg(
        id = "media_max_file_bytes",
        long = "media-max-file-bytes",
        env = "QUARTET_MEDIA_MAX_FILE_BYTES",
        value_name = "BYTES",
        default_value_t = 100 << 30,
        value_parser = clap::value_parser!(i64).range(1..=167_772_160_000)
    )]
    pub max_file_bytes: i64,

    /// How long a deleted project can be taken back
    #[arg(
        id = "media_undelete_hours",
        long = "media-undelete-hours",
        env = "QUARTET_MEDIA_UNDELETE_HOURS",
        value_name = "HOURS",
        default_value_t = 168,
        value_parser = clap::value_parser!(u32).range(0..=8760)
    )]
    pub undelete_hours: u32,

    /// After how long an upload to which nothing comes is given up
    #[arg(
        id = "media_upload_hours",
        long = "media-upload-hours",
        env = "QUARTET_MEDIA_UPLOAD_HOURS",
        value_name = "HOURS",
        default_value_t = 24,
        value_parser = clap::value_parser!(u32).range(1..=720)
    )]
    pub upload_hours: u32,

    /// Within how many days each stored object is read again and compared with its SHA-256; 0 for never
    #[arg(
        id = "media_check_days",
        long = "media-check-days",
        env = "QUARTET_MEDIA_CHECK_DAYS",
        value_name = "DAYS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u32).range(0..=3650)
    )]
    pub check_days: u32,

    /// Where browsers reach the gateway, such as `https://api.example.com`: links are answered whole, and not only by their path
    #[arg(id = "media_public_url", long = "media-public-url", env = "QUARTET_MEDIA_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,

    /// After how long a download of which nothing is taken is ended
    #[arg(
        id = "media_stall_seconds",
        long = "media-stall-seconds",
        env = "QUARTET_MEDIA_STALL_SECONDS",
        value_name = "SECONDS",
        default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(1..=3600)
    )]
    pub stall_seconds: u32,
}

/// Where the bytes of files lie.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// In a folder of this machine
    Directory,
    /// In a bucket of anything that speaks S3
    S3,
}
