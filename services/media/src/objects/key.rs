//! The names of objects: made of an id and nothing that a user says (S-51).

use quartet_chassis::id::Id;

use super::ObjectError;

/// The name of the object with this id: `objects/60/0198b3f2-…-5b1d2c3e4f60`. The last digits of an id are random, so the objects are
/// spread over 256 folders.
pub fn key(id: Id) -> String {
    let id = id.to_string();
    format!("objects/{}/{id}", &id[id.len() - 2..])
}

/// The id in a name, as text.
pub(super) fn id(name: &str) -> Result<&str, ObjectError> {
    let id = name.rsplit('/').next().unwrap_or_default();
    match id.parse() {
        Ok(parsed) if key(parsed) == name => Ok(id),
        _ => Err(ObjectError::Missing),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "what a test stands on must be there")]
mod tests {
    use super::*;

    #[test]
    fn s51_only_the_servers_own_names_name_an_object() {
        let own = "objects/60/0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60";
        assert_eq!(key("0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60".parse().unwrap()), own);
        assert_eq!(id(own).unwrap(), "0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60");
        for name in [
            "",
            "objects/60/..",
            "../etc/passwd",
            "/etc/passwd",
            "objects/61/0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60",
            "objects/60/0198B3F2-7D0C-7A51-8F0E-5B1D2C3E4F60",
            "../objects/60/0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60",
            "0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60",
            "objects/60/0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60\0",
        ] {
            assert_eq!(id(name), Err(ObjectError::Missing), "{name}");
        }
    }
}
