//! A file of accounts on its way in: bytes become accounts and findings. No database here. What is found never says what stands in a
//! line: reports are kept, and a file of accounts is nobody's business.

use std::fmt::Display;

use chrono::DateTime;
use quartet_chassis::clock::{Time, cut};
use quartet_chassis::csv_file::{Cells, CsvFile, Record};
use quartet_proto::identity::v1::{AccountFileFormat, AccountImportProblem};
use serde::Deserialize;

use crate::email::Email;
use crate::line_file::LineFile;
use crate::{password, profile, role};

/// The longest line, in bytes; of a record of several lines, all of it.
const LINE: usize = 64 * 1024;
/// How many findings are reported one by one.
const PROBLEMS: usize = 1000;

/// The columns that count. Only the first must be there.
const COLUMNS: [&str; 7] =
    ["email", "password_hash", "email_verified", "first_name", "last_name", "roles", "create_time"];

/// Why the first line of a CSV file is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderInvalid {
    Missing,
    Twice(&'static str),
}

/// An account on its way in: every field holds its rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    pub email: Email,
    /// Plain bcrypt, or empty.
    pub password_hash: String,
    pub email_verified: bool,
    pub first_name: String,
    pub last_name: String,
    /// Besides `user`, which is everybody's.
    pub roles: Vec<&'static str>,
    pub create_time: Option<Time>,
}

/// A file that comes in pieces.
pub struct AccountFile {
    form: Form,
    sheet: Sheet,
}

enum Form {
    Csv(Box<CsvFile>),
    JsonLines(LineFile),
}

/// What was read of a file so far.
struct Sheet {
    now: Time,
    /// Of a CSV file whose header was read.
    columns: Option<Result<Columns, HeaderInvalid>>,
    accounts: Vec<NewAccount>,
    rows: i32,
    refused: i32,
    problems: Vec<AccountImportProblem>,
}

/// What was found in a file.
pub struct Findings {
    pub rows: i32,
    pub refused: i32,
    pub problems: Vec<AccountImportProblem>,
}

impl AccountFile {
    /// `None` for a form that is none.
    pub fn new(format: AccountFileFormat, now: Time) -> Option<AccountFile> {
        let form = match format {
            AccountFileFormat::Unspecified => return None,
            AccountFileFormat::Csv => Form::Csv(Box::new(CsvFile::new(LINE))),
            AccountFileFormat::JsonLines => Form::JsonLines(LineFile::new(LINE)),
        };
        let sheet = Sheet { now, columns: None, accounts: Vec::new(), rows: 0, refused: 0, problems: Vec::new() };
        Some(AccountFile { form, sheet })
    }

    /// Takes the next bytes of the file. From an invalid header on nothing more is read.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), HeaderInvalid> {
        match &mut self.form {
            Form::Csv(csv) => csv.feed(bytes, |record| self.sheet.read_record(record)),
            Form::JsonLines(lines) => lines.feed(bytes, |number, line| self.sheet.read_line(number, line)),
        }
        match self.sheet.columns {
            Some(Err(invalid)) => Err(invalid),
            _ => Ok(()),
        }
    }

    /// Takes the end of the file.
    pub fn finish(&mut self) -> Result<(), HeaderInvalid> {
        match &mut self.form {
            Form::JsonLines(lines) => {
                lines.finish(|number, line| self.sheet.read_line(number, line));
                return Ok(());
            }
            Form::Csv(csv) => csv.finish(|record| self.sheet.read_record(record)),
        }
        match self.sheet.columns {
            None => Err(HeaderInvalid::Missing),
            Some(Err(invalid)) => Err(invalid),
            Some(Ok(_)) => Ok(()),
        }
    }

    /// How many accounts were read and not yet taken.
    pub fn waiting(&self) -> usize {
        self.sheet.accounts.len()
    }

    /// Takes up to `count` accounts, in the order of the file.
    pub fn take(&mut self, count: usize) -> Vec<NewAccount> {
        let count = count.min(self.sheet.accounts.len());
        self.sheet.accounts.drain(..count).collect()
    }

    pub fn findings(self) -> Findings {
        Findings { rows: self.sheet.rows, refused: self.sheet.refused, problems: self.sheet.problems }
    }
}

impl Sheet {
    fn read_record(&mut self, record: Record<'_>) {
        match self.columns {
            None => self.columns = Some(Columns::find(record.cells)),
            Some(Err(_)) => {}
            Some(Ok(columns)) => {
                let account = match record.cells {
                    None => Err(TOO_LONG.to_owned()),
                    Some(cells) => columns.given(cells).and_then(|given| given.check(self.now)),
                };
                self.keep(record.line, account);
            }
        }
    }

