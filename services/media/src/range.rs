//! Which bytes of a file are meant.

use std::ops::Range;

use quartet_chassis::failure::Fields;
use quartet_proto::media::v1::ByteRange;

/// What is asked for of a file, whatever its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    From {
        offset: u64,
        /// All that follow, if not stated.
        length: Option<u64>,
    },
    Last(u64),
}

/// Reads a range as it is asked for.
pub fn asked(range: Option<ByteRange>, fields: &mut Fields) -> Option<Asked> {
    let ByteRange { offset, length, suffix_length } = range.unwrap_or_default();
    let mut number =
        |field: &str, value: i64| fields.take(field, u64::try_from(value).map_err(|_| "must not be negative"));
    let (offset, length, suffix) =
        (number("range.offset", offset), number("range.length", length), number("range.suffix_length", suffix_length));
    let (offset, length, suffix) = (offset?, length?, suffix?);
    match suffix {
        0 => Some(Asked::From { offset, length: Some(length).filter(|length| *length > 0) }),
        suffix if (offset, length) == (0, 0) => Some(Asked::Last(suffix)),
        _ => {
            fields.refuse("range.suffix_length", "must not be stated with `offset` or `length`");
            None
        }
    }
}

impl Asked {
    /// The bytes that are meant of a file of this length; `None` when it ends before they begin.
    pub fn of(self, size: u64) -> Option<Range<u64>> {
        match self {
            Asked::From { offset, .. } if offset >= size => None,
            Asked::From { offset, length: None } => Some(offset..size),
            Asked::From { offset, length: Some(length) } => Some(offset..offset.saturating_add(length).min(size)),
            Asked::Last(length) => Some(size.saturating_sub(length)..size).filter(|range| !range.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(offset: i64, length: i64, suffix_length: i64, size: u64) -> Option<Range<u64>> {
        let mut fields = Fields::default();
        asked(Some(ByteRange { offset, length, suffix_length }), &mut fields).and_then(|asked| asked.of(size))
    }

    #[test]
    fn m7_a_range_is_cut_to_the_file() {
        assert_eq!(of(0, 0, 0, 10), Some(0..10));
        assert_eq!(of(3, 0, 0, 10), Some(3..10));
        assert_eq!(of(3, 4, 0, 10), Some(3..7));
        assert_eq!(of(9, 1, 0, 10), Some(9..10));
        assert_eq!(of(9, i64::MAX, 0, 10), Some(9..10));
        assert_eq!(of(0, 0, 4, 10), Some(6..10));
        assert_eq!(of(0, 0, i64::MAX, 10), Some(0..10));
    }

    #[test]
    fn m7_a_range_behind_the_end_is_none() {
        assert_eq!(of(10, 0, 0, 10), None);
        assert_eq!(of(i64::MAX, i64::MAX, 0, 10), None);
        assert_eq!(of(0, 0, 0, 0), None);
        assert_eq!(of(0, 0, 1, 0), None);
    }

    #[test]
    fn m7_all_that_is_wrong_with_a_range_is_told() {
        let refused = |offset, length, suffix_length| {
            let mut fields = Fields::default();
            assert_eq!(asked(Some(ByteRange { offset, length, suffix_length }), &mut fields), None);
            format!("{:?}", fields.finish().err())
        };
        let all = refused(-1, -1, -1);
        assert!(["range.offset", "range.length", "range.suffix_length"].iter().all(|field| all.contains(field)));
        assert!(refused(1, 0, 1).contains("range.suffix_length"));
    }
}
