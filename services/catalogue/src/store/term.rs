//! Terms one by one: made, renamed, merged, deleted.
//!
//! A movie's row holds its names, so a term that changes has its movies' rows written anew. That goes on in steps of a transaction
//! each, so that nobody waits for long behind a term with a hundred thousand movies, and is right after each step: a name that is being
//! changed is known by both, the one that the term has from now on and the one that some rows still have (`old_name`), which nobody else
//! can take meanwhile; a term that is being merged has the movies that are not yet moved. What a crash interrupts goes on at the
//! next start, or is asked for again.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::fold::fold;
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::filing::replace;
use super::import::{Row, countries_of, update_terms};
use super::index::index;
use super::movie::MovieRow;
use super::pieces::{Piece, Pieces};
use super::state::{done, next_number};
use super::term_sql::{COUNTRY, Sql, sql};
use crate::country::country;
use crate::movie::NewMovie;
use crate::schema::movie;
use crate::search::doc::Doc;
use crate::term::Term;

/// How many movies are written anew in one transaction.
const STEP: usize = 1000;

/// A term as it is known.
#[derive(Debug, Clone, PartialEq)]
pub struct TermRow {
    pub name: String,
    /// How many movies have it.
    pub movies: i64,
}

/// What became of a change of terms.
#[derive(Debug, Clone, PartialEq)]
pub enum Termed {
    /// Done, with how many movies.
    Done(i64),
    NotFound(Term),
    /// Another term has the name.
    Exists,
    /// So many movies have it.
    InUse(i64),
}

/// How far a change of many movies is.
enum Step {
    /// There are movies behind this one.
    More(Id, i64),
    Over(Termed),
    /// The term is being renamed.
    Busy(Term),
}

impl Store {
    pub async fn term(&self, term: Term) -> Result<Option<TermRow>, DbError> {
        self.db
            .long_snapshot(async |conn| {
                let Some((name, _)) = find(conn, term).await? else { return Ok(None) };
                Ok::<_, DbError>(Some(TermRow { name, movies: count(conn, term).await? }))
            })
            .await
    }

    pub async fn create_term(&self, term: Term, name: &str) -> Result<Termed, DbError> {
        self.db
            .transaction(async |conn| {
                next_number(conn).await?;
                if find(conn, term).await?.is_some() || is_taken(conn, term, name).await? {
                    return Ok(Termed::Exists);
                }
                let (key, sql) = (fold(name), sql(term));
                let insert = Pieces::<()>::new([
                    Piece::Sql(sql.insert),
                    id_of(&term),
                    Piece::Sql(", "),
                    Piece::Text(name),
                    Piece::Sql(", "),
                    Piece::Text(&key),
                    Piece::Sql(")"),
                ]);
                on!(conn, |db| insert.execute(db).await)?;
                Ok(Termed::Done(0))
            })
            .await
    }

    pub async fn rename_term(&self, term: Term, name: &str) -> Result<Termed, DbError> {
        let (mut name, mut after, mut changed) = (Some(name), Id::NIL, 0);
        loop {
            match self.rename_step(term, name, after).await? {
                Step::More(last, count) => (name, after, changed) = (None, last, changed + count),
                Step::Over(Termed::Done(count)) => return Ok(Termed::Done(changed + count)),
                Step::Over(other) => return Ok(other),
                // Somebody else is at it, or was when it crashed.
                Step::Busy(term) => self.finish_rename(term).await?,
            }
        }
    }

    /// Moves all movies of a term to another of its kind, and deletes it.
    pub async fn merge_terms(&self, from: Term, into: Term) -> Result<Termed, DbError> {
        let mut changed = 0;
        loop {
            match self.merge_step(from, into).await? {
                Step::More(_, count) => changed += count,
                Step::Over(Termed::Done(count)) => return Ok(Termed::Done(changed + count)),
                Step::Over(other) => return Ok(other),
                Step::Busy(term) => self.finish_rename(term).await?,
            }
        }
    }

    pub async fn delete_term(&self, term: Term) -> Result<Termed, DbError> {
        self.db
            .transaction(async |conn| {
                next_number(conn).await?;
                if find(conn, term).await?.is_none() {
                    return Ok(Termed::NotFound(term));
                }
                match count(conn, term).await? {
                    0 => delete(conn, term).await.map(|()| Termed::Done(0)),
                    movies => Ok(Termed::InUse(movies)),
                }
            })
            .await
    }

    /// Goes on with what a crash has interrupted.
    pub async fn finish_renames(&self) -> Result<(), DbError> {
        for term in self.being_renamed().await? {
            self.finish_rename(term).await?;
        }
        Ok(())
    }

    async fn finish_rename(&self, term: Term) -> Result<(), DbError> {
        let mut after = Id::NIL;
        while let Step::More(last, _) = self.rename_step(term, None, after).await? {
            after = last;
        }
        Ok(())
    }