    fn read_line(&mut self, number: i32, line: Option<&[u8]>) {
        let account = match line.map(serde_json::from_slice::<Given>) {
            None => Err(TOO_LONG.to_owned()),
            // serde takes a list of values for an object, too.
            Some(Ok(_)) if !line.unwrap_or_default().starts_with(b"{") => Err("is no JSON object".to_owned()),
            Some(Ok(given)) => given.check(self.now),
            // What serde says of it would quote the value.
            Some(Err(error)) if error.is_data() => {
                Err(format!("has a key twice or with a value of the wrong type, before column {}", error.column()))
            }
            Some(Err(error)) => Err(format!("is no JSON object, from column {} on", error.column())),
        };
        self.keep(number, account);
    }

    fn keep(&mut self, line: i32, account: Result<NewAccount, String>) {
        self.rows = self.rows.saturating_add(1);
        match account {
            Ok(account) => self.accounts.push(account),
            Err(reason) => {
                self.refused = self.refused.saturating_add(1);
                if self.problems.len() < PROBLEMS {
                    self.problems.push(AccountImportProblem { line, reason });
                }
            }
        }
    }
}

const TOO_LONG: &str = "is longer than 64 KiB, or has more than 64 cells";

/// Where each column stands.
#[derive(Debug, Clone, Copy)]
struct Columns {
    count: usize,
    places: [Option<usize>; COLUMNS.len()],
}

impl Columns {
    fn find(cells: Option<Cells<'_>>) -> Result<Columns, HeaderInvalid> {
        let cells = cells.ok_or(HeaderInvalid::Missing)?;
        let names: Vec<String> = (0..cells.count()).map(|index| heading(cells.get(index))).collect();
        if let Some(twice) = COLUMNS.into_iter().find(|column| names.iter().filter(|name| name == column).count() > 1) {
            return Err(HeaderInvalid::Twice(twice));
        }
        let places = COLUMNS.map(|column| names.iter().position(|name| name == column));
        match places {
            [Some(_), ..] => Ok(Columns { count: names.len(), places }),
            _ => Err(HeaderInvalid::Missing),
        }
    }

    fn given(&self, cells: Cells<'_>) -> Result<Given, String> {
        if cells.count() != self.count {
            return Err(format!("has {} cells, the header {}", cells.count(), self.count));
        }
        let mut wrong = Vec::new();
        let mut texts = COLUMNS.into_iter().zip(self.places).map(|(column, place)| {
            let bytes = place.map(|place| cells.get(place)).unwrap_or_default();
            let text = std::str::from_utf8(bytes).map(|text| text.trim().to_owned());
            text.map_err(|_| wrong.push(format!("`{column}` must be UTF-8"))).unwrap_or_default()
        });
        let mut text = || texts.next().unwrap_or_default();
        let (email, password_hash, verified) = (text(), text(), text());
        let (first_name, last_name, roles, create_time) = (text(), text(), text(), text());
        drop(texts);
        let email_verified = match verified.to_ascii_lowercase().as_str() {
            "" => None,
            "true" | "t" => Some(true),
            "false" | "f" => Some(false),
            _ => {
                wrong.push("`email_verified` must be `true` or `false`".to_owned());
                None
            }
        };
        let roles = Some(roles.split_whitespace().map(str::to_owned).collect());
        let [email, password_hash, first_name, last_name, create_time] =
            [email, password_hash, first_name, last_name, create_time].map(Some);
        Ok(Given { email, password_hash, email_verified, first_name, last_name, roles, create_time, wrong })
    }
}

/// The name of a column, without the mark that some programs put before a file's first byte.
fn heading(cell: &[u8]) -> String {
    let text = String::from_utf8_lossy(cell);
    text.trim_start_matches('\u{feff}').trim().to_ascii_lowercase()
}

/// A line as it stands in the file. Other keys are nothing to us.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Given {
    email: Option<String>,
    password_hash: Option<String>,
    email_verified: Option<bool>,
    first_name: Option<String>,
    last_name: Option<String>,
    roles: Option<Vec<String>>,
    create_time: Option<String>,
    /// What was found wrong with it before its values were looked at.
    #[serde(skip)]
    wrong: Vec<String>,
}

