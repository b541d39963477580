//! Rules of uploads: how a file is cut into parts, and what may be said about it.

use quartet_chassis::failure::Fields;
use quartet_chassis::line::named;
use quartet_proto::media::v1::{MediaKind, StartUploadRequest, UploadState};

use crate::error::Error;
use crate::kind;

/// The longest name of a file, in characters.
pub const FILE_NAME: usize = 255;
/// The longest type, in characters.
const TYPE: usize = 127;
/// How long a part is, where that makes no more of them than there may be.
const PART: i64 = 8 << 20;
/// How long it is at the most, and where nobody knows how long the file will be.
const LONGEST_PART: i64 = 16 << 20;
/// The most parts of a file: as many as an object of S3 has.
const PARTS: u64 = 10_000;
/// The longest transcript: it is answered in one piece.
const TRANSCRIPT: i64 = 16 << 20;
/// The most uploads that an account has open.
pub const OPEN: i32 = 32;

/// A file that is to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUpload {
    pub name: String,
    pub kind: MediaKind,
    pub content_type: String,
    /// Nothing when it is not known yet.
    pub size_bytes: Option<i64>,
    pub sha256: Option<Vec<u8>>,
}

impl NewUpload {
    /// Reads the request's fields; what is wrong with them is noted. `most` is how long a file may be.
    pub fn read(request: &StartUploadRequest, most: i64, fields: &mut Fields) -> Option<NewUpload> {
        let name = fields.take("name", named(&request.name, FILE_NAME));
        let kind = fields.take("kind", kind::stated(request.kind));
        let content_type = fields.take("content_type", content_type(&request.content_type));
        let most = kind.map_or(most, |kind| longest(kind, most));
        let size = fields.take("size_bytes", size(request.size_bytes, most));
        let sha256 = fields.take("sha256", digest(&request.sha256));
        Some(NewUpload { name: name?, kind: kind?, content_type: content_type?, size_bytes: size?, sha256: sha256? })
    }

    /// How long its parts are, but for the last.
    pub fn part_size(&self) -> i64 {
        self.size_bytes.map_or(LONGEST_PART, part_size)
    }
}

/// How long a file of this kind may be.
pub fn longest(kind: MediaKind, most: i64) -> i64 {
    if kind == MediaKind::Transcript { most.min(TRANSCRIPT) } else { most }
}

fn part_size(size: i64) -> i64 {
    // Whole blocks of the digest and of disks.
    let least = size.unsigned_abs().div_ceil(PARTS).next_multiple_of(64 << 10);
    i64::try_from(least).unwrap_or(LONGEST_PART).clamp(PART, LONGEST_PART)
}

fn size(bytes: i64, most: i64) -> Result<Option<i64>, String> {
    match bytes {
        0 => Ok(None),
        bytes if bytes < 0 => Err("must not be negative".to_owned()),
        bytes if bytes > most => Err(format!("must not be above {most}")),
        bytes => Ok(Some(bytes)),
    }
}

/// A digest, or nothing.
pub fn digest(bytes: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    match bytes.len() {
        0 => Ok(None),
        32 => Ok(Some(bytes.to_vec())),
        _ => Err("must be a SHA-256, 32 bytes, or empty"),
    }
}

/// A type as it stands in HTTP: `video/mp4`, `text/plain; charset=utf-8`.
fn content_type(text: &str) -> Result<String, &'static str> {
    const RULE: &str = "must be a type such as `video/mp4`, of at most 127 characters";
    let text = text.trim();
    let token = |part: &str| !part.is_empty() && part.bytes().all(is_token);
    let (bare, parameters) = text.split_once(';').unwrap_or((text, ""));
    let (kind, subtype) = bare.trim_end().split_once('/').ok_or(RULE)?;
    let parameters = parameters.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if token(kind) && token(subtype) && parameters && text.len() <= TYPE { Ok(text.to_owned()) } else { Err(RULE) }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Where in a file a part lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub offset: i64,
    pub length: i64,
    /// Whether its sender says that it is the last.
    pub last: bool,
}

/// What an upload is like, as far as that decides where its parts may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub part_size: i64,
    pub size_bytes: Option<i64>,
    /// How long the file may be.
    pub longest: i64,
}

impl Shape {
    /// Which part begins here, by its number from 0; none does between two parts.
    pub fn number(&self, offset: i64) -> Option<i32> {
        let number = offset.checked_div(self.part_size).filter(|_| offset >= 0 && offset % self.part_size == 0)?;
        i32::try_from(number).ok()
    }

    /// How long the part is that begins here, if the end of the file is known.
    fn expected(&self, offset: i64) -> Option<i64> {
        self.size_bytes.map(|size| (size - offset).clamp(0, self.part_size))
    }

