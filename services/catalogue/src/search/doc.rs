//! What a search needs to know of a movie.

use std::collections::HashSet;

use quartet_chassis::id::Id;
use quartet_chassis::words::{each_word, spaced};

use crate::movie::NewMovie;

/// The version of the rules by which texts become words. Whoever changes them raises it, and every index is made anew.
pub const VERSION: i32 = 1;

/// Between the names of a list, and between the fields of [`Doc::titles`]: names hold no such sign.
pub const BETWEEN: char = '\u{1f}';

/// The most bytes of words of one movie: PostgreSQL takes a mebibyte.
const LENGTH: usize = 500_000;

/// A movie as the index has it.
#[derive(Debug)]
pub struct Doc {
    pub id: Id,
    /// Every word of its texts once.
    pub words: Vec<String>,
    /// The words of the name, of the original name and of each actor, apart by [`BETWEEN`].
    pub titles: String,
    /// Names, apart by [`BETWEEN`].
    pub genres: String,
    pub languages: String,
    pub country_code: Option<&'static str>,
    pub release_year: i32,
    pub status: i32,
    pub score: f64,
}

impl Doc {
    pub fn new(id: Id, movie: &NewMovie) -> Doc {
        let mut titles = spaced(&movie.name);
        for text in std::iter::once(&movie.original_name).chain(&movie.actors) {
            titles.push(BETWEEN);
            titles.push_str(&spaced(text));
        }
        Doc {
            id,
            words: words(&titles, &movie.overview),
            titles,
            genres: join(&movie.genres),
            languages: join(&movie.languages),
            country_code: movie.country.map(|country| country.code),
            release_year: movie.release_date.get(..4).and_then(|year| year.parse().ok()).unwrap_or_default(),
            status: movie.status.into(),
            score: movie.score,
        }
    }
}

fn words(titles: &str, overview: &str) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut words = Vec::new();
    let mut length = 0;
    let mut add = |word: &str| {
        if length + word.len() < LENGTH && !seen.contains(word) {
            length += word.len() + 3;
            seen.insert(word.to_owned());
            words.push(word.to_owned());
        }
    };
    titles.split([' ', BETWEEN]).filter(|word| !word.is_empty()).for_each(&mut add);
    each_word(overview, |word, _| add(word));
    words
}

fn join(names: &[String]) -> String {
    names.join(&BETWEEN.to_string())
}
