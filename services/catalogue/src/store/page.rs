//! The statement of a page of movies: a select that diesel checks, and conditions, order and bounds that depend on the request.
//!
//! There are two ways to a page of what is filed under a name: to gather all of it and sort, or to walk along the order and ask of
//! each movie whether it is filed there. Where much matches, a walk ends after a few dozen movies.

use diesel::backend::Backend;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, Binary, Double, HasSqlType, Integer, Text};
use diesel::sqlite::Sqlite;
use quartet_chassis::id::Id;

use crate::filter::MovieFilter;
use crate::order::{By, Key, Order, Position};

/// How many values a statement may bind for its text to be kept prepared: the common questions, not every one that can be asked.
const KEPT: usize = 2;

/// How many movies are skipped by reading them. Where it is more, they are skipped in the index alone.
const NEAR: i64 = 500;

/// A select from `movie`, narrowed to what matches and, with bounds, to a page of it.
pub struct Matching<'a, Q> {
    pub select: Q,
    pub filter: &'a MovieFilter,
    pub bounds: Option<Bounds<'a>>,
}

/// Which part of what matches.
pub struct Bounds<'a> {
    pub order: Order,
    pub after: Option<&'a Position>,
    pub skip: i64,
    pub limit: i64,
    /// Whether so much matches that it is found along the order.
    pub walk: bool,
}

/// How the databases say that a column is one of what a select gives, when it is to be asked once and not joined.
pub trait Dialect: Backend {
    const IN_SELECT: &'static str;
    const IN_SELECT_END: &'static str;
}

impl Dialect for Pg {
    const IN_SELECT: &'static str = " = any(array(";
    const IN_SELECT_END: &'static str = "))";
}

impl Dialect for Sqlite {
    const IN_SELECT: &'static str = " in (";
    const IN_SELECT_END: &'static str = ")";
}

impl<Q: Query> Query for Matching<'_, Q> {
    type SqlType = Q::SqlType;
}

impl<Q> QueryId for Matching<'_, Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q, DB> QueryFragment<DB> for Matching<'_, Q>
where
    DB: Dialect,
    Q: QueryFragment<DB>,
    String: ToSql<Text, DB>,
    f64: ToSql<Double, DB>,
    i32: ToSql<Integer, DB>,
    Id: ToSql<Binary, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        if self.filter.conditions() > KEPT {
            out.unsafe_to_cache_prepared();
        }
        self.select.walk_ast(out.reborrow())?;
        let Some(bounds) = &self.bounds else { return push_conditions(&mut out, self.filter, false, None) };
        let after = bounds.after.map(|position| (bounds.order, position));
        if bounds.skip > NEAR {
            out.push_sql(" where movie.movie_id in (select movie.movie_id from movie");
            push_conditions(&mut out, self.filter, bounds.walk, after)?;
            push_order(&mut out, bounds.order);
            push_number(&mut out, " limit ", bounds.limit);
            push_number(&mut out, " offset ", bounds.skip);
            out.push_sql(")");
        } else {
            push_conditions(&mut out, self.filter, bounds.walk, after)?;
        }
        push_order(&mut out, bounds.order);
        // In the text, where PostgreSQL sees it when it plans; a page has at most a hundred sizes.
        push_number(&mut out, " limit ", bounds.limit);
        if bounds.skip > 0 {
            out.unsafe_to_cache_prepared();
        }
        if (1..=NEAR).contains(&bounds.skip) {
            push_number(&mut out, " offset ", bounds.skip);
        }
        Ok(())
    }
}

/// Asks for every so many-th movie of a list: the places from which pages far in it are reached.
pub struct Marks<'a> {
    pub filter: &'a MovieFilter,
    pub order: Order,
    pub step: i64,
}

impl Query for Marks<'_> {
    type SqlType = (Binary, Text, Text, Double, BigInt);
}

