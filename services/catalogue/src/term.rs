//! The names that movies are filed under, and the countries that they are from.

use quartet_chassis::id::Id;
use quartet_proto::catalogue::v1::TermKind;

use crate::country::{Country, country};
use crate::store::filing::Kind;

/// A term: of which kind, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    Filed(Kind, Id),
    /// A country that the world knows, whether the catalogue has it or not.
    Country(&'static Country),
}

impl Term {
    /// The term of this kind and id; `None` when nothing of this kind can have such an id.
    pub fn parse(kind: TermKind, id: &str) -> Option<Term> {
        match filed(kind) {
            Some(kind) => id.parse().ok().map(|id| Term::Filed(kind, id)),
            None => country(id).map(Term::Country),
        }
    }

    pub fn kind(&self) -> TermKind {
        match self {
            Term::Filed(Kind::Genre, _) => TermKind::Genre,
            Term::Filed(Kind::Actor, _) => TermKind::Actor,
            Term::Filed(Kind::Language, _) => TermKind::Language,
            Term::Country(_) => TermKind::Country,
        }
    }

    /// Its id as text.
    pub fn id(&self) -> String {
        match self {
            Term::Filed(_, id) => id.to_string(),
            Term::Country(country) => country.code.to_owned(),
        }
    }
}

/// The kind of names that movies are filed under by; `None` for countries, which a movie has at most one of.
pub fn filed(kind: TermKind) -> Option<Kind> {
    match kind {
        TermKind::Genre => Some(Kind::Genre),
        TermKind::Actor => Some(Kind::Actor),
        TermKind::Language => Some(Kind::Language),
        TermKind::Country | TermKind::Unspecified => None,
    }
}

/// A kind that a request names.
pub fn kind(number: i32) -> Result<TermKind, &'static str> {
    match TermKind::try_from(number) {
        Ok(TermKind::Unspecified) | Err(_) => Err("must be a genre, an actor, a language or a country"),
        Ok(kind) => Ok(kind),
    }
}
