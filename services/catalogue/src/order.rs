//! In which order to list movies, and where in it a page begins.

use quartet_chassis::fold;
use quartet_chassis::id::Id;
use quartet_chassis::page;
use serde::{Deserialize, Serialize};

use crate::filter::MovieFilter;

/// What movies are sorted by. Equal ones come the newest id first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Id,
    Name,
    ReleaseDate,
    Score,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    pub by: By,
    /// The greatest first.
    pub desc: bool,
}

/// The sort key and id of a movie: the place in the order behind which a page begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    pub key: Key,
    pub id: Id,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Key {
    /// With [`By::Id`], where the id says all.
    None,
    Text(String),
    Number(f64),
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// This many movies behind the first.
    Offset(i64),
    /// Behind this place, in a list of so many movies as were counted for its first page.
    After(Position, i64),
}

impl Order {
    /// Reads `score desc` and the like; empty means the newest id first.
    pub fn parse(text: &str) -> Result<Order, &'static str> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (name, desc) = match words.as_slice() {
            [] => ("movie_id", true),
            [name] => (*name, false),
            [name, "desc"] => (*name, true),
            _ => ("", false),
        };
        let by = match name {
            "movie_id" => By::Id,
            "name" => By::Name,
            "release_date" => By::ReleaseDate,
            "score" => By::Score,
            _ => {
                return Err(
                    "must be `movie_id`, `name`, `release_date` or `score`, with ` desc` for the greatest first",
                );
            }
        };
        Ok(Order { by, desc })
    }

    /// Where a movie with these values stands.
    pub fn position(self, id: Id, name_key: &str, release_date: &str, score: f64) -> Position {
        let key = match self.by {
            By::Id => Key::None,
            By::Name => Key::Text(name_key.to_owned()),
            By::ReleaseDate => Key::Text(release_date.to_owned()),
            By::Score => Key::Number(score),
        };
        Position { key, id }
    }
}

/// What a page token holds: plain values that are checked again when it comes back.
#[derive(Serialize, Deserialize)]
struct Token {
    /// The filter and the order that it belongs to.
    question: u64,
    key: Key,
    id: String,
    total: i64,
}

/// The token of the page behind `position`.
pub fn encode(filter: &MovieFilter, order: Order, position: &Position, total: i64) -> String {
    let question = question(filter, order);
    page::encode(&Token { question, key: position.key.clone(), id: position.id.to_string(), total })
}

/// Reads a page token; `Ok(None)` for the empty one.
pub fn decode(token: &str, filter: &MovieFilter, order: Order) -> Result<Option<Start>, &'static str> {
    let Some(token) = page::decode::<Token>(token)? else { return Ok(None) };
    let right = token.question == question(filter, order) && (0..=i64::from(i32::MAX)).contains(&token.total);
    let id = token.id.parse().map_err(|_| page::NOT_A_TOKEN)?;
    if !right || !token.key.suits(order.by) {
        return Err(page::NOT_A_TOKEN);
    }
    Ok(Some(Start::After(Position { key: token.key, id }, token.total)))
}

impl Key {
    fn suits(&self, by: By) -> bool {
        match (by, self) {
            (By::Id, Key::None) => true,
            (By::Name, Key::Text(key)) => key.len() <= 4 * fold::LENGTH && !key.contains('\0'),
            (By::ReleaseDate, Key::Text(key)) => {
                key.len() == 10 && key.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
            }
            (By::Score, Key::Number(key)) => (0.0..=100.0).contains(key),
            _ => false,
        }
    }
}

fn question(filter: &MovieFilter, order: Order) -> u64 {
    fingerprint(&format!("{}{:?}", filter.text(), order))
}

/// FNV-1a over a request: tells a token that was meant for another one. It guards nothing.
pub fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use quartet_chassis::clock::Clock;

    use super::*;

    const BY_SCORE: Order = Order { by: By::Score, desc: true };

    #[test]
    fn k1_orders_are_read() {
        assert_eq!(Order::parse(""), Ok(Order { by: By::Id, desc: true }));
        assert_eq!(Order::parse("movie_id"), Ok(Order { by: By::Id, desc: false }));
        assert_eq!(Order::parse(" score  desc "), Ok(BY_SCORE));
        for wrong in ["budget", "score asc", "score desc name", "score; drop table movie", "desc", "Score"] {
            assert!(Order::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn s35_a_token_goes_with_its_request_only() {
        let filter = MovieFilter::default();
        let position = Position { key: Key::Number(73.0), id: Id::new(&Clock::System) };
        let token = encode(&filter, BY_SCORE, &position, 9_999);
        assert_eq!(decode(&token, &filter, BY_SCORE), Ok(Some(Start::After(position, 9_999))));
        assert_eq!(decode("", &filter, BY_SCORE), Ok(None));
        let other = MovieFilter { min_score: Some(1.0), ..MovieFilter::default() };
        assert!(decode(&token, &other, BY_SCORE).is_err());
        assert!(decode(&token, &filter, Order { desc: false, ..BY_SCORE }).is_err());
    }

    #[test]
    fn s35_values_of_a_token_are_checked() {
        let (filter, id) = (MovieFilter::default(), Id::new(&Clock::System));
        let long = "x".repeat(1025);
        let bad = [
            (By::Id, Key::Number(1.0)),
            (By::Score, Key::Text("1' or '1'='1".to_owned())),
            (By::Score, Key::Number(1e300)),
            (By::Name, Key::Text("a\0".to_owned())),
            (By::Name, Key::Text(long)),
            (By::ReleaseDate, Key::Text("2023-03-02'".to_owned())),
            (By::ReleaseDate, Key::None),
        ];
        for (by, key) in bad {
            let order = Order { by, desc: false };
            let token = encode(&filter, order, &Position { key, id }, 1);
            assert!(decode(&token, &filter, order).is_err(), "{by:?}");
        }
        for total in [-1, i64::MAX] {
            let position = Position { key: Key::Number(1.0), id };
            assert!(decode(&encode(&filter, BY_SCORE, &position, total), &filter, BY_SCORE).is_err());
        }
    }
}
