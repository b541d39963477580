//! Countries: codes of both lengths in, alpha-3 code and English name out.

use crate::country_codes::COUNTRIES;

/// A country of the standard or of history.
#[derive(Debug, PartialEq, Eq)]
pub struct Country {
    pub alpha2: &'static str,
    /// The alpha-3 code, which is stored and answered.
    pub code: &'static str,
    pub name: &'static str,
}

/// The country of an alpha-2 or alpha-3 code, in either case.
pub fn country(code: &str) -> Option<&'static Country> {
    match code.len() {
        2 => COUNTRIES.iter().find(|country| country.alpha2.eq_ignore_ascii_case(code)),
        3 => COUNTRIES.iter().find(|country| country.code.eq_ignore_ascii_case(code)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn k2_codes_of_both_lengths_are_known() {
        for (code, stored) in
            [("JP", "JPN"), ("JPN", "JPN"), ("jp", "JPN"), ("SU", "SUN"), ("XC", "CSK"), ("SUN", "SUN")]
        {
            assert_eq!(country(code).map(|country| country.code), Some(stored), "{code}");
        }
        for unknown in ["", "J", "QQ", "QQQ", "JAPAN", "Ü"] {
            assert_eq!(country(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn k2_a_code_has_one_name() {
        let mut alpha2 = HashSet::new();
        for known in COUNTRIES {
            assert!(alpha2.insert(known.alpha2), "{} stands twice", known.alpha2);
            assert_eq!((known.alpha2.len(), known.code.len()), (2, 3));
            assert_eq!(country(known.code).map(|country| country.name), Some(known.name));
        }
    }
}
