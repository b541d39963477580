//! What a movie must be: each field's rule, for whatever way it comes in.

use chrono::{Days, Months, NaiveDate};
use quartet_chassis::line::unseen;
use quartet_proto::catalogue::v1::MovieStatus;
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

use crate::country::Country;

/// The longest name of a movie, a genre, an actor or a language, in characters.
pub const NAME_LENGTH: usize = 255;
/// The longest overview, in characters.
pub const OVERVIEW_LENGTH: usize = 10_000;
/// The most names of one kind that a movie has.
pub const NAMES: usize = 500;

/// A movie on its way into the catalogue: every field holds its rule.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMovie {
    pub name: String,
    pub original_name: String,
    /// `YYYY-MM-DD`.
    pub release_date: String,
    pub score: f64,
    pub overview: String,
    pub status: MovieStatus,
    pub budget_cents: i64,
    pub revenue_cents: i64,
    pub country: Option<&'static Country>,
    pub genres: Vec<String>,
    pub actors: Vec<String>,
    pub languages: Vec<String>,
}

/// What is to be changed of a movie: each field that is set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MoviePatch {
    pub name: Option<String>,
    pub original_name: Option<String>,
    pub release_date: Option<String>,
    pub score: Option<f64>,
    pub overview: Option<String>,
    pub status: Option<MovieStatus>,
    pub budget_cents: Option<i64>,
    pub revenue_cents: Option<i64>,
    /// Set to `None`: the country is not known.
    pub country: Option<Option<&'static Country>>,
    pub genres: Option<Vec<String>>,
    pub actors: Option<Vec<String>>,
    pub languages: Option<Vec<String>>,
}

impl MoviePatch {
    pub fn applied_to(&self, movie: NewMovie) -> NewMovie {
        let patch = self.clone();
        NewMovie {
            name: patch.name.unwrap_or(movie.name),
            original_name: patch.original_name.unwrap_or(movie.original_name),
            release_date: patch.release_date.unwrap_or(movie.release_date),
            score: patch.score.unwrap_or(movie.score),
            overview: patch.overview.unwrap_or(movie.overview),
            status: patch.status.unwrap_or(movie.status),
            budget_cents: patch.budget_cents.unwrap_or(movie.budget_cents),
            revenue_cents: patch.revenue_cents.unwrap_or(movie.revenue_cents),
            country: patch.country.unwrap_or(movie.country),
            genres: patch.genres.unwrap_or(movie.genres),
            actors: patch.actors.unwrap_or(movie.actors),
            languages: patch.languages.unwrap_or(movie.languages),
        }
    }
}

/// A name: trimmed, composed, on one line.
pub fn name(text: &str) -> Result<String, String> {
    let name = composed(text.trim());
    if name.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if name.chars().any(unseen) {
        return Err("must not hold control characters".to_owned());
    }
    limited(name, NAME_LENGTH)
}

/// Running text. It may be empty and have lines; only the character that PostgreSQL can't store is refused.
pub fn overview(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.contains('\0') {
        return Err("must not hold a NUL character".to_owned());
    }
    limited(text.to_owned(), OVERVIEW_LENGTH)
}

/// The names in a cell: split at commas, trimmed also of stray quotes, empty and repeated ones dropped, in their order.
pub fn names(cell: &str) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = Vec::new();
    for part in cell.split(',') {
        let part = part.trim_matches(|letter: char| letter.is_whitespace() || letter == '"');
        if part.is_empty() {
            continue;
        }
        let name = name(part)?;
        if !names.contains(&name) {
            names.push(name);
        }
        if names.len() > NAMES {
            return Err(format!("must not have more than {NAMES} names"));
        }
    }
    Ok(names)
}

/// The names of a list: each as [`name`] has it, repeated ones dropped, in their order.
pub fn list(given: &[String]) -> Result<Vec<String>, String> {
    if given.len() > NAMES {
        return Err(format!("must not have more than {NAMES} names"));
    }
    let mut names: Vec<String> = Vec::new();
    for text in given {
        let name = name(text)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// A date as `MM/DD/YYYY` or `YYYY-MM-DD`, at most one year after `today`; answers `YYYY-MM-DD`.
pub fn release_date(text: &str, today: NaiveDate) -> Result<String, String> {
    const FORM: &str = "must be a date such as `2023-03-02` or `03/02/2023`";
    let text = text.trim();
    let form = if text.contains('/') { "%m/%d/%Y" } else { "%Y-%m-%d" };
    let plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'/' | b'-'));
    let date = NaiveDate::parse_from_str(text, form).ok().filter(|_| plain).ok_or(FORM)?;
    let latest = today.checked_add_months(Months::new(12)).or_else(|| today.checked_add_days(Days::new(365)));
    if latest.is_some_and(|latest| date > latest) {
        return Err("must be at most one year ahead".to_owned());
    }
    if date < first_day() {
        return Err(FORM.to_owned());
    }
    Ok(date.format("%Y-%m-%d").to_string())
}

