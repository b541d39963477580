//! Where a page of answers begins.

use quartet_chassis::page;
use serde::{Deserialize, Serialize};

use super::found::Hit;
use super::query::Query;
use crate::filter::MovieFilter;
use crate::order::fingerprint;

/// What a page token holds: plain values that are checked again when it comes back.
#[derive(Serialize, Deserialize)]
struct Token {
    /// The question and the filter that it belongs to.
    question: u64,
    rank: u32,
    score: f64,
    id: String,
}

fn question(query: &Query, filter: &MovieFilter) -> u64 {
    fingerprint(&format!("search {}{}", query.text(), filter.text()))
}

/// The token of the page behind `hit`.
pub fn encode(query: &Query, filter: &MovieFilter, hit: &Hit) -> String {
    let (question, id) = (question(query, filter), hit.id.to_string());
    page::encode(&Token { question, rank: hit.rank, score: hit.score, id })
}

/// Reads a page token; `Ok(None)` for the empty one.
pub fn decode(token: &str, query: &Query, filter: &MovieFilter) -> Result<Option<Hit>, &'static str> {
    let Some(token) = page::decode::<Token>(token)? else { return Ok(None) };
    if token.question != question(query, filter) || !(0.0..=100.0).contains(&token.score) {
        return Err(page::NOT_A_TOKEN);
    }
    let id = token.id.parse().map_err(|_| page::NOT_A_TOKEN)?;
    Ok(Some(Hit { rank: token.rank, score: token.score, id }))
}
