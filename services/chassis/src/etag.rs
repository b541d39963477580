//! The etag of a row that counts its versions.

/// What tells a version of a row from the others.
pub fn of(version: i64) -> String {
    format!("{version:x}")
}

/// The version that an etag names, and none when it is empty; one that was never made names none that there is.
pub fn version(etag: &str) -> Option<i64> {
    (!etag.is_empty()).then(|| i64::from_str_radix(etag, 16).unwrap_or(-1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m3_an_etag_names_one_version() {
        let versions = [version(""), version("ff"), version(&of(12)), version("new")];
        assert_eq!(versions, [None, Some(255), Some(12), Some(-1)]);
    }
}
