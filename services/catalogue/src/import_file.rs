//! A movie file on its way in: bytes become movies and findings. No database here.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use chrono::NaiveDate;
use quartet_chassis::csv_file::{Cells, CsvFile, Record};
use quartet_proto::catalogue::v1::{ImportIssue, ImportIssueKind, ImportSummary};

use crate::country::country;
use crate::money;
use crate::movie::{self, NewMovie};

/// How many findings are reported one by one …
pub const ISSUES: usize = 1000;
/// … and how many bytes they have together at most: a client takes no message above 4 MiB.
const ISSUES_LENGTH: usize = 1024 * 1024;
/// The longest row, in bytes after unquoting.
const RECORD_LENGTH: usize = 256 * 1024;
/// The most characters of a finding.
const MESSAGE: usize = 500;

/// The columns that a file must have, in any order.
const COLUMNS: [&str; 11] = [
    "names",
    "date_x",
    "score",
    "genre",
    "overview",
    "orig_title",
    "status",
    "orig_lang",
    "budget_x",
    "revenue",
    "country",
];
/// The column that one of the two shapes has besides.
const CREW: &str = "crew";

/// The file has no header line, or one that lacks columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderInvalid {
    pub missing: Vec<&'static str>,
}

/// A file that comes in pieces.
pub struct ImportFile {
    csv: CsvFile,
    sheet: Sheet,
}

/// What was read of a file so far.
struct Sheet {
    columns: Option<Result<Columns, HeaderInvalid>>,
    today: NaiveDate,
    seen: Seen,
    movies: Vec<NewMovie>,
    summary: ImportSummary,
    /// The bytes of the summary's messages.
    issues_length: usize,
}

/// Where each column stands.
#[derive(Clone, Copy)]
struct Columns {
    count: usize,
    known: [usize; COLUMNS.len()],
    crew: Option<usize>,
}

impl ImportFile {
    pub fn new(today: NaiveDate) -> ImportFile {
        let (seen, summary) = (Seen::default(), ImportSummary::default());
        let sheet = Sheet { columns: None, today, seen, movies: Vec::new(), summary, issues_length: 0 };
        ImportFile { csv: CsvFile::new(RECORD_LENGTH), sheet }
    }

    /// Takes the next bytes of the file. From an invalid header on nothing more is read.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), HeaderInvalid> {
        self.csv.feed(bytes, |record| self.sheet.read(record));
        match &self.sheet.columns {
            Some(Err(invalid)) => Err(invalid.clone()),
            _ => Ok(()),
        }
    }

    /// Takes the end of the file.
    pub fn finish(&mut self) -> Result<(), HeaderInvalid> {
        self.csv.finish(|record| self.sheet.read(record));
        match &self.sheet.columns {
            None => Err(HeaderInvalid { missing: COLUMNS.to_vec() }),
            Some(Err(invalid)) => Err(invalid.clone()),
            Some(Ok(_)) => Ok(()),
        }
    }

    /// The movies that were read and not yet taken.
    pub fn waiting(&self) -> usize {
        self.sheet.movies.len()
    }

    /// Takes up to `count` movies, in the order of the file.
    pub fn take(&mut self, count: usize) -> Vec<NewMovie> {
        let count = count.min(self.sheet.movies.len());
        self.sheet.movies.drain(..count).collect()
    }

    /// The counts of what was read; what became of the movies is for others to add.
    pub fn summary(&mut self) -> &mut ImportSummary {
        &mut self.sheet.summary
    }
}

impl Sheet {
    fn read(&mut self, record: Record<'_>) {
        match &self.columns {
            None => self.columns = Some(Columns::find(record.cells)),
            Some(Err(_)) => {}
            Some(Ok(columns)) => {
                let columns = *columns;
                self.summary.rows_read += 1;
                match columns.movie(record.cells, self.today) {
                    Err(message) => self.reject(record.line, message),
                    Ok(movie) if self.seen.insert(&movie) => self.movies.push(movie),
                    Ok(movie) => self.repeat(record.line, &movie),
                }
            }
        }
    }

    fn reject(&mut self, line: i32, message: String) {
        self.summary.rows_rejected += 1;
        self.note(line, ImportIssueKind::Rejected, message);
    }

    fn repeat(&mut self, line: i32, movie: &NewMovie) {
        self.summary.rows_duplicate += 1;
        let message = format!("repeats `{}` of `{}`", excerpt(&movie.name), movie.release_date);
        self.note(line, ImportIssueKind::Duplicate, message);
    }