    async fn being_renamed(&self) -> Result<Vec<Term>, DbError> {
        use super::filing::Kind;
        let conn = &mut self.db.read().await?;
        let mut terms = Vec::new();
        for kind in [Kind::Genre, Kind::Actor, Kind::Language] {
            let statement = Pieces::<Binary>::new([Piece::Sql(sql(Term::Filed(kind, Id::NIL)).being_renamed)]);
            let ids: Vec<Id> = on!(conn, |db| statement.load(db).await)?;
            terms.extend(ids.into_iter().map(|id| Term::Filed(kind, id)));
        }
        let statement = Pieces::<Text>::new([Piece::Sql(COUNTRY.being_renamed)]);
        let codes: Vec<String> = on!(conn, |db| statement.load(db).await)?;
        terms.extend(codes.iter().filter_map(|code| country(code)).map(Term::Country));
        Ok(terms)
    }

    /// Gives a term its new name, when one is given, and writes the next of its movies anew.
    async fn rename_step(&self, term: Term, new: Option<&str>, after: Id) -> Result<Step, DbError> {
        let step = self
            .db
            .bulk(async |conn| {
                let number = next_number(conn).await?;
                let (old, new) = match (find(conn, term).await?, new) {
                    (None, _) => return Ok((Step::Over(Termed::NotFound(term)), 0)),
                    (Some((name, Some(old))), None) => (old, name),
                    (Some((_, None)), None) => return Ok((Step::Over(Termed::Done(0)), 0)),
                    (Some((_, Some(_))), Some(_)) => return Ok((Step::Busy(term), 0)),
                    (Some((name, None)), Some(new)) if name == new => return Ok((Step::Over(Termed::Done(0)), 0)),
                    (Some((name, None)), Some(new)) => {
                        if is_taken(conn, term, new).await? {
                            return Ok((Step::Over(Termed::Exists), 0));
                        }
                        begin_rename(conn, term, new).await?;
                        (name, new.to_owned())
                    }
                };
                let ids = movies_of(conn, term, after).await?;
                let changed = self.rewrite(conn, &ids, number, |movie| rename(movie, term, &old, &new)).await?;
                done(conn, number).await?;
                Ok::<_, DbError>(match ids.last() {
                    Some(last) if ids.len() == STEP => (Step::More(*last, changed), number),
                    _ => {
                        settle(conn, term).await?;
                        (Step::Over(Termed::Done(changed)), number)
                    }
                })
            })
            .await?;
        self.tell(step.1);
        Ok(step.0)
    }

    async fn merge_step(&self, from: Term, into: Term) -> Result<Step, DbError> {
        let step = self
            .db
            .bulk(async |conn| {
                let number = next_number(conn).await?;
                let (mut old, mut new) = (String::new(), String::new());
                for (term, name) in [(from, &mut old), (into, &mut new)] {
                    match find(conn, term).await? {
                        None => return Ok((Step::Over(Termed::NotFound(term)), 0)),
                        Some((_, Some(_))) => return Ok((Step::Busy(term), 0)),
                        Some((known, None)) => *name = known,
                    }
                }
                let ids = movies_of(conn, from, Id::NIL).await?;
                move_movies(conn, from, into, ids.last()).await?;
                let changed = self.rewrite(conn, &ids, number, |movie| merge(movie, into, &old, &new)).await?;
                done(conn, number).await?;
                Ok::<_, DbError>(match ids.last() {
                    Some(last) if ids.len() == STEP => (Step::More(*last, changed), number),
                    _ => {
                        delete(conn, from).await?;
                        (Step::Over(Termed::Done(changed)), number)
                    }
                })
            })
            .await?;
        self.tell(step.1);
        Ok(step.0)
    }

    /// Writes the rows of movies anew, and their places in the index. Answers how many have changed.
    async fn rewrite(
        &self,
        conn: &mut Conn,
        ids: &[Id],
        number: i64,
        change: impl Fn(&mut NewMovie) -> bool,
    ) -> Result<i64, DbError> {
        let rows: Vec<MovieRow> = on!(conn, |db| {
            movie::table.filter(movie::movie_id.eq_any(ids)).select(MovieRow::as_select()).load(db).await
        })?;
        let mut movies = Vec::new();
        let mut changed = Vec::new();
        for row in rows {
            let mut movie = row.movie();
            if change(&mut movie) {
                changed.push(row.movie_id);
                movies.push(movie);
            }
        }
        let countries = countries_of(conn, &movies).await?;
        let rows: Vec<Row<'_>> =
            changed.into_iter().zip(&movies).map(|(id, movie)| Row::new(id, movie, &countries)).collect();
        update_terms(conn, &rows, number, &self.clock).await?;
        let docs: Vec<Doc> = rows.iter().map(|row| Doc::new(row.id, row.movie)).collect();
        index(conn, &docs.iter().collect::<Vec<_>>(), true).await?;
        Ok(i64::try_from(docs.len()).unwrap_or(i64::MAX))
    }
}

