//! Which movies to list.

use std::borrow::Borrow;

use quartet_chassis::failure::Fields;
use quartet_chassis::fold::fold;
use quartet_proto::catalogue::v1::{self, MovieStatus};
use serde::Serialize;

use crate::country::country;
use crate::movie::NAME_LENGTH;

/// The most values of one list.
const VALUES: usize = 20;

/// A filter whose values hold their rules; lists are sorted, so that the same question always looks the same.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MovieFilter {
    /// Folded names.
    pub genres: Vec<String>,
    pub actors: Vec<String>,
    /// Alpha-3 codes.
    pub countries: Vec<String>,
    pub languages: Vec<String>,
    pub statuses: Vec<i32>,
    /// `YYYY-MM-DD`, inclusive.
    pub first_date: Option<String>,
    pub last_date: Option<String>,
    pub min_score: Option<f64>,
    pub max_score: Option<f64>,
}

impl MovieFilter {
    /// Reads a filter and notes everything that is wrong with it.
    pub fn parse(filter: v1::MovieFilter, fields: &mut Fields) -> MovieFilter {
        MovieFilter {
            genres: list("filter.genres", &filter.genres, name, fields),
            actors: list("filter.actors", &filter.actors, name, fields),
            countries: list("filter.countries", &filter.countries, code, fields),
            languages: list("filter.languages", &filter.languages, name, fields),
            statuses: list("filter.statuses", &filter.statuses, status, fields),
            first_date: year("filter.min_year", filter.min_year, fields).map(|year| format!("{year:04}-01-01")),
            last_date: year("filter.max_year", filter.max_year, fields).map(|year| format!("{year:04}-12-31")),
            min_score: score("filter.min_score", filter.min_score, fields),
            max_score: score("filter.max_score", filter.max_score, fields),
        }
    }

    /// How many conditions it sets.
    pub fn conditions(&self) -> usize {
        let lists =
            [self.genres.len(), self.actors.len(), self.countries.len(), self.languages.len(), self.statuses.len()];
        let dates = [self.first_date.is_some(), self.last_date.is_some()];
        let scores = [self.min_score.is_some(), self.max_score.is_some()];
        lists.iter().sum::<usize>() + dates.iter().chain(&scores).filter(|set| **set).count()
    }

    /// The filter as text: the same for the same question.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn list<T: Borrow<B>, B: ?Sized, U: Ord>(
    field: &str,
    values: &[T],
    parse: fn(&B) -> Result<U, &'static str>,
    fields: &mut Fields,
) -> Vec<U> {
    if values.len() > VALUES {
        fields.refuse(field, format!("must not have more than {VALUES} values"));
        return Vec::new();
    }
    let parsed: Result<Vec<U>, &'static str> = values.iter().map(|value| parse(value.borrow())).collect();
    let mut list = fields.take(field, parsed).unwrap_or_default();
    list.sort_unstable();
    list.dedup();
    list
}

fn name(name: &str) -> Result<String, &'static str> {
    if name.trim().is_empty() {
        return Err("must not hold an empty name");
    }
    if name.chars().count() > NAME_LENGTH {
        return Err("must not hold names longer than 255 characters");
    }
    if name.chars().any(char::is_control) {
        return Err("must not hold control characters");
    }
    Ok(fold(name))
}

fn code(code: &str) -> Result<String, &'static str> {
    country(code.trim())
        .map(|country| country.code.to_owned())
        .ok_or("must hold ISO 3166-1 codes such as `JPN` or `JP`")
}

fn status(number: &i32) -> Result<i32, &'static str> {
    match MovieStatus::try_from(*number) {
        Ok(MovieStatus::Unspecified) | Err(_) => Err("must hold known states only"),
        Ok(_) => Ok(*number),
    }
}

fn year(field: &str, year: Option<i32>, fields: &mut Fields) -> Option<i32> {
    let year = year?;
    fields.take(field, if (1..=9999).contains(&year) { Ok(year) } else { Err("must be from 1 to 9999") })
}

fn score(field: &str, score: Option<f64>, fields: &mut Fields) -> Option<f64> {
    let score = score?;
    fields.take(field, if (0.0..=100.0).contains(&score) { Ok(score + 0.0) } else { Err("must be from 0 to 100") })
}

#[cfg(test)]
mod tests {
    use tonic::Status;
    use tonic_types::StatusExt as _;

    use super::*;

    #[test]
    fn k1_the_same_question_looks_the_same() {
        let mut fields = Fields::default();
        let one = v1::MovieFilter {
            genres: vec!["Drama".into(), "Action".into()],
            countries: vec!["JP".into()],
            ..Default::default()
        };
        let other = v1::MovieFilter {
            genres: vec!["ACTION".into(), "dráma".into(), "drama".into()],
            countries: vec!["jpn".into()],
            ..Default::default()
        };
        assert_eq!(MovieFilter::parse(one, &mut fields).text(), MovieFilter::parse(other, &mut fields).text());
        assert!(fields.is_empty());
    }

    #[test]
    fn k1_all_that_is_wrong_is_named_together() {
        let mut fields = Fields::default();
        let filter = v1::MovieFilter {
            genres: vec![" ".into()],
            actors: vec!["a".into(); 21],
            countries: vec!["Japan".into()],
            languages: vec!["a\0".into()],
            statuses: vec![0],
            min_year: Some(0),
            max_year: Some(10_000),
            min_score: Some(f64::NAN),
            max_score: Some(100.5),
        };
        MovieFilter::parse(filter, &mut fields);
        let Err(failure) = fields.finish() else { panic!("nothing was refused") };
        let status = Status::from(failure);
        let details = status.get_error_details();
        let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        let lines = violations.into_iter().map(|violation| format!("{} {}", violation.field, violation.description));
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @"
        filter.genres must not hold an empty name
        filter.actors must not have more than 20 values
        filter.countries must hold ISO 3166-1 codes such as `JPN` or `JP`
        filter.languages must not hold control characters
        filter.statuses must hold known states only
        filter.min_year must be from 1 to 9999
        filter.max_year must be from 1 to 9999
        filter.min_score must be from 0 to 100
        filter.max_score must be from 0 to 100
        ");
    }
}
