//! A movie as a request gives it: all of it for a new one, some fields for one that is changed.

use chrono::NaiveDate;
use quartet_chassis::failure::Fields;
use quartet_proto::catalogue::v1::{self, MovieStatus};

use crate::country::{Country, country};
use crate::money;
use crate::movie::{self, MoviePatch, NewMovie};

/// What can be changed of a movie.
const FIELDS: [&str; 12] = [
    "name",
    "original_name",
    "release_date",
    "score",
    "overview",
    "status",
    "budget",
    "revenue",
    "country",
    "genres",
    "actors",
    "languages",
];

/// Reads a new movie and notes everything that is wrong with it.
pub fn new_movie(given: &v1::Movie, today: NaiveDate, fields: &mut Fields) -> NewMovie {
    if !given.movie_id.is_empty() {
        fields.refuse("movie.movie_id", "is the server's: must be empty");
    }
    refuse_servers(given, fields);
    patch(given, |_| true, today, fields).applied_to(blank())
}

/// Reads what is to be changed of a movie and notes everything that is wrong with it.
pub fn movie_patch(given: &v1::Movie, paths: &[String], today: NaiveDate, fields: &mut Fields) -> MoviePatch {
    if paths.is_empty() {
        fields.refuse("update_mask", "must not be empty");
    }
    if paths.iter().any(|path| path != "*" && !FIELDS.contains(&path.as_str())) {
        fields.refuse("update_mask", format!("must name only `{}` or `*`", FIELDS.join("`, `")));
    }
    refuse_servers(given, fields);
    patch(given, |field| paths.iter().any(|path| path == "*" || path == field), today, fields)
}

/// What the server sets is refused, whether a mask names it or not (S-33).
fn refuse_servers(given: &v1::Movie, fields: &mut Fields) {
    let servers = [
        ("movie.create_time", given.create_time.is_some()),
        ("movie.update_time", given.update_time.is_some()),
        ("movie.etag", !given.etag.is_empty()),
    ];
    for (field, _) in servers.into_iter().filter(|(_, set)| *set) {
        fields.refuse(field, "is the server's: must be empty");
    }
}

fn patch(given: &v1::Movie, named: impl Fn(&str) -> bool, today: NaiveDate, fields: &mut Fields) -> MoviePatch {
    fn take<T, E: std::fmt::Display>(field: &str, parsed: Result<T, E>, fields: &mut Fields) -> Option<T> {
        fields.take(&format!("movie.{field}"), parsed)
    }
    let mut patch = MoviePatch::default();
    if named("name") {
        patch.name = take("name", movie::name(&given.name), fields);
    }
    if named("original_name") {
        patch.original_name = match (given.original_name.is_empty(), named("name")) {
            (true, true) => patch.name.clone(),
            _ => take("original_name", movie::name(&given.original_name), fields),
        };
    }
    if named("release_date") {
        patch.release_date = take("release_date", release_date(&given.release_date, today), fields);
    }
    if named("score") {
        patch.score = take("score", score(given.score), fields);
    }
    if named("overview") {
        patch.overview = take("overview", movie::overview(&given.overview), fields);
    }
    if named("status") {
        patch.status = take("status", status(given.status), fields);
    }
    if named("budget") {
        patch.budget_cents = take("budget", amount(&given.budget), fields);
    }
    if named("revenue") {
        patch.revenue_cents = take("revenue", amount(&given.revenue), fields);
    }
    if named("country") {
        patch.country = take("country", known_country(given.country.as_ref()), fields);
    }
    if named("genres") {
        patch.genres = take("genres", movie::list(&given.genres), fields);
    }
    if named("actors") {
        patch.actors = take("actors", movie::list(&given.actors), fields);
    }
    if named("languages") {
        patch.languages = take("languages", movie::list(&given.languages), fields);
    }
    patch
}