impl QueryId for Marks<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<DB> QueryFragment<DB> for Marks<'_>
where
    DB: Dialect,
    String: ToSql<Text, DB>,
    f64: ToSql<Double, DB>,
    i32: ToSql<Integer, DB>,
    Id: ToSql<Binary, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        out.push_sql(
            "select m.movie_id, m.name_key, m.release_date, m.score, (select version from movie_state) from \
             (select movie.movie_id, movie.name_key, movie.release_date, movie.score, row_number() over (",
        );
        push_order(&mut out, self.order);
        out.push_sql(") as place from movie");
        push_conditions(&mut out, self.filter, false, None)?;
        push_number(&mut out, ") m where m.place % ", self.step);
        out.push_sql(" = 0 order by m.place");
        Ok(())
    }
}

fn push_number<DB: Backend>(out: &mut AstPass<'_, '_, DB>, word: &str, number: i64) {
    out.push_sql(word);
    out.push_sql(&number.to_string());
}

fn push_order<DB: Backend>(out: &mut AstPass<'_, '_, DB>, order: Order) {
    out.push_sql(match (order.by, order.desc) {
        (By::Id, true) => " order by movie.movie_id desc",
        (By::Id, false) => " order by movie.movie_id",
        (By::Name, true) => " order by movie.name_key desc, movie.movie_id desc",
        (By::Name, false) => " order by movie.name_key, movie.movie_id desc",
        (By::ReleaseDate, true) => " order by movie.release_date desc, movie.movie_id desc",
        (By::ReleaseDate, false) => " order by movie.release_date, movie.movie_id desc",
        (By::Score, true) => " order by movie.score desc, movie.movie_id desc",
        (By::Score, false) => " order by movie.score, movie.movie_id desc",
    });
}

/// The tables of the names of one kind.
struct Names {
    /// From a name to its movies.
    file: &'static str,
    table: &'static str,
    id: &'static str,
}

const GENRES: Names = Names { file: "movie_genre", table: "genre", id: "genre_id" };
const ACTORS: Names = Names { file: "movie_actor", table: "actor", id: "actor_id" };
const LANGUAGES: Names = Names { file: "movie_language", table: "language", id: "language_id" };

fn push_conditions<'b, DB>(
    out: &mut AstPass<'_, 'b, DB>,
    filter: &'b MovieFilter,
    walk: bool,
    after: Option<(Order, &'b Position)>,
) -> QueryResult<()>
where
    DB: Dialect,
    String: ToSql<Text, DB>,
    f64: ToSql<Double, DB>,
    i32: ToSql<Integer, DB>,
    Id: ToSql<Binary, DB>,
{
    let mut conditions = Conditions { out: out.reborrow(), any: false };
    conditions.names(GENRES, &filter.genres, walk)?;
    conditions.names(ACTORS, &filter.actors, walk)?;
    conditions.names(LANGUAGES, &filter.languages, walk)?;
    conditions.any::<Text, _>("movie.country_code", &filter.countries)?;
    conditions.any::<Integer, _>("movie.status", &filter.statuses)?;
    conditions.bound::<Text, _>("movie.release_date >= ", &filter.first_date)?;
    conditions.bound::<Text, _>("movie.release_date <= ", &filter.last_date)?;
    conditions.bound::<Double, _>("movie.score >= ", &filter.min_score)?;
    conditions.bound::<Double, _>("movie.score <= ", &filter.max_score)?;
    match after {
        Some((order, position)) => conditions.after(order, position),
        None => Ok(()),
    }
}

/// Writes ` where … and …`.
struct Conditions<'a, 'b, DB: Backend> {
    out: AstPass<'a, 'b, DB>,
    any: bool,
}