/// Puts a term's new name into a movie. A country's name is not the movie's own: writing the movie is enough.
fn rename(movie: &mut NewMovie, term: Term, old: &str, new: &str) -> bool {
    match term {
        Term::Filed(kind, _) => replace(kind.names_mut(movie), old, new),
        Term::Country(_) => true,
    }
}

fn merge(movie: &mut NewMovie, into: Term, old: &str, new: &str) -> bool {
    match into {
        Term::Filed(kind, _) => replace(kind.names_mut(movie), old, new),
        Term::Country(country) => {
            movie.country = Some(country);
            true
        }
    }
}

fn id_of(term: &Term) -> Piece<'_> {
    match term {
        Term::Filed(_, id) => Piece::Id(id),
        Term::Country(country) => Piece::Text(country.code),
    }
}

/// A term's name, and while it is being renamed its old one.
async fn find(conn: &mut Conn, term: Term) -> Result<Option<(String, Option<String>)>, DbError> {
    let statement = Pieces::<(Text, Nullable<Text>)>::new([Piece::Sql(sql(term).find), id_of(&term)]);
    on!(conn, |db| statement.get_result(db).await.optional())
}

async fn count(conn: &mut Conn, term: Term) -> Result<i64, DbError> {
    let statement = Pieces::<BigInt>::new([Piece::Sql(sql(term).count), id_of(&term)]);
    on!(conn, |db| statement.get_result(db).await)
}

/// Whether a name is, or until a moment ago was, that of a term of this kind.
async fn is_taken(conn: &mut Conn, term: Term, name: &str) -> Result<bool, DbError> {
    let Sql { named, .. } = sql(term);
    let statement =
        Pieces::<BigInt>::new([Piece::Sql(named), Piece::Text(name), Piece::Sql(" or old_name = "), Piece::Text(name)]);
    let count: i64 = on!(conn, |db| statement.get_result(db).await)?;
    Ok(count > 0)
}

/// The next of a term's movies, by their ids.
async fn movies_of(conn: &mut Conn, term: Term, after: Id) -> Result<Vec<Id>, DbError> {
    let statement = Pieces::<Binary>::new([
        Piece::Sql(sql(term).movies),
        id_of(&term),
        Piece::Sql(" and movie_id > "),
        Piece::Id(&after),
        Piece::Sql(" order by movie_id limit "),
        Piece::Number(STEP as i64),
    ]);
    on!(conn, |db| statement.load(db).await)
}

async fn begin_rename(conn: &mut Conn, term: Term, name: &str) -> Result<(), DbError> {
    let (sql, key) = (sql(term), fold(name));
    let statement = Pieces::<()>::new([
        Piece::Sql(sql.rename),
        Piece::Text(name),
        Piece::Sql(", name_key = "),
        Piece::Text(&key),
        Piece::Sql(sql.which),
        id_of(&term),
    ]);
    on!(conn, |db| statement.execute(db).await).map(drop)
}

/// Says that every movie has the new name.
async fn settle(conn: &mut Conn, term: Term) -> Result<(), DbError> {
    let sql = sql(term);
    let statement = Pieces::<()>::new([Piece::Sql(sql.settle), Piece::Sql(sql.which), id_of(&term)]);
    on!(conn, |db| statement.execute(db).await).map(drop)
}

async fn delete(conn: &mut Conn, term: Term) -> Result<(), DbError> {
    let statement = Pieces::<()>::new([Piece::Sql(sql(term).delete), id_of(&term)]);
    on!(conn, |db| statement.execute(db).await).map(drop)
}

/// Files the movies of a term, up to `last`, under another one.
async fn move_movies(conn: &mut Conn, from: Term, into: Term, last: Option<&Id>) -> Result<(), DbError> {
    let (Term::Filed(_, old), Term::Filed(_, new), Some(last)) = (from, into, last) else { return Ok(()) };
    let [copy, but, remove] = sql(from).moves;
    let copied = Pieces::<()>::new([
        Piece::Sql(copy[0]),
        Piece::Id(&new),
        Piece::Sql(copy[1]),
        Piece::Id(&old),
        Piece::Sql(" and f.movie_id <= "),
        Piece::Id(last),
        Piece::Sql(but[0]),
        Piece::Id(&new),
        Piece::Sql(but[1]),
    ]);
    on!(conn, |db| copied.execute(db).await)?;
    let removed = Pieces::<()>::new([Piece::Sql(remove[0]), Piece::Id(&old), Piece::Sql(remove[1]), Piece::Id(last)]);
    on!(conn, |db| removed.execute(db).await).map(drop)
}
