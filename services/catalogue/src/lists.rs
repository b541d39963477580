//! Pages of movies, and what is remembered to find them fast: how many movies match a filter, and where in an order every so many-th
//! of them stands.
//!
//! Both are remembered beside the number of the catalogue's state, which each page brings along: what was remembered of another
//! state is asked anew, so nobody has to be told of a change.

use std::sync::Arc;

use quartet_chassis::db::DbError;
use quick_cache::sync::Cache;

use crate::filter::MovieFilter;
use crate::order::{Position, Start};
use crate::store::Store;
use crate::store::movie::{Count, MovieList, MoviePage};

/// How many filters' counts are remembered.
const COUNTS: usize = 1000;
/// How many lists' marks are remembered, of which a list has at most a thousand.
const MARKS: usize = 100;
/// The longest filter, as text, of which anything is remembered.
const LENGTH: usize = 512;
/// From which movie on a page is reached by a mark.
const FAR: i64 = 500;
/// How far apart marks are at least.
const STEP: i64 = 100;

pub struct Lists {
    store: Store,
    /// By filter, with the number of the catalogue's state.
    counts: Cache<String, (i64, Count)>,
    /// By filter and order.
    marks: Cache<String, Arc<Marks>>,
}

/// Where every `step`-th movie of a list stood in a state of the catalogue.
struct Marks {
    version: i64,
    step: i64,
    positions: Vec<Position>,
}

impl Lists {
    pub fn new(store: Store) -> Lists {
        Lists { store, counts: Cache::new(COUNTS), marks: Cache::new(MARKS) }
    }

    /// A page, and how many movies match in all.
    pub async fn page(&self, mut list: MovieList, start: Start) -> Result<(MoviePage, i64), DbError> {
        list.known = self.counts.get(&list.filter.text()).map(|(_, count)| count);
        let page = match start {
            Start::After(position, total) => {
                list.after = Some(position);
                return Ok((self.store.movies(&list).await?, total));
            }
            Start::Offset(offset) if offset < FAR => {
                list.skip = offset;
                self.store.movies(&list).await?
            }
            Start::Offset(offset) => self.far_page(&mut list, offset).await?,
        };
        if page.movies.is_empty() && start == Start::Offset(0) {
            return Ok((page, 0));
        }
        let total = self.count(&list.filter, page.version).await?;
        Ok((page, total))
    }

    /// A page far in a list. Without a mark everything before it would be passed on the way.
    async fn far_page(&self, list: &mut MovieList, offset: i64) -> Result<MoviePage, DbError> {
        let name = format!("{:?} {}", list.order, list.filter.text());
        if let Some(marks) = self.marks.get(&name) {
            marks.lead(list, offset);
            let page = self.store.movies(list).await?;
            if page.version == Some(marks.version) {
                return Ok(page);
            }
        }
        (list.after, list.skip) = (None, offset);
        let Some(count) = list.known.filter(|count| name.len() <= LENGTH && offset < count.matching) else {
            return self.store.movies(list).await;
        };
        let step = STEP.max(count.matching / 1000);
        if let (positions, Some(version)) = self.store.marks(list, step).await? {
            let marks = Marks { version, step, positions };
            marks.lead(list, offset);
            self.marks.insert(name, Arc::new(marks));
        }
        self.store.movies(list).await
    }

    /// How many movies match. Counted once for each filter and state of the catalogue: counting costs more than a page.
    async fn count(&self, filter: &MovieFilter, version: Option<i64>) -> Result<i64, DbError> {
        let text = filter.text();
        let remembered = self.counts.get(&text).filter(|(counted, _)| Some(*counted) == version);
        if let Some((_, count)) = remembered {
            return Ok(count.matching);
        }
        let count = self.store.count_movies(filter).await?;
        // Read after the version, so it is never older than what it is remembered for.
        if let Some(version) = version.filter(|_| text.len() <= LENGTH) {
            self.counts.insert(text, (version, count));
        }
        Ok(count.matching)
    }
}

impl Marks {
    /// Lets a list begin at the last mark before `offset`.
    fn lead(&self, list: &mut MovieList, offset: i64) {
        let passed = usize::try_from(offset / self.step).unwrap_or_default().min(self.positions.len());
        list.after = passed.checked_sub(1).and_then(|mark| self.positions.get(mark)).cloned();
        list.skip = offset - i64::try_from(passed).unwrap_or_default() * self.step;
    }
}