impl Given {
    /// The account of a line, or everything that is wrong with it.
    fn check(self, now: Time) -> Result<NewAccount, String> {
        let mut wrong = self.wrong;
        let email = take("email", Email::parse(self.email.unwrap_or_default().trim()), &mut wrong);
        let hash = take("password_hash", password_hash(&self.password_hash.unwrap_or_default()), &mut wrong);
        let first_name = take("first_name", profile::name(&self.first_name.unwrap_or_default()), &mut wrong);
        let last_name = take("last_name", profile::name(&self.last_name.unwrap_or_default()), &mut wrong);
        let roles = take("roles", roles(&self.roles.unwrap_or_default()), &mut wrong);
        let time = take("create_time", create_time(&self.create_time.unwrap_or_default(), now), &mut wrong);
        let (Some(email), true) = (email, wrong.is_empty()) else { return Err(wrong.join("; ")) };
        Ok(NewAccount {
            email,
            password_hash: hash.unwrap_or_default(),
            email_verified: self.email_verified.unwrap_or(true),
            first_name: first_name.unwrap_or_default(),
            last_name: last_name.unwrap_or_default(),
            roles: roles.unwrap_or_default(),
            create_time: time.flatten(),
        })
    }
}

fn take<T, E: Display>(column: &str, parsed: Result<T, E>, wrong: &mut Vec<String>) -> Option<T> {
    parsed.map_err(|rule| wrong.push(format!("`{column}` {rule}"))).ok()
}

fn password_hash(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Ok(String::new()),
        text => password::foreign_hash(text).ok_or("must be bcrypt as `$2b$12$…`, of a cost from 4 to 16"),
    }
}

fn roles(names: &[String]) -> Result<Vec<&'static str>, &'static str> {
    let mut roles = Vec::new();
    for name in names {
        let role = role::parse(name)?;
        if role != role::USER && !roles.contains(&role) {
            roles.push(role);
        }
    }
    Ok(roles)
}

