//! People as courses name them: in which order names stand.

use quartet_chassis::fold::fold;

/// Behind every name: those who have none.
const NAMELESS: &str = "\u{ffff}";

/// By what people are ordered: the folded name, first then last.
pub fn name_key(first_name: &str, last_name: &str) -> String {
    let name = format!("{first_name} {last_name}");
    let key = fold(&name.split_whitespace().collect::<Vec<_>>().join(" "));
    if key.is_empty() { NAMELESS.to_owned() } else { key }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k7_the_nameless_stand_last() {
        assert_eq!(name_key(" \u{c1}da ", "King  Lovelace"), "ada king lovelace");
        assert!(name_key("", "").as_str() > name_key("z", "z").as_str());
    }
}
