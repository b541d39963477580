//! How far a reader of the feed of changes is.

use quartet_chassis::id::Id;
use quartet_chassis::page;
use serde::{Deserialize, Serialize};

use crate::store::state::State;

/// What is wrong with a cursor that is none.
const NOT_A_CURSOR: &str = "must be the `cursor` of an answer";

/// A place in the feed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// The change that was read last; of those with one number, in the order of the movies' ids.
    pub number: i64,
    pub id: Id,
    /// The number of the last change at the time when the reader began with nothing. Deletions up to there don't concern it.
    pub since: i64,
}

#[derive(Serialize, Deserialize)]
struct Cursor {
    n: i64,
    i: String,
    s: i64,
}

impl Place {
    /// The place before everything.
    pub fn first(state: &State) -> Place {
        Place { number: -1, id: Id::NIL, since: state.version }
    }

    pub fn parse(cursor: &str) -> Result<Option<Place>, &'static str> {
        let Some(cursor) = page::decode::<Cursor>(cursor).map_err(|_| NOT_A_CURSOR)? else { return Ok(None) };
        let id = cursor.i.parse().map_err(|_| NOT_A_CURSOR)?;
        if cursor.n < -1 || cursor.s < 0 {
            return Err(NOT_A_CURSOR);
        }
        Ok(Some(Place { number: cursor.n, id, since: cursor.s }))
    }

    pub fn cursor(&self) -> String {
        page::encode(&Cursor { n: self.number, i: self.id.to_string(), s: self.since })
    }

    /// Whether all that happened behind it is still known. It is not when deletions are forgotten, nor for a cursor of another
    /// database, or of one that was set back since.
    pub fn is_known(&self, state: &State) -> bool {
        self.number.max(self.since) >= state.forgotten && self.number.max(self.since) <= state.version
    }
}

#[cfg(test)]
mod tests {
    use quartet_chassis::clock::Clock;

    use super::*;

    #[test]
    fn k1_a_cursor_is_read_back_and_is_known_as_long_as_its_deletions_are() {
        let place = Place { number: 7, id: Id::new(&Clock::System), since: 3 };
        assert_eq!(Place::parse(&place.cursor()), Ok(Some(place)));
        assert_eq!(Place::parse(""), Ok(None));
        let state = |version, forgotten| State { version, forgotten, search_version: 1 };
        assert!(place.is_known(&state(7, 7)) && place.is_known(&state(9, 0)));
        assert!(!place.is_known(&state(9, 8)) && !place.is_known(&state(6, 0)));
        for wrong in ["x", "e30", &Place { number: -2, ..place }.cursor()] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
    }
}