fn create_time(text: &str, now: Time) -> Result<Option<Time>, &'static str> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let time = DateTime::parse_from_rfc3339(text.trim()).map(|time| cut(time.naive_utc()));
    let time = time.map_err(|_| "must be a moment such as `2023-03-02T10:00:00Z`")?;
    if time > now || time < DateTime::UNIX_EPOCH.naive_utc() {
        return Err("must lie between 1970 and now");
    }
    Ok(Some(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2b$04$abcdefghijklmnopqrstuuOYVFdQWTLDPMpKQYqxvFMRbzGvWs9MO";

    fn now() -> Time {
        DateTime::UNIX_EPOCH.naive_utc() + chrono::TimeDelta::days(20_000)
    }

    fn read(
        format: AccountFileFormat,
        file: &[u8],
        piece: usize,
    ) -> Result<(Vec<NewAccount>, Findings), HeaderInvalid> {
        let mut accounts = AccountFile::new(format, now()).ok_or(HeaderInvalid::Missing)?;
        for bytes in file.chunks(piece) {
            accounts.feed(bytes)?;
        }
        accounts.finish()?;
        let taken = accounts.take(usize::MAX);
        Ok((taken, accounts.findings()))
    }

    fn csv(file: &str) -> Result<(Vec<NewAccount>, Findings), HeaderInvalid> {
        read(AccountFileFormat::Csv, file.as_bytes(), 100)
    }

    fn problems(findings: &Findings) -> String {
        let lines = findings.problems.iter().map(|problem| format!("{}: {}", problem.line, problem.reason));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn import_accounts_both_forms_say_the_same() -> anyhow::Result<()> {
        let rows = format!(
            "\u{feff}Email,ignored,roles,password_hash,first_name,last_name,email_verified,create_time\r\n\
             Ada@example.com,x,user  admin admin,{HASH}, Ada ,\"Love, lace\",TRUE,2020-01-02T03:04:05.678901234+01:00\r\n\
             bob@example.com,,,,,,f,\r\n"
        );
        let lines = format!(
            "{{\"email\":\"Ada@example.com\",\"ignored\":[1],\"roles\":[\"user\",\"admin\"],\"password_hash\":\"{HASH}\",\
             \"first_name\":\"Ada\",\"last_name\":\"Love, lace\",\"create_time\":\"2020-01-02T02:04:05.678901Z\"}}\n\n\
             {{\"email\":\" bob@example.com \",\"email_verified\":false,\"roles\":null}}"
        );
        for piece in [1, 7, 1000] {
            let from_csv =
                read(AccountFileFormat::Csv, rows.as_bytes(), piece).map_err(|_| anyhow::anyhow!("header"))?;
            let from_json =
                read(AccountFileFormat::JsonLines, lines.as_bytes(), piece).map_err(|_| anyhow::anyhow!("header"))?;
            assert_eq!(problems(&from_csv.1) + &problems(&from_json.1), "");
            assert_eq!(from_csv.0, from_json.0);
            assert_eq!((from_csv.0.len(), from_csv.0[0].roles.as_slice()), (2, &["admin"][..]));
            assert!(!from_csv.0[1].email_verified);
        }
        Ok(())
    }

    #[test]
    fn import_accounts_a_header_names_its_columns_once_and_the_address() {
        assert_eq!(csv("").err(), Some(HeaderInvalid::Missing));
        assert_eq!(csv("mail,roles\n").err(), Some(HeaderInvalid::Missing));
        assert_eq!(csv("email,roles,Roles\n").err(), Some(HeaderInvalid::Twice("roles")));
        assert!(csv("email\n").is_ok());
    }

    #[test]
    fn import_accounts_what_is_wrong_is_said_by_line_without_a_value() -> anyhow::Result<()> {
        let secret = "sEcReT";
        let mut file = "email,password_hash,email_verified,first_name,last_name,roles,create_time\n".to_owned();
        file += &format!("{secret},{secret},{secret},a\tb\u{0},{},root,2999-01-01T00:00:00Z\n", secret.repeat(20));
        file += &format!("{secret},{secret},,a\tb\u{0},{},root,2999-01-01T00:00:00Z\n", secret.repeat(20));
        file += &format!("ada@example.com,$2b$17${},,,,,\n", &HASH[7..]);
        file += &format!("ada@example.com,$2x$04${},,,,,\n", &HASH[7..]);
        file += "ada@example.com,,,,\n\n";
        file += &format!("{},,,,,,\n", "x".repeat(LINE));
        file += "ada@example.com,,,,,,yesterday\n";
        let (accounts, findings) = csv(&file).map_err(|_| anyhow::anyhow!("header"))?;
        assert_eq!((accounts.len(), findings.rows, findings.refused), (0, 7, 7));
        let said = problems(&findings);
        assert!(!said.contains(secret));
        insta::assert_snapshot!(said, @"
        2: `email_verified` must be `true` or `false`; `email` must be an address such as `ada@example.com`; `password_hash` must be bcrypt as `$2b$12$…`, of a cost from 4 to 16; `first_name` must not hold control characters; `last_name` must have at most 100 characters; `roles` must be one of `admin`, `moderator`, `student`, `teacher`, `user`; `create_time` must lie between 1970 and now
        3: `email` must be an address such as `ada@example.com`; `password_hash` must be bcrypt as `$2b$12$…`, of a cost from 4 to 16; `first_name` must not hold control characters; `last_name` must have at most 100 characters; `roles` must be one of `admin`, `moderator`, `student`, `teacher`, `user`; `create_time` must lie between 1970 and now
        4: `password_hash` must be bcrypt as `$2b$12$…`, of a cost from 4 to 16
        5: `password_hash` must be bcrypt as `$2b$12$…`, of a cost from 4 to 16
        6: has 5 cells, the header 7
        8: is longer than 64 KiB, or has more than 64 cells
        9: `create_time` must be a moment such as `2023-03-02T10:00:00Z`
        ");

        let lines = format!(
            "{{\"email\":\"{secret}\"}}\nnull\n{secret}\n{{\"email\":\"a\",\"email\":\"{secret}\"}}\n{{\"roles\":\"{secret}\"}}\n[\"ada@example.com\"]\n{{\"a\":1"
        );
        let (accounts, findings) =
            read(AccountFileFormat::JsonLines, lines.as_bytes(), 100).map_err(|_| anyhow::anyhow!("header"))?;
        assert_eq!((accounts.len(), findings.rows, findings.refused), (0, 7, 7));
        let said = problems(&findings);
        assert!(!said.contains(secret));
        insta::assert_snapshot!(said, @"
        1: `email` must be an address such as `ada@example.com`
        2: has a key twice or with a value of the wrong type, before column 4
        3: is no JSON object, from column 1 on
        4: has a key twice or with a value of the wrong type, before column 20
        5: has a key twice or with a value of the wrong type, before column 17
        6: is no JSON object
        7: is no JSON object, from column 6 on
        ");
        Ok(())
    }

    #[test]
    fn import_accounts_a_moment_lies_between_1970_and_now() {
        assert_eq!(create_time("", now()), Ok(None));
        assert!(create_time("1970-01-01T00:00:00Z", now()).is_ok());
        for wrong in
            ["1969-12-31T23:59:59Z", "2999-01-01T00:00:00Z", "2020-01-01", "1577836800", "+262142-01-01T00:00:00Z"]
        {
            assert!(create_time(wrong, now()).is_err(), "{wrong}");
        }
    }
}
