//! An empty database for a test of the storage alone.

use super::installation::Mode;
use super::postgres::Postgres;

/// A fresh database of this run's engine, gone when it is dropped.
pub struct DatabaseHome {
    url: String,
    _folder: Option<tempfile::TempDir>,
}

impl DatabaseHome {
    pub async fn new() -> DatabaseHome {
        match Mode::of_this_run() {
            Mode::Embedded => {
                let folder = tempfile::tempdir().unwrap();
                let url = format!("sqlite:{}", folder.path().join("test.db").display());
                DatabaseHome { url, _folder: Some(folder) }
            }
            Mode::Fleet => {
                let name = format!("test_{}_{}", std::process::id(), super::unique());
                // It goes with the run's server.
                DatabaseHome { url: Postgres::of_this_run().create_database(&name).await, _folder: None }
            }
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres:")
    }
}
