//! Clients: programs of the operator's, each known by a key of its own. The database has only the key's tag.

use quartet_chassis::crypt::{Tagger, equal};
use quartet_chassis::id::Id;
use quartet_chassis::random;

/// The scope to ask for tokens of accounts.
pub const MINT: &str = "token.mint";
const SCOPES: [&str; 1] = [MINT];
/// The most characters of a name.
const NAME: usize = 50;
/// A longer text is no key of ours.
const KEY: usize = 128;

/// The name of a client, which the owners of accounts read in their sessions.
pub fn parse_name(name: String) -> Result<String, &'static str> {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if is_plain && (1..=NAME).contains(&name.len()) {
        Ok(name)
    } else {
        Err("must be 1 to 50 letters, digits, `-` and `_`")
    }
}

/// What a client may do, as the database has it: separated by blanks.
pub fn parse_scopes(mut scopes: Vec<String>) -> Result<String, &'static str> {
    scopes.sort();
    scopes.dedup();
    let is_known = |scope: &String| SCOPES.contains(&scope.as_str());
    if scopes.is_empty() || !scopes.iter().all(is_known) {
        return Err("must be one of `token.mint`");
    }
    Ok(scopes.join(" "))
}

/// Makes and recognizes the keys of clients.
#[derive(Clone)]
pub struct ClientKeys(Tagger);

impl ClientKeys {
    pub fn new(tagger: Tagger) -> ClientKeys {
        ClientKeys(tagger)
    }

    /// A new key for the client with this id, and its tag.
    pub fn draw(&self, id: Id) -> (String, Vec<u8>) {
        let key = random::token();
        let tag = self.tag(id, &key);
        (key, tag)
    }

    /// Whether it is the key that `stored` is the tag of. Without one it takes as long and never is.
    pub fn is_right(&self, id: Id, key: &str, stored: Option<&[u8]>) -> bool {
        let key = key.get(..KEY.min(key.len())).unwrap_or_default();
        let tag = self.tag(id, key);
        equal(&tag, stored.unwrap_or(&[0; 32])) && stored.is_some()
    }

    fn tag(&self, id: Id, key: &str) -> Vec<u8> {
        self.0.tag(&[id.as_bytes(), key.as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use quartet_chassis::crypt::MasterKey;

    use super::*;

    #[test]
    fn i18_a_client_has_a_plain_name_and_known_scopes() {
        for name in ["a", "Mobile-App_2", &"n".repeat(50)] {
            assert!(parse_name(name.to_owned()).is_ok(), "{name}");
        }
        for name in ["", "two words", "ä", "a\n", "a:b", &"n".repeat(51)] {
            assert!(parse_name(name.to_owned()).is_err(), "{name}");
        }
        let scopes = |scopes: &[&str]| parse_scopes(scopes.iter().map(|&scope| scope.to_owned()).collect());
        assert_eq!(scopes(&["token.mint", "token.mint"]), Ok("token.mint".to_owned()));
        assert!(
            scopes(&[]).is_err() && scopes(&["token.mint", "root"]).is_err() && scopes(&["token.mint root"]).is_err()
        );
    }

    #[test]
    fn i18_a_key_is_good_for_its_own_client_alone() -> anyhow::Result<()> {
        let keys = ClientKeys::new(MasterKey::parse(&"ab".repeat(32))?.tagger("test"));
        let (one, other) = (Id::from_bytes([1; 16]), Id::from_bytes([2; 16]));
        let (key, tag) = keys.draw(one);
        assert!(keys.is_right(one, &key, Some(&tag)));
        assert!(!keys.is_right(other, &key, Some(&tag)) && !keys.is_right(one, &key, None));
        assert!(!keys.is_right(one, &key[1..], Some(&tag)) && !keys.is_right(one, "", Some(&tag)));
        assert!(!keys.is_right(one, &"é".repeat(200), Some(&tag)));
        Ok(())
    }
}
