//! The key by which a request is known when it comes again.

/// The longest one, in characters.
const LENGTH: usize = 64;

/// A key that a request gives; none is fine.
pub fn key(key: String) -> Result<Option<String>, &'static str> {
    if key.chars().count() > LENGTH || key.chars().any(char::is_control) {
        return Err("must have at most 64 characters, and no control characters");
    }
    Ok((!key.is_empty()).then_some(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m3_a_key_is_short_and_printable() {
        assert_eq!(key(String::new()), Ok(None));
        assert_eq!(key("ä".repeat(LENGTH)), Ok(Some("ä".repeat(LENGTH))));
        assert!(key("a".repeat(LENGTH + 1)).is_err() && key("a\n".to_owned()).is_err());
    }
}
