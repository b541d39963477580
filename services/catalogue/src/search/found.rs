//! What was found: judged, counted and put in order.

use std::cmp::Ordering;
use std::collections::HashMap;

use quartet_chassis::fold::fold;
use quartet_chassis::id::Id;
use quartet_chassis::words::spaced;

use super::doc::BETWEEN;
use super::query::{Phrase, Query};
use crate::country::country;
use crate::filter::MovieFilter;

/// The most values of a facet that are told.
const VALUES: usize = 50;
/// How many kinds of facets there are.
const KINDS: usize = 5;

/// A movie that has the words, as the database gives it.
pub struct Candidate {
    pub id: Id,
    pub titles: String,
    pub genres: String,
    pub languages: String,
    pub country_code: Option<String>,
    pub release_year: i32,
    pub status: i32,
    pub score: f64,
    /// Only where the question has to be looked for in it.
    pub overview: Option<String>,
}

/// A movie that is an answer, and where it stands among the answers: the least rank first, then the greatest score, then the newest id.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    pub rank: u32,
    pub score: f64,
    pub id: Id,
}

impl Hit {
    pub fn order(&self, other: &Hit) -> Ordering {
        self.rank.cmp(&other.rank).then(other.score.total_cmp(&self.score)).then(other.id.cmp(&self.id))
    }
}

/// A value of a facet.
#[derive(Debug, Clone, PartialEq)]
pub struct Count {
    /// What a filter takes.
    pub value: String,
    /// What people read.
    pub name: String,
    pub movies: i32,
}

/// For each kind, the values that most movies have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facets {
    pub genres: Vec<Count>,
    pub countries: Vec<Count>,
    pub languages: Vec<Count>,
    pub decades: Vec<Count>,
    pub statuses: Vec<Count>,
}

/// All answers to a question, in order, and the counts beside them.
#[derive(Debug, Default)]
pub struct Found {
    pub hits: Vec<Hit>,
    pub facets: Facets,
}

/// Takes candidates one by one. A movie that all filters admit is an answer and counts in every facet; one that a single kind of filter
/// keeps out counts in that kind's facet alone, which shows what other values of the filter would give.
pub struct Finder<'a> {
    query: &'a Query,
    filter: &'a MovieFilter,
    check: bool,
    whole: String,
    years: [Option<i32>; 2],
    hits: Vec<Hit>,
    genres: Tally,
    countries: Tally,
    languages: Tally,
    decades: Tally,
    statuses: Tally,
}

