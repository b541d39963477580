//! What a download begins with: what the bytes are, and as what they may be shown.

use std::fmt::Write as _;
use std::ops::Range;

use quartet_proto::media::v1::{DownloadHeader, TranscriptFormat};

use crate::store::media::File;

/// The type of what no browser is to show.
const OPAQUE: &str = "application/octet-stream";

/// The header of a range of a file.
pub fn header(file: File, range: &Range<u64>, attachment: bool) -> DownloadHeader {
    let shown = shown_as(&file.media.inline_type);
    DownloadHeader {
        offset: number(range.start),
        length: number(range.end - range.start),
        inline: shown.is_some() && !attachment,
        content_type: shown.unwrap_or_else(|| OPAQUE.to_owned()),
        etag: etag(&file.stored.sha256, ""),
        size_bytes: file.stored.size_bytes,
        media: Some(file.into()),
    }
}

/// The header of a range of a transcript in a form.
pub fn text_header(
    file: File,
    range: &Range<u64>,
    size: usize,
    format: TranscriptFormat,
    attachment: bool,
) -> DownloadHeader {
    let form = if format == TranscriptFormat::Webvtt { "-vtt" } else { "-text" };
    DownloadHeader {
        offset: number(range.start),
        length: number(range.end - range.start),
        inline: !attachment,
        content_type: text_type(format).to_owned(),
        etag: etag(&file.stored.sha256, form),
        size_bytes: number(size as u64),
        media: Some(file.into()),
    }
}

/// The type of a transcript in a form.
pub fn text_type(format: TranscriptFormat) -> &'static str {
    match format {
        TranscriptFormat::Webvtt => "text/vtt; charset=utf-8",
        TranscriptFormat::Text | TranscriptFormat::Unspecified => "text/plain; charset=utf-8",
    }
}

/// The type under which a browser may show a file, if any: the one that was declared, where the bytes were found to be of it and it is
/// harmless.
fn shown_as(inline: &str) -> Option<String> {
    match inline {
        "" => None,
        // Texts that are shown were found to be UTF-8.
        text if text.starts_with("text/") => Some(format!("{text}; charset=utf-8")),
        other => Some(other.to_owned()),
    }
}

fn etag(sha256: &[u8], form: &str) -> String {
    let mut etag = String::with_capacity(2 * sha256.len() + form.len());
    for byte in sha256 {
        let _ = write!(etag, "{byte:02x}");
    }
    etag + form
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s52_only_what_is_what_it_says_is_shown() {
        assert_eq!(shown_as("video/mp4").as_deref(), Some("video/mp4"));
        assert_eq!(shown_as("text/plain").as_deref(), Some("text/plain; charset=utf-8"));
        assert_eq!(shown_as(""), None);
    }

    #[test]
    fn m7_other_bytes_have_another_etag() {
        assert_eq!(etag(&[0, 0xab, 9], ""), "00ab09");
        assert_eq!(etag(&[0, 0xab, 9], "-vtt"), "00ab09-vtt");
    }
}
