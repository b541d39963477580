//! Settings.

/// The catalogue's settings.
#[derive(clap::Args, Debug, Clone, Default)]
#[group(skip)]
pub struct Config {
    /// The catalogue's database: `sqlite:PATH` or `postgres://…`. Embedded it lies in the data directory.
    #[arg(
        id = "catalogue_database_url",
        long = "catalogue-database-url",
        env = "QUARTET_CATALOGUE_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub database_url: Option<secrecy::SecretString>,
}
