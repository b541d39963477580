//! What a file is, by its name.

use std::path::Path;

use quartet_proto::media::v1::MediaKind;

/// Ends of names, the type that they stand for, and the kind where there is no doubt.
const KNOWN: [(&str, &str, Option<MediaKind>); 16] = [
    ("mp4", "video/mp4", Some(MediaKind::Video)),
    ("m4v", "video/mp4", Some(MediaKind::Video)),
    ("webm", "video/webm", Some(MediaKind::Video)),
    ("mov", "video/quicktime", Some(MediaKind::Video)),
    ("mkv", "video/x-matroska", Some(MediaKind::Video)),
    ("ogv", "video/ogg", Some(MediaKind::Video)),
    ("vtt", "text/vtt", Some(MediaKind::Transcript)),
    ("srt", "application/x-subrip", Some(MediaKind::Transcript)),
    ("txt", "text/plain", None),
    ("md", "text/markdown", None),
    ("json", "application/json", None),
    ("mp3", "audio/mpeg", None),
    ("m4a", "audio/mp4", None),
    ("ogg", "audio/ogg", None),
    ("wav", "audio/wav", None),
    ("flac", "audio/flac", None),
];

/// The type and, where there is no doubt, the kind of a file with this name.
pub fn of_name(path: &Path) -> (&'static str, Option<MediaKind>) {
    let end = path.extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase);
    let known = KNOWN.iter().find(|(known, _, _)| end.as_deref() == Some(known));
    known.map_or(("application/octet-stream", None), |(_, content_type, kind)| (content_type, *kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_type_and_kind() {
        assert_eq!(of_name(Path::new("a/Beach.MP4")), ("video/mp4", Some(MediaKind::Video)));
        assert_eq!(of_name(Path::new("said.vtt")), ("text/vtt", Some(MediaKind::Transcript)));
        assert_eq!(of_name(Path::new("notes.txt")), ("text/plain", None));
        // Whether a machine has made it, the name does not say.
        assert_eq!(of_name(Path::new("talk.mp3")), ("audio/mpeg", None));
        assert_eq!(of_name(Path::new("mp4")), ("application/octet-stream", None));
    }
}
