//! A PostgreSQL of the benchmark's own, as it comes: durable, with its default settings.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use crate::process::{Foreign, Meter, User, free_port};

pub struct Postgres {
    process: Foreign,
    port: u16,
    folder: tempfile::TempDir,
}

/// A program of PostgreSQL's; Debian keeps them out of the path.
pub fn program(name: &str) -> String {
    if let Some(folder) = super::setting("QUARTET_BENCH_POSTGRES_BIN") {
        return format!("{folder}/{name}");
    }
    super::first_of((12..30).rev().map(|version| format!("/usr/lib/postgresql/{version}/bin/{name}")), name)
}

impl Postgres {
    pub fn start() -> anyhow::Result<Postgres> {
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        // PostgreSQL refuses to run as root.
        let user =
            rustix::process::geteuid().is_root().then(|| user().context("no user for PostgreSQL")).transpose()?;
        if let Some(user) = user {
            std::os::unix::fs::chown(folder.path(), Some(user.id), Some(user.group))?;
        }
        let data = folder.path().join("data").display().to_string();
        init(user, &data)?;
        let (port_text, sockets) = (port.to_string(), folder.path().display().to_string());
        let arguments =
            ["-D", &data, "-p", &port_text, "-k", &sockets, "-c", "listen_addresses=127.0.0.1", "-N", "300"];
        let mut process = Foreign::start(user, &program("postgres"), &arguments)?;
        process.await_port(port)?;
        let postgres = Postgres { process, port, folder };
        postgres.await_answer()?;
        Ok(postgres)
    }

    /// Makes an empty database and gives its address.
    pub fn create_database(&self, name: &str) -> anyhow::Result<String> {
        self.run("postgres", &format!("create database {name}"))?;
        Ok(self.url(name))
    }

    /// The address of a database.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }

    /// Runs statements with psql.
    pub fn run(&self, database: &str, sql: &str) -> anyhow::Result<()> {
        let mut command = self.client("psql");
        command.args(["--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql]);
        let output = command.stdin(Stdio::null()).output()?;
        ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// A client program, told where the server is.
    pub fn client(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        command.args(["-h", "127.0.0.1", "-U", "postgres", "-p"]).arg(self.port.to_string());
        command
    }

    pub fn meter(&self) -> Meter {
        self.process.meter()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// It listens before it answers.
    fn await_answer(&self) -> anyhow::Result<()> {
        let mut last = Ok(());
        for _ in 0..200 {
            last = self.run("postgres", "select 1");
            if last.is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        last
    }
}

fn init(user: Option<User>, data: &str) -> anyhow::Result<()> {
    let mut command = Command::new("setpriv");
    command.args(user.iter().flat_map(User::flags));
    command.arg("--").arg(program("initdb"));
    command.args(["-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]);
    let output = command.stdin(Stdio::null()).current_dir("/").output().context("can't run initdb")?;
    ensure!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A user that is not root: PostgreSQL's own, or nobody.
fn user() -> Option<User> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(str::parse);
        Some(User { id: numbers.next()?.ok()?, group: numbers.next()?.ok()? })
    };
    find("postgres").or_else(|| find("nobody"))
}