impl<'b, DB: Backend> Conditions<'_, 'b, DB> {
    fn begin(&mut self, text: &str) {
        self.out.push_sql(if self.any { " and " } else { " where " });
        self.out.push_sql(text);
        self.any = true;
    }

    fn names(&mut self, names: Names, values: &'b [String], walk: bool) -> QueryResult<()>
    where
        DB: Dialect,
        String: ToSql<Text, DB>,
    {
        if values.is_empty() {
            return Ok(());
        }
        let (before, between, inner, end) = match walk {
            true => (
                "exists (select 1 from ",
                " f where f.movie_id = movie.movie_id and f.",
                DB::IN_SELECT,
                DB::IN_SELECT_END,
            ),
            false => ("movie.movie_id in (select f.movie_id from ", " f where f.", " in (", ")"),
        };
        self.begin(before);
        for part in [names.file, between, names.id, inner, "select n.", names.id, " from ", names.table, " n where "] {
            self.out.push_sql(part);
        }
        self.values::<Text, String>("n.name_key", values)?;
        self.out.push_sql(end);
        // `is true` keeps both planners from turning a walk into a join.
        self.out.push_sql(if walk { ") is true" } else { ")" });
        Ok(())
    }

    fn any<ST, T>(&mut self, column: &str, values: &'b [T]) -> QueryResult<()>
    where
        DB: HasSqlType<ST>,
        T: ToSql<ST, DB>,
    {
        if values.is_empty() {
            return Ok(());
        }
        self.begin("");
        self.values::<ST, T>(column, values)
    }

    fn values<ST, T>(&mut self, column: &str, values: &'b [T]) -> QueryResult<()>
    where
        DB: HasSqlType<ST>,
        T: ToSql<ST, DB>,
    {
        self.out.push_sql(column);
        for (index, value) in values.iter().enumerate() {
            self.out.push_sql(if index == 0 { " in (" } else { ", " });
            self.out.push_bind_param::<ST, T>(value)?;
        }
        self.out.push_sql(")");
        Ok(())
    }

    fn bound<ST, T>(&mut self, text: &str, value: &'b Option<T>) -> QueryResult<()>
    where
        DB: HasSqlType<ST>,
        T: ToSql<ST, DB>,
    {
        let Some(value) = value else { return Ok(()) };
        self.begin(text);
        self.out.push_bind_param::<ST, T>(value)
    }

    /// Behind a place: one range of the order's index.
    fn after(&mut self, order: Order, position: &'b Position) -> QueryResult<()>
    where
        String: ToSql<Text, DB>,
        f64: ToSql<Double, DB>,
        Id: ToSql<Binary, DB>,
    {
        let column = match order.by {
            By::Id => {
                self.begin(if order.desc { "movie.movie_id < " } else { "movie.movie_id > " });
                return self.out.push_bind_param::<Binary, Id>(&position.id);
            }
            By::Name => "movie.name_key",
            By::ReleaseDate => "movie.release_date",
            By::Score => "movie.score",
        };
        if order.desc {
            self.begin("(");
            self.out.push_sql(column);
            self.out.push_sql(", movie.movie_id) < (");
            self.key(&position.key)?;
            self.out.push_sql(", ");
            self.out.push_bind_param::<Binary, Id>(&position.id)?;
        } else {
            self.begin(column);
            self.out.push_sql(" >= ");
            self.key(&position.key)?;
            self.out.push_sql(" and (");
            self.out.push_sql(column);
            self.out.push_sql(" > ");
            self.key(&position.key)?;
            self.out.push_sql(" or movie.movie_id < ");
            self.out.push_bind_param::<Binary, Id>(&position.id)?;
        }
        self.out.push_sql(")");
        Ok(())
    }

    fn key(&mut self, key: &'b Key) -> QueryResult<()>
    where
        String: ToSql<Text, DB>,
        f64: ToSql<Double, DB>,
    {
        match key {
            Key::Text(text) => self.out.push_bind_param::<Text, String>(text),
            Key::Number(number) => self.out.push_bind_param::<Double, f64>(number),
            Key::None => Ok(()),
        }
    }
}