    fn note(&mut self, line: i32, kind: ImportIssueKind, message: String) {
        let message = shorten(&message, MESSAGE);
        self.issues_length += message.len();
        if self.summary.issues.len() < ISSUES && self.issues_length < ISSUES_LENGTH {
            self.summary.issues.push(ImportIssue { line, kind: kind.into(), message });
        }
    }
}

impl Columns {
    fn find(cells: Option<Cells<'_>>) -> Result<Columns, HeaderInvalid> {
        let cells = cells.ok_or_else(|| HeaderInvalid { missing: COLUMNS.to_vec() })?;
        let names: Vec<String> = (0..cells.count()).map(|index| heading(cells.get(index))).collect();
        let place = |column: &str| names.iter().position(|name| name == column);
        let missing: Vec<&str> = COLUMNS.into_iter().filter(|column| place(column).is_none()).collect();
        if !missing.is_empty() {
            return Err(HeaderInvalid { missing });
        }
        let known = COLUMNS.map(|column| place(column).unwrap_or_default());
        Ok(Columns { count: names.len(), known, crew: place(CREW) })
    }

    /// The movie of a record, or everything that is wrong with it.
    fn movie(&self, cells: Option<Cells<'_>>, today: NaiveDate) -> Result<NewMovie, String> {
        let cells = cells.ok_or("the row is too large")?;
        if cells.count() != self.count {
            return Err(format!("the row has {} cells, the header {}", cells.count(), self.count));
        }
        let mut row = Row { cells, wrong: Vec::new() };
        let [name, date, score, genre, overview, title, status, language, budget, revenue, land] = self.known;
        let crew = self.crew.map_or(Some(Vec::new()), |crew| row.take(crew, CREW, movie::names));
        let movie = NewMovie {
            name: row.take(name, "names", movie::name).unwrap_or_default(),
            original_name: row.take(title, "orig_title", movie::name).unwrap_or_default(),
            release_date: row.take(date, "date_x", |text| movie::release_date(text, today)).unwrap_or_default(),
            score: row.take(score, "score", movie::score).unwrap_or_default(),
            overview: row.take(overview, "overview", movie::overview).unwrap_or_default(),
            status: row.take(status, "status", movie::status).unwrap_or_default(),
            budget_cents: row.take(budget, "budget_x", money::parse).unwrap_or_default(),
            revenue_cents: row.take(revenue, "revenue", money::parse).unwrap_or_default(),
            country: row.take(land, "country", known_country).unwrap_or_default(),
            genres: row.take(genre, "genre", movie::names).unwrap_or_default(),
            languages: row.take(language, "orig_lang", movie::names).unwrap_or_default(),
            actors: crew.unwrap_or_default(),
        };
        if row.wrong.is_empty() { Ok(movie) } else { Err(row.wrong.join("; ")) }
    }
}

/// The cells of a row while they are read, and what was found wrong with them.
struct Row<'a> {
    cells: Cells<'a>,
    wrong: Vec<String>,
}

impl Row<'_> {
    fn take<T, E: std::fmt::Display>(
        &mut self,
        index: usize,
        column: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let bytes = self.cells.get(index);
        let Ok(text) = std::str::from_utf8(bytes) else {
            self.wrong.push(format!("`{column}` must be UTF-8: `{}`", excerpt(&String::from_utf8_lossy(bytes))));
            return None;
        };
        let note = |rule: E| self.wrong.push(format!("`{column}` {rule}: `{}`", excerpt(text)));
        parse(text.trim()).map_err(note).ok()
    }
}

fn known_country(code: &str) -> Result<Option<&'static crate::country::Country>, &'static str> {
    if code.is_empty() {
        return Ok(None);
    }
    country(code).map(Some).ok_or("must be an ISO 3166-1 code")
}

/// The name of a column, without the mark that some programs put before a file's first byte.
fn heading(cell: &[u8]) -> String {
    let text = String::from_utf8_lossy(cell);
    text.trim_start_matches('\u{feff}').trim().trim_matches('"').to_ascii_lowercase()
}

/// As much of a value as fits into a message.
fn excerpt(value: &str) -> String {
    shorten(value.trim(), 80)
}