fn first_day() -> NaiveDate {
    NaiveDate::from_ymd_opt(1, 1, 1).unwrap_or(NaiveDate::MIN)
}

/// A score from 0 to 100.
pub fn score(text: &str) -> Result<f64, &'static str> {
    const FORM: &str = "must be a number from 0 to 100";
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'e' | b'E' | b'+'));
    let score: f64 = text.parse().ok().filter(|_| plain).ok_or(FORM)?;
    if (0.0..=100.0).contains(&score) { Ok(score + 0.0) } else { Err(FORM) }
}

/// A state of release by its words, `Post Production`, or its constant, `POST_PRODUCTION`.
pub fn status(text: &str) -> Result<MovieStatus, &'static str> {
    match text.trim().replace('_', " ").to_ascii_lowercase().as_str() {
        "released" => Ok(MovieStatus::Released),
        "post production" => Ok(MovieStatus::PostProduction),
        "in production" => Ok(MovieStatus::InProduction),
        _ => Err("must be `Released`, `Post Production` or `In Production`"),
    }
}

/// A state of release in words, as files have it.
pub fn status_name(status: MovieStatus) -> &'static str {
    match status {
        MovieStatus::Unspecified => "",
        MovieStatus::Released => "Released",
        MovieStatus::PostProduction => "Post Production",
        MovieStatus::InProduction => "In Production",
    }
}

fn composed(text: &str) -> String {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => text.to_owned(),
        _ => text.nfc().collect(),
    }
}

fn limited(text: String, length: usize) -> Result<String, String> {
    if text.chars().count() > length {
        return Err(format!("must not be longer than {length} characters"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k3_a_cell_of_names_is_cleaned() {
        let cells: [(&str, &[&str]); 6] = [
            ("Drama,\u{a0}Action", &["Drama", "Action"]),
            (" Spanish, Castilian ", &["Spanish", "Castilian"]),
            ("Dutch\"", &["Dutch"]),
            ("", &[]),
            (" , ,", &[]),
            ("Tony'LittleDuke'Evers,Ann,Ann", &["Tony'LittleDuke'Evers", "Ann"]),
        ];
        for (cell, expected) in cells {
            assert_eq!(
                names(cell).as_deref(),
                Ok(expected.iter().map(|name| name.to_string()).collect::<Vec<_>>().as_slice())
            );
        }
    }

    #[test]
    fn k1_dates_have_two_shapes_and_an_end() {
        let today = NaiveDate::from_ymd_opt(2024, 2, 29).unwrap_or_default();
        assert_eq!(release_date("03/02/2023 ", today).as_deref(), Ok("2023-03-02"));
        assert_eq!(release_date("2023-03-02", today).as_deref(), Ok("2023-03-02"));
        assert_eq!(release_date("2025-02-28", today).as_deref(), Ok("2025-02-28"));
        assert_eq!(release_date("2025-03-01", today), Err("must be at most one year ahead".to_owned()));
        let wrong = [
            "",
            "2023-02-30",
            "13/01/2023",
            "3/2/2023",
            "2023-3-2",
            "02.03.2023",
            "+023-03-02",
            "0000-01-01",
            "2023-03-02x",
        ];
        for text in wrong {
            assert!(release_date(text, today).is_err_and(|rule| rule.starts_with("must be a date")), "{text}");
        }
    }

    #[test]
    fn k1_scores_go_from_0_to_100() {
        assert_eq!([score("0"), score("100.0"), score("73.0")], [Ok(0.0), Ok(100.0), Ok(73.0)]);
        for text in ["", "-1", "100.1", "nan", "inf", "1e9", "73,5", "high"] {
            assert_eq!(score(text), Err("must be a number from 0 to 100"), "{text}");
        }
    }

    #[test]
    fn k1_names_are_trimmed_composed_and_bounded() {
        assert_eq!(name(" Ame\u{301}lie ").as_deref(), Ok("Amélie"));
        assert!(
            name(" ").is_err()
                && name("a\0b").is_err()
                && name("\u{202e}a").is_err()
                && name(&"x".repeat(256)).is_err()
        );
        assert!(name(&"é".repeat(255)).is_ok());
        assert!(
            overview("two\nlines\t\u{9d}").is_ok()
                && overview("a\0b").is_err()
                && overview(&"x".repeat(10_001)).is_err()
        );
    }
}