fn blank() -> NewMovie {
    NewMovie {
        name: String::new(),
        original_name: String::new(),
        release_date: String::new(),
        score: 0.0,
        overview: String::new(),
        status: MovieStatus::Unspecified,
        budget_cents: 0,
        revenue_cents: 0,
        country: None,
        genres: Vec::new(),
        actors: Vec::new(),
        languages: Vec::new(),
    }
}

/// Files have dates of two shapes, requests of one.
fn release_date(text: &str, today: NaiveDate) -> Result<String, String> {
    if text.contains('/') {
        return Err("must be a date such as `2023-03-02`".to_owned());
    }
    movie::release_date(text, today)
}

fn score(score: f64) -> Result<f64, &'static str> {
    if (0.0..=100.0).contains(&score) { Ok(score + 0.0) } else { Err("must be a number from 0 to 100") }
}

fn status(number: i32) -> Result<MovieStatus, &'static str> {
    match MovieStatus::try_from(number) {
        Ok(MovieStatus::Unspecified) | Err(_) => Err("must be a known state"),
        Ok(status) => Ok(status),
    }
}

fn amount(text: &str) -> Result<i64, &'static str> {
    if text.is_empty() { Ok(0) } else { money::parse(text) }
}

fn known_country(given: Option<&v1::Country>) -> Result<Option<&'static Country>, &'static str> {
    match given {
        None => Ok(None),
        Some(v1::Country { code, name }) if code.is_empty() && name.is_empty() => Ok(None),
        Some(v1::Country { code, .. }) => country(code).map(Some).ok_or("must have an ISO 3166-1 code"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn today() -> NaiveDate {
        NaiveDate::from_ymd_opt(2024, 1, 1).unwrap_or_default()
    }

    fn refused(fields: Fields) -> String {
        let Err(failure) = fields.finish() else { return String::new() };
        tonic::Status::from(failure).message().to_owned()
    }

    #[test]
    fn k1_everything_wrong_with_a_new_movie_is_said() {
        let mut fields = Fields::default();
        let given = v1::Movie {
            movie_id: "7".into(),
            name: " ".into(),
            release_date: "03/02/2023".into(),
            score: f64::NAN,
            overview: "a\0".into(),
            status: 9,
            budget: "-1".into(),
            revenue: "x".into(),
            country: Some(v1::Country { code: "QQ".into(), name: String::new() }),
            genres: vec![String::new()],
            actors: vec!["a".into(); 501],
            languages: vec!["a\u{7}".into()],
            etag: "1".into(),
            ..v1::Movie::default()
        };
        new_movie(&given, today(), &mut fields);
        insta::assert_snapshot!(refused(fields).replace("; ", "\n"), @"
        `movie.movie_id` is the server's: must be empty
        `movie.etag` is the server's: must be empty
        `movie.name` must not be empty
        `movie.release_date` must be a date such as `2023-03-02`
        `movie.score` must be a number from 0 to 100
        `movie.overview` must not hold a NUL character
        `movie.status` must be a known state
        `movie.budget` must not be negative
        `movie.revenue` must be an amount such as `271616668.00`
        `movie.country` must have an ISO 3166-1 code
        `movie.genres` must not be empty
        `movie.actors` must not have more than 500 names
        `movie.languages` must not hold control characters
        ");
    }

    #[test]
    fn k1_a_mask_says_what_counts() {
        let mut fields = Fields::default();
        let given = v1::Movie { name: "New".into(), score: 900.0, ..v1::Movie::default() };
        let patch = movie_patch(&given, &["name".to_owned()], today(), &mut fields);
        assert_eq!(patch, MoviePatch { name: Some("New".into()), ..MoviePatch::default() });
        assert_eq!(refused(fields), "");
        for mask in [vec![], vec!["etag".to_owned()], vec!["name".to_owned(), "movie_id".to_owned()]] {
            let mut fields = Fields::default();
            movie_patch(&given, &mask, today(), &mut fields);
            assert!(refused(fields).starts_with("`update_mask` must"), "{mask:?}");
        }
    }
}
