//! PostgreSQL, as `tests/run` has made it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

/// A PostgreSQL server: one that `tests/run` started for the whole run, or one of a test's own.
#[derive(Debug, Clone)]
pub struct Postgres {
    /// `postgres://user@127.0.0.1:5432`, without a database.
    pub url: String,
}

impl Postgres {
    /// The run's own.
    pub fn of_this_run() -> Postgres {
        let url =
            std::env::var("QUARTET_TEST_POSTGRES").expect("QUARTET_TEST_POSTGRES is not set: use `tests/run fleet`");
        Postgres { url }
    }

    /// Whether all tests of the run share it.
    pub fn is_shared(&self) -> bool {
        std::env::var("QUARTET_TEST_POSTGRES").is_ok_and(|url| url == self.url)
    }

    /// Makes a database and answers its address.
    pub async fn create_database(&self, name: &str) -> String {
        self.run("postgres", &format!("create database {name}")).await;
        self.database(name)
    }

    pub fn database(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }

    /// Runs a statement with psql and answers what it prints: lines of columns with `|` between them.
    pub async fn run(&self, database: &str, sql: &str) -> String {
        self.try_run(database, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    async fn try_run(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut command = Command::new(program("psql"));
        command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        command.arg(self.database(database)).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().expect("no psql");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }

    /// Runs a statement in a transaction that stays open, with all that it has locked, until the answer is dropped.
    pub async fn hold(&self, database: &str, sql: &str) -> Held {
        let mut command = Command::new(program("psql"));
        command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1"]);
        command.arg(self.database(database)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let statements = format!("begin;\n{sql};\nselect 'held';\n");
        let hold = move || {
            let mut psql = command.spawn().expect("no psql");
            psql.stdin.as_mut().unwrap().write_all(statements.as_bytes()).unwrap();
            let mut lines = BufReader::new(psql.stdout.take().unwrap()).lines();
            assert!(lines.any(|line| line.unwrap() == "held"), "psql ended");
            Held { psql }
        };
        tokio::task::spawn_blocking(hold).await.unwrap()
    }

    /// Every row of a database as text.
    pub async fn dump(&self, database: &str) -> String {
        let mut command = Command::new(program("pg_dump"));
        command.args(["--data-only", "--inserts"]).arg(self.database(database)).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().expect("no pg_dump");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// A transaction that is open.
pub struct Held {
    psql: Child,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.psql.kill().ok();
        self.psql.wait().ok();
    }
}

/// A program of the PostgreSQL that `tests/run` found.
fn program(name: &str) -> String {
    match std::env::var("QUARTET_TEST_POSTGRES_BIN") {
        Ok(folder) => format!("{folder}/{name}"),
        Err(_) => name.to_owned(),
    }
}

/// A server of a test's own, which it stops and starts again. It ends with the test.
pub struct OwnPostgres {
    pub server: Postgres,
    folder: tempfile::TempDir,
    keeper: std::process::Child,
}

impl OwnPostgres {
    pub async fn start() -> OwnPostgres {
        let folder = tempfile::tempdir().unwrap();
        let port = super::process::free_port();
        // The script runs a server until its standard input ends.
        let keeper = Command::new(super::repository("tests/postgres"))
            .arg("keep")
            .arg(folder.path())
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("tests/postgres does not run");
        let server = Postgres { url: format!("postgres://postgres@127.0.0.1:{port}") };
        super::eventually("PostgreSQL answers", async || server.try_run("postgres", "select 1").await.ok()).await;
        OwnPostgres { server, folder, keeper }
    }

    /// Stops, starts or freezes the server: `stop`, `start`, `freeze`, `thaw`.
    pub async fn act(&self, action: &str) {
        let mut command = Command::new(super::repository("tests/postgres"));
        command.arg(action).arg(self.folder.path()).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{action}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