    /// Whether the part may lie where it does, which is where the upload stands.
    pub fn check(&self, place: Place) -> Result<(), Error> {
        let mut fields = Fields::default();
        let Place { offset, length, last } = place;
        let end = offset.saturating_add(length);
        match self.expected(offset) {
            Some(0) => fields.refuse("data", "comes behind the end of the file"),
            Some(expected) if length != expected => fields.refuse("data", format!("must have {expected} bytes")),
            Some(_) if last && self.size_bytes != Some(end) => {
                fields.refuse("last", "is said of a part that is not the last by `size_bytes`");
            }
            Some(_) => {}
            None if length == 0 => fields.refuse("data", "must not be empty"),
            None if length > self.part_size => fields.refuse("data", self.at_most()),
            None if length < self.part_size && !last => {
                let rule = format!("must have {} bytes, unless it is the `last`", self.part_size);
                fields.refuse("data", rule);
            }
            None if end > self.longest => {
                fields.refuse("data", format!("makes the file longer than {} bytes", self.longest));
            }
            None => {}
        }
        fields.finish().map_err(Error::from)
    }

    fn at_most(&self) -> String {
        format!("must have at most {} bytes", self.part_size)
    }
}

/// A state as it is stored: `OPEN`.
pub fn state_name(state: UploadState) -> &'static str {
    state.as_str_name().trim_start_matches("UPLOAD_STATE_")
}

pub fn stored_state(name: &str) -> UploadState {
    UploadState::from_str_name(&format!("UPLOAD_STATE_{name}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m6_a_file_has_at_most_ten_thousand_parts() {
        let most = PARTS as i64;
        for size in [1, PART, PART * most, PART * most + 1, 100 << 30, LONGEST_PART * most] {
            let part = part_size(size);
            assert!((PART..=LONGEST_PART).contains(&part) && part % 4096 == 0, "{size}");
            assert!((size - 1) / part < most, "{size}");
        }
        assert_eq!(part_size(PART * most), PART);
    }

    #[test]
    fn m6_a_part_lies_where_it_fits() {
        let known = Shape { part_size: 10, size_bytes: Some(25), longest: 100 };
        let unknown = Shape { size_bytes: None, ..known };
        let fits = |shape: Shape, offset, length, last| shape.check(Place { offset, length, last }).is_ok();
        assert!(fits(known, 0, 10, false) && fits(known, 20, 5, false) && fits(known, 20, 5, true));
        for (offset, length, last) in [(0, 9, false), (0, 0, false), (0, 11, false), (0, 10, true), (20, 4, true)] {
            assert!(!fits(known, offset, length, last), "{offset} {length}");
        }
        assert!(!fits(known, 25, 1, true) && !fits(known, 25, 0, false));
        assert!(fits(unknown, 0, 10, false) && fits(unknown, 0, 10, true) && fits(unknown, 90, 7, true));
        assert!(!fits(unknown, 0, 7, false) && !fits(unknown, 0, 0, true) && !fits(unknown, 0, 11, true));
        assert!(!fits(unknown, 100, 1, true));
        assert_eq!([0, 10, 90].map(|at| known.number(at)), [Some(0), Some(1), Some(9)]);
        assert_eq!([-10, 1, 99, i64::MAX].map(|at| known.number(at)), [None; 4]);
    }

    #[test]
    fn m6_types_are_those_of_http() {
        for right in ["video/mp4", "text/plain; charset=utf-8", "application/vnd.x+json", "a/b;c=\"d e\""] {
            assert_eq!(content_type(right), Ok(right.to_owned()));
        }
        for wrong in ["", "video", "video/", "/mp4", "video/mp4\r\nx: y", "vidéo/mp4", "a/b;\0", "video mp4/x", "a/b/c"]
        {
            assert!(content_type(wrong).is_err(), "{wrong:?}");
        }
        assert!(content_type(&format!("a/{}", "b".repeat(126))).is_err());
    }

    #[test]
    fn m6_all_that_is_wrong_with_a_start_is_told() {
        let request = StartUploadRequest { size_bytes: -1, sha256: vec![1].into(), ..Default::default() };
        let mut fields = Fields::default();
        assert_eq!(NewUpload::read(&request, 100, &mut fields), None);
        let failure = format!("{:?}", quartet_chassis::failure::Failure::from(fields));
        for field in ["name", "kind", "content_type", "size_bytes", "sha256"] {
            assert!(failure.contains(field), "{field}");
        }
        assert_eq!(longest(MediaKind::Transcript, i64::MAX), TRANSCRIPT);
    }

    #[test]
    fn m6_states_come_back_as_they_were_stored() {
        for number in 1..=5 {
            let state = UploadState::try_from(number).unwrap_or_default();
            assert_eq!((state as i32, stored_state(state_name(state))), (number, state));
        }
    }
}
