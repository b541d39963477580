//! `Range` and `Content-Range`, RFC 9110 §14.

use quartet_proto::media::v1::ByteRange;

/// The range that a header asks for. `None` means all of it: there is no range, it is not one that we know, it makes no sense, or there are
/// several, which nobody who plays or resumes needs.
pub fn parse(header: &str) -> Option<ByteRange> {
    let (unit, ranges) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut ranges = ranges.split(',').map(str::trim).filter(|range| !range.is_empty());
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return None };
    match range.split_once('-')? {
        ("", last) => match number(last)? {
            // The last no bytes are of no file: a place behind every end says so.
            0 => Some(ByteRange { offset: i64::MAX, ..ByteRange::default() }),
            suffix_length => Some(ByteRange { suffix_length, ..ByteRange::default() }),
        },
        (first, "") => Some(ByteRange { offset: number(first)?, ..ByteRange::default() }),
        (first, last) => {
            let (offset, last) = (number(first)?, number(last)?);
            let length = last.checked_sub(offset).filter(|more| *more >= 0)?.saturating_add(1);
            Some(ByteRange { offset, length, suffix_length: 0 })
        }
    }
}

/// Digits only. What is larger than every file is as good as the largest number.
fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(i64::MAX))
}

/// What stands in `Content-Range` for bytes that are sent.
pub fn content_range(offset: i64, length: i64, size: i64) -> String {
    format!("bytes {offset}-{}/{size}", offset + length - 1)
}

/// What stands in `Content-Range` where the file ends before the range begins.
pub fn unsatisfied(size: &str) -> String {
    format!("bytes */{size}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: &str) -> Option<(i64, i64, i64)> {
        parse(header).map(|range| (range.offset, range.length, range.suffix_length))
    }

    #[test]
    fn m7_one_range_is_read() {
        assert_eq!(of("bytes=0-"), Some((0, 0, 0)));
        assert_eq!(of("bytes=0-0"), Some((0, 1, 0)));
        assert_eq!(of("bytes=100-199"), Some((100, 100, 0)));
        assert_eq!(of("bytes=-500"), Some((0, 0, 500)));
        assert_eq!(of("Bytes = 5-9 ,"), Some((5, 5, 0)));
    }

    #[test]
    fn m7_numbers_beyond_all_files_are_behind_their_end() {
        assert_eq!(of("bytes=99999999999999999999-"), Some((i64::MAX, 0, 0)));
        assert_eq!(of("bytes=1-99999999999999999999"), Some((1, i64::MAX, 0)));
        assert_eq!(of("bytes=0-9223372036854775807"), Some((0, i64::MAX, 0)));
        assert_eq!(of("bytes=-0"), Some((i64::MAX, 0, 0)));
    }

    #[test]
    fn m7_what_is_no_single_range_of_bytes_means_all() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-3",
            "bytes=0-1,5-9",
            "bytes=+1-2",
            "bytes=1--2",
            "bytes=0x1-",
            "bytes=1 - 2",
            "items=0-5",
            "bytes 0-5",
            "bytes=\u{663}-",
        ] {
            assert_eq!(of(header), None, "{header}");
        }
    }

    #[test]
    fn m7_what_is_sent_is_said() {
        assert_eq!(content_range(0, 1, 10), "bytes 0-0/10");
        assert_eq!(content_range(5, 5, 10), "bytes 5-9/10");
        assert_eq!(unsatisfied("10"), "bytes */10");
    }
}
