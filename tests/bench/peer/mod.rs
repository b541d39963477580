//! The programs that Quartet stands beside or on.

pub mod broadcast;
pub mod nginx;
pub mod nginx_files;
pub mod postgres;
pub mod redis;

use std::process::Command;

/// One line with everybody's version.
pub fn versions() -> String {
    let ours = format!("quartet {}", env!("CARGO_PKG_VERSION"));
    let sqlite = format!("SQLite {}", sqlite_version());
    let nginx = first_line(&nginx::program(), "-v");
    let postgres = first_line(&postgres::program("postgres"), "--version");
    let redis = first_line(&redis::program(), "--version");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{ours}, {sqlite}; {nginx}; {postgres}; {redis}; {cores} cores, Linux {}", kernel.trim())
}

fn first_line(program: &str, flag: &str) -> String {
    let Ok(output) = Command::new(program).arg(flag).output() else { return format!("no {program}") };
    let text = [output.stdout, output.stderr].concat();
    let line = String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned();
    line.split(" sha=").next().unwrap_or_default().to_owned()
}

fn sqlite_version() -> String {
    use diesel::{Connection as _, RunQueryDsl as _};
    let version = diesel::SqliteConnection::establish(":memory:").ok().and_then(|mut conn| {
        diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>("sqlite_version()"))
            .get_result::<String>(&mut conn)
            .ok()
    });
    version.unwrap_or_default()
}

/// A setting of the script that starts the benchmark: where a program lies.
fn setting(name: &str) -> Option<String> {
    std::env::vars_os().find(|(known, _)| known == name).and_then(|(_, value)| value.into_string().ok())
}

/// The first of these that exists.
fn first_of(paths: impl IntoIterator<Item = String>, otherwise: &str) -> String {
    paths.into_iter().find(|path| std::path::Path::new(path).exists()).unwrap_or_else(|| otherwise.to_owned())
}
