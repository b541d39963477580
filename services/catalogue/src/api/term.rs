//! Terms in requests and answers.

use quartet_chassis::db::DbError;
use quartet_chassis::failure::Fields;
use quartet_chassis::page;
use quartet_proto::catalogue::v1::{self, TermKind};

use crate::country::country;
use crate::error::Error;
use crate::movie;
use crate::store::Store;
use crate::store::term::Termed;
use crate::term::{Term, filed, kind};

/// The term that a request names. Ids are opaque: what is none names no term.
pub fn known(number: i32, id: &str) -> Result<Term, Error> {
    let mut fields = Fields::default();
    let kind = fields.take("kind", kind(number));
    let Some(kind) = kind else { return Err(fields.into()) };
    Term::parse(kind, id).ok_or_else(|| Error::TermNotFound(id.to_owned()))
}

/// Reads a term that is to be made.
pub fn new(given: &v1::Term, store: &Store) -> Result<(Term, String), Error> {
    let mut fields = Fields::default();
    refuse_servers(given, &mut fields);
    let kind = fields.take("term.kind", kind(given.kind));
    let mut name = given.name.clone();
    let term = match kind.map(|kind| (kind, filed(kind))) {
        Some((TermKind::Country, _)) => {
            let known = country(&given.term_id).ok_or("must be an ISO 3166-1 code such as `JPN` or `JP`");
            let known = fields.take("term.term_id", known);
            if let Some(known) = known.filter(|_| name.is_empty()) {
                known.name.clone_into(&mut name);
            }
            known.map(Term::Country)
        }
        Some((_, Some(filed))) => {
            if !given.term_id.is_empty() {
                fields.refuse("term.term_id", "is the server's: must be empty");
            }
            Some(Term::Filed(filed, store.new_id()))
        }
        _ => None,
    };
    // Without a country there is no name that an empty one could mean.
    let unknown = kind == Some(TermKind::Country) && term.is_none() && name.is_empty();
    let name = if unknown { None } else { fields.take("term.name", movie::name(&name)) };
    match (term, name, fields.is_empty()) {
        (Some(term), Some(name), true) => Ok((term, name)),
        _ => Err(fields.into()),
    }
}

/// Reads a term that is to be renamed.
pub fn changed(given: &v1::Term, paths: &[String]) -> Result<(Term, String), Error> {
    let mut fields = Fields::default();
    fields.check_name_mask(paths);
    refuse_servers(given, &mut fields);
    let kind = fields.take("term.kind", kind(given.kind));
    let name = fields.take("term.name", movie::name(&given.name));
    let (Some(kind), Some(name), true) = (kind, name, fields.is_empty()) else { return Err(fields.into()) };
    let term = Term::parse(kind, &given.term_id).ok_or_else(|| Error::TermNotFound(given.term_id.clone()))?;
    Ok((term, name))
}

/// How many movies were changed, or why nothing was. `name` is the one that was asked for.
pub fn outcome(termed: Result<Termed, DbError>, name: &str) -> Result<i64, Error> {
    match termed? {
        Termed::Done(movies) => Ok(movies),
        Termed::NotFound(term) => Err(Error::TermNotFound(term.id())),
        Termed::Exists => Err(Error::TermExists(name.to_owned())),
        Termed::InUse(movies) => Err(Error::TermInUse(movies)),
    }
}

pub async fn get(store: &Store, term: Term, id: String) -> Result<v1::Term, Error> {
    let row = store.term(term).await?.ok_or(Error::TermNotFound(id))?;
    let movies = page::count(row.movies);
    Ok(v1::Term { kind: term.kind().into(), term_id: term.id(), name: row.name, movies })
}

fn refuse_servers(given: &v1::Term, fields: &mut Fields) {
    if given.movies != 0 {
        fields.refuse("term.movies", "is the server's: must be empty");
    }
}
