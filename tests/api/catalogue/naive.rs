//! The answer to a search by looking at every movie: slow, short, and made of nothing that the catalogue searches with but the folding of
//! letters.

use std::collections::{BTreeMap, BTreeSet};

use quartet_chassis::fold::{fold, fold_text};

use crate::harness::prelude::*;

/// A word, whether it stands right behind the one before, and whether it is of a script without blanks.
struct Word {
    text: String,
    glued: bool,
}

/// A movie with its texts as words.
pub struct Known {
    pub movie: Movie,
    texts: Vec<Vec<String>>,
}

impl Known {
    pub fn new(movie: Movie) -> Known {
        let texts = [&movie.name, &movie.original_name, &movie.overview].into_iter().chain(&movie.actors);
        let texts = texts.map(|text| words(text).into_iter().map(|word| word.text).collect()).collect();
        Known { movie, texts }
    }

    pub fn answers(&self, query: &str) -> bool {
        if query.trim().is_empty() {
            return true;
        }
        let phrases = phrases(query);
        !phrases.is_empty() && phrases.iter().all(|phrase| self.texts.iter().any(|text| stands_in(phrase, text)))
    }
}

fn words(text: &str) -> Vec<Word> {
    let letters: Vec<char> = fold_text(text).chars().collect();
    let joins = |at: usize| {
        let behind: String = letters[at + 1..].iter().take_while(|letter| letter.is_alphanumeric()).collect();
        let before = letters[at.max(1) - 1];
        let clitic = ["s", "t", "d", "m", "ll", "re", "ve"].contains(&behind.as_str());
        at > 0 && clitic && in_word(before) && !alone(before)
    };
    let joining: Vec<bool> = (0..letters.len()).map(|at| letters[at] == '\'' && joins(at)).collect();
    let letters = letters.iter().zip(joining).filter(|(_, joins)| !joins).map(|(letter, _)| *letter);
    let mut words: Vec<Word> = Vec::new();
    let mut last = ' ';
    for letter in letters {
        if is_mark(letter) && in_word(last) {
            words.last_mut().unwrap().text.push(letter);
        } else if letter.is_alphanumeric() {
            if in_word(last) && !alone(letter) && !alone(base(&words)) {
                words.last_mut().unwrap().text.push(letter);
            } else {
                words.push(Word { text: letter.to_string(), glued: in_word(last) });
            }
        } else {
            last = ' ';
            continue;
        }
        last = letter;
    }
    for word in &mut words {
        word.text = word.text.chars().take(40).collect();
    }
    words
}

/// The first letter of the word at hand.
fn base(words: &[Word]) -> char {
    words.last().and_then(|word| word.text.chars().next()).unwrap_or(' ')
}

fn in_word(letter: char) -> bool {
    letter.is_alphanumeric() || is_mark(letter)
}

fn is_mark(letter: char) -> bool {
    unicode_normalization::char::is_combining_mark(letter)
}

fn alone(letter: char) -> bool {
    let ranges = [
        0x3005..=0x3007,
        0x3041..=0x30ff,
        0x31f0..=0x31ff,
        0x3400..=0x4dbf,
        0x4e00..=0x9fff,
        0xf900..=0xfaff,
        0x20000..=0x3ffff,
    ];
    ranges.iter().any(|range: &std::ops::RangeInclusive<u32>| range.contains(&(letter as u32)))
}

/// Words side by side, and whether the last one may go on.
fn phrases(query: &str) -> Vec<(Vec<String>, bool)> {
    let mut phrases: Vec<(Vec<String>, bool)> = Vec::new();
    for (at, part) in query.split(['"', '“', '”', '„', '«', '»']).enumerate() {
        let quoted = at % 2 == 1;
        let mut first = true;
        for word in words(part) {
            match phrases.last_mut().filter(|_| !first && (quoted || word.glued)) {
                Some(phrase) => phrase.0.push(word.text),
                None => phrases.push((vec![word.text], !quoted)),
            }
            first = false;
        }
    }
    phrases
}

fn stands_in((phrase, open): &(Vec<String>, bool), text: &[String]) -> bool {
    let (last, before) = phrase.split_last().unwrap();
    text.windows(phrase.len()).any(|window| {
        let (end, begin) = window.split_last().unwrap();
        begin == before && (end == last || (*open && end.starts_with(last.as_str())))
    })
}

/// Which kinds of a filter admit a movie, in the order of the facets.
fn admits(filter: &MovieFilter, movie: &Movie) -> [bool; 5] {
    let names = |wanted: &[String], names: &[String]| {
        wanted.is_empty() || names.iter().any(|name| wanted.iter().any(|wanted| fold(wanted) == fold(name)))
    };
    let code = movie.country.as_ref().map(|country| country.code.clone()).unwrap_or_default();
    let year: i32 = movie.release_date[..4].parse().unwrap();
    [
        names(&filter.genres, &movie.genres),
        filter.countries.is_empty() || filter.countries.contains(&code),
        names(&filter.languages, &movie.languages),
        filter.min_year.is_none_or(|least| year >= least) && filter.max_year.is_none_or(|most| year <= most),
        filter.statuses.is_empty() || filter.statuses.contains(&movie.status),
    ]
}

/// Whether a movie passes what has no facet.
fn passes(filter: &MovieFilter, movie: &Movie) -> bool {
    let actor = |name: &String| filter.actors.iter().any(|wanted| fold(wanted) == fold(name));
    (filter.actors.is_empty() || movie.actors.iter().any(actor))
        && filter.min_score.is_none_or(|least| movie.score >= least)
        && filter.max_score.is_none_or(|most| movie.score <= most)
}

/// The ids of the movies that answer.
pub fn search(movies: &[Known], query: &str, filter: &MovieFilter) -> BTreeSet<String> {
    let answers = |known: &&Known| {
        passes(filter, &known.movie) && admits(filter, &known.movie) == [true; 5] && known.answers(query)
    };
    movies.iter().filter(answers).map(|known| known.movie.movie_id.clone()).collect()
}

/// The counts of each facet, of all values.
pub fn facets(movies: &[Known], query: &str, filter: &MovieFilter) -> [BTreeMap<String, i32>; 5] {
    let mut counts: [BTreeMap<String, i32>; 5] = Default::default();
    for Known { movie, .. } in movies.iter().filter(|known| passes(filter, &known.movie) && known.answers(query)) {
        let admits = admits(filter, movie);
        let values = [
            movie.genres.clone(),
            movie.country.iter().map(|country| country.code.clone()).collect(),
            movie.languages.clone(),
            vec![format!("{}0", &movie.release_date[..3]).trim_start_matches('0').to_owned()],
            vec![movie.status().as_str_name().to_owned()],
        ];
        for (at, values) in values.into_iter().enumerate() {
            if (0..5).all(|other| other == at || admits[other]) {
                values.into_iter().for_each(|value| *counts[at].entry(value).or_default() += 1);
            }
        }
    }
    counts
}
