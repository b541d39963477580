//! Pages of lists: the size asked for, the token that says where to go on, and how many there are.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How many bytes the items of a page have at most, so that the page fits into a message of 4 MiB with all that stands around them.
pub const BYTES: usize = 3_500_000;

/// What is wrong with a page token that is none.
pub const NOT_A_TOKEN: &str = "must be the `next_page_token` of an answer to the same request";

/// How many items a page has: 25 when 0 is asked for, 100 at most.
pub fn size(asked: i32) -> Result<i64, &'static str> {
    match asked {
        i32::MIN..0 => Err("must not be negative"),
        0 => Ok(25),
        1..=100 => Ok(i64::from(asked)),
        _ => Ok(100),
    }
}

/// Cuts rows, of which there is one more than the size when others follow, to a page. Answers the token that leads to the next one, which
/// `token` makes of the last row; an empty one when none follows.
pub fn cut<R>(rows: &mut Vec<R>, size: i64, token: impl Fn(&R) -> String) -> String {
    let size = usize::try_from(size).unwrap_or_default();
    let more = rows.len() > size;
    rows.truncate(size);
    rows.last().filter(|_| more).map(token).unwrap_or_default()
}

/// Cuts rows likewise, and to what fits into a message: `length` is about how many bytes a row has there. One row alone always fits.
pub fn cut_long<R>(rows: &mut Vec<R>, size: i64, length: impl Fn(&R) -> usize, token: impl Fn(&R) -> String) -> String {
    let fitting = fitting(rows.iter().map(length));
    cut(rows, size.min(i64::try_from(fitting).unwrap_or(i64::MAX)), token)
}

/// How many of the first items a page holds; one alone always does.
pub fn fitting(lengths: impl IntoIterator<Item = usize>) -> usize {
    let mut sum: usize = 0;
    let fits = |(at, length): &(usize, usize)| {
        sum = sum.saturating_add(*length);
        *at == 0 || sum <= BYTES
    };
    lengths.into_iter().enumerate().take_while(fits).count()
}

/// How many there are, as an answer's `int32` has it: more than it can hold are as many as it can.
pub fn count(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

/// Encodes a position as a page token. The position holds plain values that are checked again when it comes back.
pub fn encode<T: Serialize>(position: &T) -> String {
    serde_json::to_vec(position).map(|json| URL_SAFE_NO_PAD.encode(json)).unwrap_or_default()
}

/// Decodes a page token; `Ok(None)` for the empty one, which asks for the first page.
pub fn decode<T: DeserializeOwned>(token: &str) -> Result<Option<T>, &'static str> {
    if token.is_empty() {
        return Ok(None);
    }
    if token.len() > 2048 {
        return Err(NOT_A_TOKEN);
    }
    let json = URL_SAFE_NO_PAD.decode(token).map_err(|_| NOT_A_TOKEN)?;
    serde_json::from_slice(&json).map(Some).map_err(|_| NOT_A_TOKEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_token_when_another_one_follows() {
        let page = |count: i32| {
            let mut rows: Vec<i32> = (1..=count).collect();
            let token = cut(&mut rows, 2, i32::to_string);
            (rows, token)
        };
        assert_eq!(page(0), (vec![], String::new()));
        assert_eq!(page(2), (vec![1, 2], String::new()));
        assert_eq!(page(3), (vec![1, 2], "2".to_owned()));
    }

    #[test]
    fn more_than_can_be_told_are_as_many_as_can() {
        assert_eq!((count(7_usize), count(1_i64 << 40)), (7, i32::MAX));
    }

    #[test]
    fn s40_a_page_of_long_rows_is_a_short_one() {
        let page = |lengths: &[usize], size: i64| {
            let mut rows = lengths.to_vec();
            let token = cut_long(&mut rows, size, |row| *row, |row| format!("behind {row}"));
            (rows.len(), token)
        };
        assert_eq!(page(&[BYTES - 1, 1, 2], 25), (2, "behind 1".to_owned()));
        assert_eq!(page(&[BYTES + 1, 1], 25), (1, format!("behind {}", BYTES + 1)));
        assert_eq!(page(&[usize::MAX, usize::MAX], 25).0, 1);
        assert_eq!(page(&[1, 2, 3], 2), (2, "behind 2".to_owned()));
        assert_eq!(page(&[1, 2], 2), (2, String::new()));
        assert_eq!(page(&[], 2), (0, String::new()));
    }
}
