//! Answers to searches, and what is remembered of them: a question's answers are found and counted once for each state of the catalogue,
//! and its pages are read from there. What was asked with the very same request is answered by the very same message.

use std::collections::HashMap;
use std::sync::Arc;

use prost::Message as _;
use quartet_chassis::db::DbError;
use quartet_proto::catalogue::v1::{SearchMoviesRequest, SearchMoviesResponse};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use crate::filter::MovieFilter;
use crate::search::found::{Facets, Finder, Found, Hit};
use crate::search::query::Query;
use crate::store::Store;
use crate::store::movie::MovieRow;

/// How many questions are remembered …
const QUESTIONS: usize = 1000;
/// … with how many answers in all, of 32 bytes each; a question with more than a good part of these is not remembered.
const HITS: u64 = 500_000;
/// The longest question, as text, that is remembered.
const LENGTH: usize = 512;
/// How many questions are answered anew at once: broad ones take long, and other calls need the database too.
const PASSES: usize = 4;
/// How many answers are remembered, and how many bytes they have in all.
const ANSWERS: usize = 1000;
const BYTES: u64 = 4 << 20;
/// How often a page is asked for anew when the catalogue changes meanwhile.
const TRIES: usize = 3;

pub struct Searches {
    store: Store,
    /// By question and filter.
    found: Cache<String, Arc<Remembered>, ByHits>,
    /// By request, with the number of the catalogue's state.
    answers: Cache<Vec<u8>, Arc<(i64, SearchMoviesResponse)>, ByBytes>,
    passes: Semaphore,
}

/// What was found in a state of the catalogue.
struct Remembered {
    version: i64,
    found: Found,
}

#[derive(Clone)]
struct ByHits;

impl Weighter<String, Arc<Remembered>> for ByHits {
    fn weight(&self, _: &String, remembered: &Arc<Remembered>) -> u64 {
        remembered.found.hits.len() as u64 + 100
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Vec<u8>, Arc<(i64, SearchMoviesResponse)>> for ByBytes {
    fn weight(&self, request: &Vec<u8>, answer: &Arc<(i64, SearchMoviesResponse)>) -> u64 {
        (request.len() + answer.1.encoded_len()) as u64
    }
}

/// A page that is asked for.
pub struct Search {
    pub query: Query,
    pub filter: MovieFilter,
    pub size: usize,
    pub start: Start,
}

/// Where the page begins.
pub enum Start {
    Offset(usize),
    /// Behind this answer, which need not be one any more.
    Behind(Hit),
}

pub struct Page {
    pub movies: Vec<MovieRow>,
    /// The last of them, when there are more behind it.
    pub last: Option<Hit>,
    pub total: usize,
    pub facets: Facets,
    /// The number of the state that all of it is from, if it is from one.
    pub version: Option<i64>,
}

impl Searches {
    pub fn new(store: Store) -> Searches {
        let found = Cache::with_weighter(QUESTIONS, HITS, ByHits);
        let answers = Cache::with_weighter(ANSWERS, BYTES, ByBytes);
        Searches { store, found, answers, passes: Semaphore::new(PASSES) }
    }

    /// What this request was answered, if nothing has changed since.
    pub async fn known(&self, request: &SearchMoviesRequest) -> Result<Option<SearchMoviesResponse>, DbError> {
        let Some(known) = self.answers.get(&request.encode_to_vec()) else { return Ok(None) };
        let version = self.store.state().await?.version;
        Ok((version == known.0).then(|| known.1.clone()))
    }

    /// Remembers what a request was answered.
    pub fn know(&self, request: &SearchMoviesRequest, version: i64, answer: &SearchMoviesResponse) {
        let request = request.encode_to_vec();
        if request.len() <= LENGTH {
            self.answers.insert(request, Arc::new((version, answer.clone())));
        }
    }

    pub async fn page(&self, search: &Search) -> Result<Page, DbError> {
        let name = format!("{}\n{}", search.query.text(), search.filter.text());
        let mut remembered = self.found.get(&name);
        for attempt in 1.. {
            let known = match remembered.take() {
                Some(known) => known,
                None => self.find(search, &name).await?,
            };
            let (hits, last) = part(&known.found.hits, search);
            let (movies, version) = self.rows(hits).await?;
            let fits = version == known.version;
            if fits || attempt == TRIES {
                let (total, facets) = (known.found.hits.len(), known.found.facets.clone());
                return Ok(Page { movies, last, total, facets, version: fits.then_some(version) });
            }
        }
        unreachable!("the last attempt answers")
    }

    async fn find(&self, search: &Search, name: &str) -> Result<Arc<Remembered>, DbError> {
        let _pass = self.passes.acquire().await;
        // Read first: what is found is never older than what it is remembered for.
        let version = self.store.state().await?.version;
        // Somebody else may have asked the same meanwhile.
        if let Some(remembered) = self.found.get(name).filter(|remembered| remembered.version == version) {
            return Ok(remembered);
        }
        let mut finder = Finder::new(&search.query, &search.filter);
        self.store.candidates(&search.query, &search.filter, &mut finder).await?;
        let mut found = finder.finish();
        self.name_countries(&mut found.facets).await?;
        let remembered = Arc::new(Remembered { version, found });
        if name.len() <= LENGTH {
            self.found.insert(name.to_owned(), remembered.clone());
        }
        Ok(remembered)
    }

    async fn name_countries(&self, facets: &mut Facets) -> Result<(), DbError> {
        let codes: Vec<&str> = facets.countries.iter().map(|count| count.value.as_str()).collect();
        if codes.is_empty() {
            return Ok(());
        }
        let names: HashMap<String, String> = self.store.names_of_countries(&codes).await?.into_iter().collect();
        for count in &mut facets.countries {
            if let Some(name) = names.get(&count.value) {
                count.name.clone_from(name);
            }
        }
        Ok(())
    }

    /// The movies in the order of the answers, and the number of the state that they are from.
    async fn rows(&self, hits: &[Hit]) -> Result<(Vec<MovieRow>, i64), DbError> {
        let ids: Vec<_> = hits.iter().map(|hit| hit.id).collect();
        let mut version = None;
        let mut rows = HashMap::new();
        if !ids.is_empty() {
            for (row, number) in self.store.movies_of(&ids).await? {
                version = number;
                rows.insert(row.movie_id, row);
            }
        }
        let version = match version {
            Some(version) => version,
            None => self.store.state().await?.version,
        };
        Ok((ids.iter().filter_map(|id| rows.remove(id)).collect(), version))
    }
}

/// The answers of a page, and the last of them when there are more.
fn part<'a>(hits: &'a [Hit], search: &Search) -> (&'a [Hit], Option<Hit>) {
    let begin = match &search.start {
        Start::Offset(offset) => *offset,
        Start::Behind(place) => hits.partition_point(|hit| hit.order(place).is_le()),
    };
    let rest = hits.get(begin..).unwrap_or_default();
    let part = rest.get(..search.size).unwrap_or(rest);
    (part, part.last().copied().filter(|_| rest.len() > part.len()))
}
