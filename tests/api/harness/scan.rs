//! Everything that an installation has stored anywhere, to look for what should not be there.

use std::path::Path;

use diesel::sql_types::{BigInt, Text};
use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection, sql_query};

use super::World;
use super::fleet::Grounds;

/// What was found, by place.
pub struct Stored(Vec<(String, Vec<u8>)>);

/// What a statement answers.
#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

impl World {
    /// The number that a service's database answers.
    pub async fn number(&self, service: &str, sql: &str) -> i64 {
        if let Some(grounds) = self.grounds() {
            return grounds.postgres.run(&grounds.database(service), sql).await.parse().unwrap();
        }
        let path = self.data().unwrap().join(format!("{service}.db"));
        let mut store = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        sql_query("pragma busy_timeout = 5000").execute(&mut store).unwrap();
        let found: Number = sql_query(format!("select ({sql}) as number")).get_result(&mut store).unwrap();
        found.number
    }

    /// Every table of every service, every file below the data directory with the mail, what Redis holds, and what was logged.
    pub async fn stored(&self) -> Stored {
        let mut found = Vec::new();
        if let Some(data) = self.data() {
            files(&data, &mut found);
            for name in ["identity", "catalogue", "media", "messaging"] {
                found.push((format!("{name}'s tables"), tables(&data.join(format!("{name}.db")))));
            }
        }
        if let Some(grounds) = self.grounds() {
            files(&grounds.path(""), &mut found);
            files(&grounds.s3.path(""), &mut found);
            for name in ["identity", "catalogue", "media", "messaging"] {
                let database = grounds.database(name);
                found.push((format!("{name}'s tables"), grounds.postgres.dump(&database).await.into_bytes()));
            }
            found.push(("redis".to_owned(), redis(grounds).await));
        }
        for process in self.fleet().iter().flat_map(|fleet| fleet.processes()) {
            files(&process.started.data, &mut found);
            found.push(("log".to_owned(), process.log.text().into_bytes()));
        }
        Stored(found)
    }
}

impl Stored {
    /// Whether these bytes are in any file or table.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|(_, content)| contains(content, bytes))
    }

    /// Where an account is found, by its address in any case or by its id as text or as bytes: `redis: id`.
    pub fn traces(&self, email: &str, account_id: &str) -> Vec<String> {
        let email = email.to_lowercase();
        let digits = account_id.replace('-', "");
        let bytes = hex::decode(&digits).unwrap();
        let mut traces = Vec::new();
        for (place, content) in &self.0 {
            let lower = content.to_ascii_lowercase();
            let texts = [
                ("address", email.as_str()),
                ("address", &email.replace('@', "%40")),
                ("id", account_id),
                ("id", &digits),
            ];
            for (what, text) in texts {
                if contains(&lower, text.as_bytes()) {
                    traces.push(format!("{place}: {what}"));
                }
            }
            if contains(content, &bytes) {
                traces.push(format!("{place}: id"));
            }
        }
        traces.sort();
        traces.dedup();
        traces
    }
}

fn contains(content: &[u8], part: &[u8]) -> bool {
    let Some((first, _)) = part.split_first() else { return true };
    let mut from = 0;
    while let Some(at) = content[from..].iter().position(|byte| byte == first) {
        if content[from + at..].starts_with(part) {
            return true;
        }
        from += at + 1;
    }
    false
}

/// Every file below a folder. One that goes meanwhile is gone.
fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.is_file()
            && let Ok(content) = std::fs::read(&path)
        {
            found.push((path.file_name().unwrap().to_string_lossy().into_owned(), content));
        }
    }
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    text: String,
}

/// Every column of every table of a SQLite file, blobs as hexadecimal digits.
fn tables(path: &Path) -> Vec<u8> {
    let mut store = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    let mut ask = |question: String| -> Vec<String> {
        sql_query("pragma busy_timeout = 5000").execute(&mut store).unwrap();
        let lines: Vec<Line> = sql_query(question).load(&mut store).unwrap();
        lines.into_iter().map(|line| line.text).collect()
    };
    let mut all = Vec::new();
    for table in ask("select name as text from sqlite_master where type = 'table'".to_owned()) {
        let columns = ask(format!("select 'quote(\"' || name || '\")' as text from pragma_table_info('{table}')"));
        let rows = ask(format!("select {} as text from \"{table}\"", columns.join(" || ' ' || ")));
        all.push(format!("{table}\n{}\n", rows.join("\n")));
    }
    assert!(all.len() > 3, "{} has no tables", path.display());
    all.concat().into_bytes()
}

/// Every key with its members.
async fn redis(grounds: &Grounds) -> Vec<u8> {
    let redis = &grounds.redis;
    let keys = redis.command("KEYS *").await.expect("no Redis");
    let mut all = keys.clone();
    for key in keys.lines().map(str::trim).filter(|line| !line.starts_with(['*', '$', '+'])) {
        let kind = redis.command(&format!("TYPE {key}")).await.unwrap();
        let question = match kind.lines().next().unwrap_or_default().trim() {
            "+zset" => format!("ZRANGE {key} 0 -1"),
            "+set" => format!("SMEMBERS {key}"),
            "+hash" => format!("HGETALL {key}"),
            "+list" => format!("LRANGE {key} 0 -1"),
            _ => format!("GET {key}"),
        };
        all.push_str(&redis.command(&question).await.unwrap());
    }
    all.into_bytes()
}
