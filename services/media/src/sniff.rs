//! What a browser may show: types that run no script, in files that are of them by their first bytes.

/// How many of a file's first bytes are looked at.
pub const HEAD: u64 = 4096;

/// Types that are shown, and what the first bytes of such a file say it is.
const SHOWN: [(&str, &[&str]); 20] = [
    ("audio/aac", &["audio/aac"]),
    ("audio/flac", &["audio/x-flac"]),
    ("audio/m4a", &["audio/m4a", "video/mp4"]),
    ("audio/mp4", &["audio/m4a", "video/mp4"]),
    ("audio/mpeg", &["audio/mpeg"]),
    ("audio/ogg", &["audio/ogg", "audio/opus"]),
    ("audio/opus", &["audio/opus"]),
    ("audio/wav", &["audio/x-wav"]),
    ("audio/webm", &["video/webm"]),
    ("audio/x-flac", &["audio/x-flac"]),
    ("audio/x-m4a", &["audio/m4a", "video/mp4"]),
    ("audio/x-wav", &["audio/x-wav"]),
    ("image/avif", &["image/avif"]),
    ("image/gif", &["image/gif"]),
    ("image/jpeg", &["image/jpeg"]),
    ("image/png", &["image/png"]),
    ("image/webp", &["image/webp"]),
    ("video/mp4", &["video/mp4", "video/x-m4v"]),
    ("video/quicktime", &["video/quicktime"]),
    ("video/webm", &["video/webm"]),
];
/// Texts that are shown; nothing in their first bytes tells them.
const TEXTS: [&str; 2] = ["text/plain", "text/vtt"];

/// The type under which a browser may show a file; empty when it is to be saved.
pub fn inline_type(content_type: &str, head: &[u8]) -> String {
    let bare = bare(content_type);
    if TEXTS.contains(&bare.as_str()) {
        return if is_text(head) { bare } else { String::new() };
    }
    let found = infer::get(head).map(|kind| kind.mime_type());
    let agrees = |(shown, heads): &(&str, &[&str])| *shown == bare && found.is_some_and(|found| heads.contains(&found));
    if SHOWN.iter().any(agrees) { bare } else { String::new() }
}

/// A type without its parameters, in lower case.
pub fn bare(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether it begins as UTF-8 does, perhaps cut in the middle of a character, without NUL, and as nothing that is told by its first bytes.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && head.len() as u64 >= HEAD,
    };
    valid && !head.contains(&0) && infer::get(head).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    const MP4: &[u8] = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41";
    const WEBM: &[u8] =
        b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x82\x84webm";
    /// Shorter than any film is: the bytes of a WebM are looked at from here on.
    const FILM: usize = 300;

    #[test]
    fn s52_only_harmless_types_whose_bytes_agree_are_shown() {
        assert_eq!(inline_type("image/png", PNG), "image/png");
        assert_eq!(inline_type("Video/MP4; codecs=avc1", MP4), "video/mp4");
        let film = [WEBM, &[0; FILM]].concat();
        assert_eq!(inline_type("video/webm", &film), "video/webm");
        assert_eq!(inline_type("text/vtt;charset=utf-8", "WEBVTT\n\nö".as_bytes()), "text/vtt");
        for (content_type, head) in [
            ("image/png", &b"<script>alert(1)</script>"[..]),
            ("image/png", MP4),
            ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
            ("text/html", b"<html>"),
            ("text/html", PNG),
            ("application/xhtml+xml", b"<html/>"),
            ("application/pdf", b"%PDF-1.7"),
            ("text/plain", b"<html><script>alert(1)</script>"),
            ("text/plain", b"a\0b"),
            ("text/plain", b"a\xffb"),
            ("text/plain", "ö".as_bytes().split_at(1).0),
            ("", PNG),
        ] {
            assert_eq!(inline_type(content_type, head), "", "{content_type}");
        }
    }

    #[test]
    fn s52_a_text_may_be_cut_in_the_middle_of_a_character() {
        let text = "ö".repeat(HEAD as usize);
        assert_eq!(inline_type("text/plain", &text.as_bytes()[1..]), "");
        assert_eq!(inline_type("text/plain", &[b"a", &text.as_bytes()[..HEAD as usize - 1]].concat()), "text/plain");
    }
}
