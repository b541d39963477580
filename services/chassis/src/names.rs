//! Lists of names in the order of the alphabet: where a page begins and ends.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Fields};
use crate::fold::{self, fold};
use crate::page;

/// A part of a list of names: those that begin with the prefix and stand behind (`from`, `id`).
#[derive(Debug, Clone, PartialEq)]
pub struct NameList<T> {
    /// The folded name where the part begins: the prefix itself on the first page, where no id is the least one.
    pub from: String,
    pub id: T,
    /// Behind every folded name that begins with the prefix.
    pub before: String,
    pub size: i64,
    prefix: String,
}

#[derive(Serialize, Deserialize)]
struct Token {
    prefix: String,
    /// Of the name, what follows the prefix.
    rest: String,
    id: String,
}

impl<T: FromStr + Display> NameList<T> {
    /// Reads the three fields that every list of names has. `least` is an id below every other.
    pub fn parse(prefix: &str, page_size: i32, page_token: &str, least: T) -> Result<NameList<T>, Failure> {
        let mut fields = Fields::default();
        let prefix = fields.take("name_prefix", folded(prefix));
        let size = fields.take("page_size", page::size(page_size));
        let token = fields.take("page_token", decode(page_token, prefix.as_deref()));
        let (Some(prefix), Some(size), Some(token)) = (prefix, size, token) else { return Err(fields.into()) };
        let (from, id) = token.unwrap_or_else(|| (prefix.clone(), least));
        Ok(NameList { from, id, before: format!("{prefix}\u{10ffff}"), size, prefix })
    }

    /// The token of the page behind (`name`, `id`).
    pub fn token(&self, name: &str, id: &T) -> String {
        let rest = name.strip_prefix(&self.prefix).unwrap_or_default();
        page::encode(&Token { prefix: self.prefix.clone(), rest: rest.to_owned(), id: id.to_string() })
    }
}

fn folded(prefix: &str) -> Result<String, &'static str> {
    if prefix.chars().count() > 100 {
        return Err("must not be longer than 100 characters");
    }
    if prefix.chars().any(char::is_control) {
        return Err("must not hold control characters");
    }
    Ok(fold(prefix))
}

/// Reads a token; when the prefix itself is wrong there is nothing to hold it against.
fn decode<T: FromStr>(token: &str, prefix: Option<&str>) -> Result<Option<(String, T)>, &'static str> {
    let Some(Token { prefix: own, rest, id }) = page::decode(token)? else { return Ok(None) };
    let name = own.clone() + &rest;
    let right = name.len() <= 4 * fold::LENGTH && id.len() <= 36;
    if !right || prefix.is_some_and(|prefix| prefix != own) || name.contains('\0') || id.contains('\0') {
        return Err(page::NOT_A_TOKEN);
    }
    id.parse().map(|id| Some((name, id))).map_err(|_| page::NOT_A_TOKEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(prefix: &str, token: &str) -> Result<NameList<String>, Failure> {
        NameList::parse(prefix, 0, token, String::new())
    }

    #[test]
    fn k2_a_list_begins_at_its_prefix_and_goes_on_behind_its_token() {
        let Ok(list) = parse("Dr", "") else { panic!("refused") };
        assert_eq!((list.from.as_str(), list.before.as_str(), list.size), ("dr", "dr\u{10ffff}", 25));
        let token = list.token("drama", &"7".to_owned());
        let Ok(next) = parse("DR", &token) else { panic!("refused") };
        assert_eq!((next.from.as_str(), next.id.as_str(), next.before.as_str()), ("drama", "7", "dr\u{10ffff}"));
    }

    #[test]
    fn s35_the_longest_names_have_tokens() {
        let prefix = "\u{ac01}".repeat(100);
        let Ok(list) = parse(&prefix, "") else { panic!("refused") };
        let name = fold(&"\u{ac01}".repeat(300));
        let Ok(next) = parse(&prefix, &list.token(&name, &"7".repeat(36))) else { panic!("refused") };
        assert_eq!((next.from, next.prefix), (name, list.prefix));
    }

    #[test]
    fn s35_a_token_for_another_prefix_is_refused() {
        let Ok(list) = parse("dr", "") else { panic!("refused") };
        assert!(parse("d", &list.token("drama", &"7".to_owned())).is_err());
        assert!(parse("dr", &list.token("dr\0", &"7".to_owned())).is_err());
        assert!(parse("dr", "garbage").is_err());
    }
}