/// The first `most` characters of a text.
fn shorten(text: &str, most: usize) -> String {
    let mut short: String = text.chars().take(most).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// The names and dates of the rows so far, as 128-bit hashes: a large file costs 16 bytes a row.
#[derive(Default)]
struct Seen {
    one: RandomState,
    other: RandomState,
    keys: HashSet<(u64, u64)>,
}

impl Seen {
    fn insert(&mut self, movie: &NewMovie) -> bool {
        let key = (&movie.name, &movie.release_date);
        self.keys.insert((self.one.hash_one(key), self.other.hash_one(key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "names,date_x,score,genre,overview,orig_title,status,orig_lang,budget_x,revenue,country\n";

    fn read(file: &str) -> Result<(Vec<NewMovie>, ImportSummary), HeaderInvalid> {
        let mut import = ImportFile::new(NaiveDate::from_ymd_opt(2024, 1, 1).unwrap_or_default());
        import.feed(file.as_bytes())?;
        import.finish()?;
        Ok((import.take(100), import.summary().clone()))
    }

    #[test]
    fn k3_a_row_becomes_a_movie() {
        let row = "Creed III,03/02/2023 ,73.0,\"Drama, Action\",He returns.,Creed III, Released, English,75000000.0,271616668.0,AU\n";
        let (movies, summary) = read(&format!("\u{feff}{HEADER}{row}")).unwrap_or_default();
        assert_eq!((summary.rows_read, summary.rows_rejected, movies.len()), (1, 0, 1));
        insta::assert_debug_snapshot!(movies, @r#"
        [
            NewMovie {
                name: "Creed III",
                original_name: "Creed III",
                release_date: "2023-03-02",
                score: 73.0,
                overview: "He returns.",
                status: Released,
                budget_cents: 7500000000,
                revenue_cents: 27161666800,
                country: Some(
                    Country {
                        alpha2: "AU",
                        code: "AUS",
                        name: "Australia",
                    },
                ),
                genres: [
                    "Drama",
                    "Action",
                ],
                actors: [],
                languages: [
                    "English",
                ],
            },
        ]
        "#);
    }

    #[test]
    fn k3_everything_wrong_with_a_row_is_said() {
        let file = format!("{HEADER},31/31/2023,101,,,,Lost,,-1,x,QQ\nshort,row\n");
        let (movies, summary) = read(&file).unwrap_or_default();
        assert_eq!((movies.len(), summary.rows_read, summary.rows_rejected), (0, 2, 2));
        let messages: Vec<String> =
            summary.issues.iter().map(|issue| format!("{}: {}", issue.line, issue.message)).collect();
        insta::assert_snapshot!(messages.join("\n").replace("; ", ";\n   "), @"
        2: `names` must not be empty: ``;
           `orig_title` must not be empty: ``;
           `date_x` must be a date such as `2023-03-02` or `03/02/2023`: `31/31/2023`;
           `score` must be a number from 0 to 100: `101`;
           `status` must be `Released`, `Post Production` or `In Production`: `Lost`;
           `budget_x` must not be negative: `-1`;
           `revenue` must be an amount such as `271616668.00`: `x`;
           `country` must be an ISO 3166-1 code: `QQ`
        3: the row has 2 cells, the header 11
        ");
    }

    #[test]
    fn k3_the_findings_fit_into_one_message_whatever_the_cells_hold() {
        let row = [format!("\"{}\"", "🎬".repeat(300)).as_str()].repeat(11).join(",");
        let (_, summary) = read(&format!("{HEADER}{}", format!("{row}\n").repeat(1200))).unwrap_or_default();
        let length: usize = summary.issues.iter().map(|issue| issue.message.len()).sum();
        assert_eq!(summary.rows_rejected, 1200);
        assert!(length < 1024 * 1024 && summary.issues.len() > 500, "{length} bytes in {}", summary.issues.len());
        assert!(summary.issues.iter().all(|issue| issue.message.chars().count() <= 501));
    }

    #[test]
    fn k3_columns_may_stand_in_any_order_and_all_missing_ones_are_named() {
        let (movies, _) = read(
            "country,revenue,extra,budget_x,orig_lang,status,orig_title,overview,genre,score,date_x,Names\nJP,1,?,2,Japanese,Released,七人,o,Drama,9,1954-04-26,Seven\n",
        )
        .unwrap_or_default();
        assert_eq!(movies.first().map(|movie| (movie.name.as_str(), movie.revenue_cents)), Some(("Seven", 100)));
        assert_eq!(read("names,score\n"), Err(HeaderInvalid { missing: [&COLUMNS[1..2], &COLUMNS[3..]].concat() }));
        assert_eq!(read(""), Err(HeaderInvalid { missing: COLUMNS.to_vec() }));
    }
}