impl<'a> Finder<'a> {
    pub fn new(query: &'a Query, filter: &'a MovieFilter) -> Finder<'a> {
        let year = |date: &Option<String>| date.as_ref().and_then(|date| date.get(..4)?.parse().ok());
        let mut whole: String = query.phrases().iter().map(|phrase| phrase.text.as_str()).collect();
        whole.push(' ');
        Finder {
            query,
            filter,
            check: query.is_to_be_checked(),
            whole,
            years: [year(&filter.first_date), year(&filter.last_date)],
            hits: Vec::new(),
            genres: Tally::default(),
            countries: Tally::default(),
            languages: Tally::default(),
            decades: Tally::default(),
            statuses: Tally::default(),
        }
    }

    pub fn take(&mut self, candidate: &Candidate) {
        let filter = self.filter;
        let low = filter.min_score.is_some_and(|least| candidate.score < least);
        let high = filter.max_score.is_some_and(|most| candidate.score > most);
        if low || high || (self.check && !self.holds(candidate)) {
            return;
        }
        let year = candidate.release_year;
        let in_years = self.years[0].is_none_or(|first| year >= first) && self.years[1].is_none_or(|last| year <= last);
        let decade = (year / 10 * 10).to_string();
        let status = candidate.status.to_string();
        let code = candidate.country_code.as_deref().unwrap_or_default();
        let folded = |list: &'a [String]| move |name: &str| list.contains(&fold(name));
        let genre = self.genres.look(&candidate.genres, folded(&filter.genres));
        let country = self.countries.look(code, |code| filter.countries.iter().any(|wanted| wanted == code));
        let language = self.languages.look(&candidate.languages, folded(&filter.languages));
        self.decades.look(&decade, |_| false);
        self.statuses.look(&status, |_| false);
        let admits = [
            genre || filter.genres.is_empty(),
            country || filter.countries.is_empty(),
            language || filter.languages.is_empty(),
            in_years,
            filter.statuses.is_empty() || filter.statuses.contains(&candidate.status),
        ];
        let refused = admits.iter().filter(|admits| !**admits).count();
        let tallies: [&mut Tally; KINDS] =
            [&mut self.genres, &mut self.countries, &mut self.languages, &mut self.decades, &mut self.statuses];
        for (tally, admits) in tallies.into_iter().zip(admits) {
            if refused == 0 || (refused == 1 && !admits) {
                tally.count();
            }
        }
        if refused == 0 {
            self.hits.push(Hit { rank: self.rank(&candidate.titles), score: candidate.score, id: candidate.id });
        }
    }

    pub fn finish(mut self) -> Found {
        self.hits.sort_unstable_by(Hit::order);
        let country_name = |code: &str| country(code).map_or_else(|| code.to_owned(), |known| known.name.to_owned());
        let facets = Facets {
            genres: self.genres.top(str::to_owned),
            countries: self.countries.top(country_name),
            languages: self.languages.top(str::to_owned),
            decades: self.decades.top(|decade| format!("{decade}s")),
            statuses: self.statuses.top(str::to_owned),
        };
        Found { hits: self.hits, facets }
    }

    /// Whether every phrase stands in one of the movie's texts.
    fn holds(&self, candidate: &Candidate) -> bool {
        let overview = candidate.overview.as_deref().map(spaced).unwrap_or_default();
        self.query.phrases().iter().all(|phrase| phrase.is_in(&candidate.titles) || phrase.is_in(&overview))
    }

    /// 0 for the movie of this very name. Else the sum of where each phrase stands: in the name, the original name, an actor, the
    /// overview, in each first as it was written and then as the beginning of a word.
    fn rank(&self, titles: &str) -> u32 {
        if self.query.everything {
            return 0;
        }
        let (name, rest) = titles.split_once(BETWEEN).unwrap_or((titles, ""));
        let (original, actors) = rest.split_once(BETWEEN).unwrap_or((rest, ""));
        if self.is_whole(name) || self.is_whole(original) {
            return 0;
        }
        let place = |phrase: &Phrase| {
            for (at, text) in [name, original, actors].into_iter().enumerate() {
                if phrase.is_in(text) {
                    return 2 * at as u32 + u32::from(!phrase.is_whole_in(text));
                }
            }
            6
        };
        self.query.phrases().iter().map(place).fold(1, u32::saturating_add)
    }

    /// Whether a title is made of the question's words. Phrases come sorted, so this tells titles of one word or one phrase, and
    /// longer ones by their letters.
    fn is_whole(&self, title: &str) -> bool {
        if title.len() != self.whole.len() {
            return false;
        }
        title == self.whole || self.query.phrases().iter().all(|phrase| phrase.is_whole_in(title))
    }
}

/// The counts of one kind of facet.
#[derive(Default)]
struct Tally {
    known: HashMap<String, usize>,
    /// Of each value: whether the filter names it, and how many movies have it.
    values: Vec<(bool, i32)>,
    /// The values of the candidate at hand.
    now: Vec<usize>,
}

impl Tally {
    /// Takes a candidate's values and answers whether the filter names one of them.
    fn look(&mut self, list: &str, wanted: impl Fn(&str) -> bool) -> bool {
        self.now.clear();
        let mut any = false;
        for value in list.split(BETWEEN).filter(|value| !value.is_empty()) {
            let at = match self.known.get(value) {
                Some(at) => *at,
                None => {
                    self.values.push((wanted(value), 0));
                    self.known.insert(value.to_owned(), self.values.len() - 1);
                    self.values.len() - 1
                }
            };
            any |= self.values.get(at).is_some_and(|(wanted, _)| *wanted);
            self.now.push(at);
        }
        any
    }

    /// Counts the candidate at hand.
    fn count(&mut self) {
        for at in &self.now {
            if let Some((_, movies)) = self.values.get_mut(*at) {
                *movies += 1;
            }
        }
    }

    fn top(self, name: impl Fn(&str) -> String) -> Vec<Count> {
        let movies = |at: usize| self.values.get(at).map_or(0, |(_, movies)| *movies);
        let mut counts: Vec<(String, i32)> = self.known.into_iter().map(|(value, at)| (value, movies(at))).collect();
        counts.retain(|(_, movies)| *movies > 0);
        counts.sort_unstable_by(|(a, many), (b, more)| more.cmp(many).then_with(|| a.cmp(b)));
        counts.truncate(VALUES);
        counts.into_iter().map(|(value, movies)| Count { name: name(&value), value, movies }).collect()
    }
}
