//! What a file is in its project, as the database names it.

use quartet_proto::media::v1::MediaKind;

const PREFIX: &str = "MEDIA_KIND_";

/// `VIDEO`.
pub fn kind_name(kind: MediaKind) -> &'static str {
    kind.as_str_name().trim_start_matches(PREFIX)
}

/// The kind of that name. Nothing else is ever stored.
pub fn stored_kind(name: &str) -> MediaKind {
    MediaKind::from_str_name(&format!("{PREFIX}{name}")).unwrap_or_default()
}

/// The kind of a request that has to state one.
pub fn stated(kind: i32) -> Result<MediaKind, &'static str> {
    match MediaKind::try_from(kind) {
        Ok(MediaKind::Unspecified) | Err(_) => Err("must be one of VIDEO, TRANSCRIPT, AI_SUMMARY, AI_AUDIO, AI_VIDEO"),
        Ok(kind) => Ok(kind),
    }
}

/// The kind of a list that may be of all.
pub fn stated_or_all(kind: i32) -> Result<Option<MediaKind>, &'static str> {
    if kind == 0 { Ok(None) } else { stated(kind).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m8_kinds_come_back_as_they_were_stored() {
        for number in 1..=5 {
            let kind = stated(number).unwrap_or_default();
            assert_eq!((kind as i32, stored_kind(kind_name(kind))), (number, kind));
        }
        assert_eq!(kind_name(MediaKind::AiSummary), "AI_SUMMARY");
        assert!(stated(0).is_err() && stated(6).is_err() && stated(-1).is_err());
        assert_eq!((stated_or_all(0), stated_or_all(1)), (Ok(None), Ok(Some(MediaKind::Video))));
    }
}
