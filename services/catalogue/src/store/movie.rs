//! Movies.

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::DbError;
use quartet_chassis::id::Id;
use quartet_chassis::on;
use quartet_proto::catalogue::v1::MovieStatus;

use super::Store;
use super::page::{Bounds, Marks, Matching};
use crate::country::country;
use crate::filter::MovieFilter;
use crate::movie::NewMovie;
use crate::order::{Order, Position};
use crate::schema::{movie, movie_state};

/// A movie's row: the finished answer, names joined, so that a movie is read from nowhere else.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = movie)]
pub struct MovieRow {
    pub movie_id: Id,
    pub name: String,
    pub name_key: String,
    pub original_name: String,
    pub release_date: String,
    pub score: f64,
    pub overview: String,
    pub status: i32,
    pub budget_cents: i64,
    pub revenue_cents: i64,
    pub country_code: Option<String>,
    pub country_name: Option<String>,
    /// JSON arrays of names, like the two below.
    pub genres: String,
    pub actors: String,
    pub languages: String,
    pub create_time: Time,
    pub update_time: Time,
    /// The number of its last change.
    pub change_number: i64,
}

impl MovieRow {
    /// What of the row somebody has chosen. A row that was damaged by hand still has its movie.
    pub fn movie(&self) -> NewMovie {
        NewMovie {
            name: self.name.clone(),
            original_name: self.original_name.clone(),
            release_date: self.release_date.clone(),
            score: self.score,
            overview: self.overview.clone(),
            status: MovieStatus::try_from(self.status).unwrap_or_default(),
            budget_cents: self.budget_cents,
            revenue_cents: self.revenue_cents,
            country: self.country_code.as_deref().and_then(country),
            genres: names(&self.genres),
            actors: names(&self.actors),
            languages: names(&self.languages),
        }
    }

    /// Where the movie stands in an order.
    pub fn position(&self, order: Order) -> Position {
        order.position(self.movie_id, &self.name_key, &self.release_date, self.score)
    }
}

/// The names in a column.
pub fn names(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_else(|error| {
        tracing::error!(%error, "a movie's names can't be read");
        Vec::new()
    })
}

/// A list that is asked for, and the part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct MovieList {
    pub filter: MovieFilter,
    pub order: Order,
    pub size: i64,
    /// The place behind which it begins.
    pub after: Option<Position>,
    /// How many are left out from there.
    pub skip: i64,
    /// How much matches, when that is known from before.
    pub known: Option<Count>,
}

/// How many movies match a filter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Count {
    pub matching: i64,
    /// How many there are in all.
    pub all: i64,
}

impl MovieList {
    /// Whether a page is found sooner by walking along the order than by gathering all that matches. A walk meets a match every
    /// `all / matching` movies.
    fn walk(&self) -> bool {
        let steps = |count: &Count| self.skip.saturating_add(self.size).saturating_mul(count.all);
        self.known.is_some_and(|count| steps(&count) < count.matching.saturating_mul(count.matching))
    }
}

/// A part of a list.
pub struct MoviePage {
    pub movies: Vec<MovieRow>,
    /// Whether there are more behind it.
    pub more: bool,
    /// The number of the catalogue's state at that moment; unknown when the page is empty.
    pub version: Option<i64>,
}

impl Store {
    pub async fn movie(&self, id: Id) -> Result<Option<MovieRow>, DbError> {
        let conn = &mut self.db.read().await?;
        on!(conn, |db| movie::table.find(id).select(MovieRow::as_select()).first(db).await.optional())
    }

    pub async fn movies(&self, list: &MovieList) -> Result<MoviePage, DbError> {
        // A page of everything is a short walk along an index; filters and skipping may take long.
        let short = list.filter.conditions() == 0 && list.skip < 1000;
        let conn = &mut if short { self.db.read().await? } else { self.db.scan().await? };
        let rows: Vec<(MovieRow, Option<i64>)> = on!(conn, |db| {
            let version = movie_state::table.select(movie_state::version).single_value();
            let select = movie::table.select((MovieRow::as_select(), version));
            let (after, limit, walk) = (list.after.as_ref(), list.size + 1, list.walk());
            let bounds = Bounds { order: list.order, after, skip: list.skip, limit, walk };
            Matching { select, filter: &list.filter, bounds: Some(bounds) }.load(db).await
        })?;
        let size = usize::try_from(list.size).unwrap_or_default();
        let (more, version) = (rows.len() > size, rows.as_slice().first().and_then(|row| row.1));
        Ok(MoviePage { movies: rows.into_iter().take(size).map(|row| row.0).collect(), more, version })
    }

    /// Every `step`-th movie of a list, and the number of the catalogue's state.
    pub async fn marks(&self, list: &MovieList, step: i64) -> Result<(Vec<Position>, Option<i64>), DbError> {
        let conn = &mut self.db.scan().await?;
        let marks = Marks { filter: &list.filter, order: list.order, step };
        let rows: Vec<(Id, String, String, f64, i64)> = on!(conn, |db| marks.load(db).await)?;
        let version = rows.as_slice().first().map(|row| row.4);
        let position =
            |(id, name, date, score, _): (Id, String, String, f64, i64)| list.order.position(id, &name, &date, score);
        Ok((rows.into_iter().map(position).collect(), version))
    }

    pub async fn count_movies(&self, filter: &MovieFilter) -> Result<Count, DbError> {
        let conn = &mut self.db.scan().await?;
        let all = on!(conn, |db| movie::table.count().get_result(db).await)?;
        if *filter == MovieFilter::default() {
            return Ok(Count { matching: all, all });
        }
        let matching = on!(conn, |db| {
            let select = movie::table.select(count_star());
            Matching { select, filter, bounds: None }.get_result(db).await
        })?;
        Ok(Count { matching, all })
    }
}
