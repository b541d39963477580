//! The installation's master key and what is derived from it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;

use crate::random;

/// The key that everything secret at rest hangs on: 32 bytes, in a file of mode 0600 or a secret of the fleet.
#[derive(Clone)]
pub struct MasterKey(Arc<hmac::Key>);

impl MasterKey {
    /// Reads the key from `path`, or makes one there.
    pub fn read_or_create(path: &Path) -> anyhow::Result<MasterKey> {
        if !path.exists() {
            let begun = path.with_extension("new");
            let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&begun)?;
            file.write_all(hex::encode(random::bytes::<32>()).as_bytes())?;
            file.sync_all()?;
            fs::rename(&begun, path)?;
            fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        }
        let mode = fs::metadata(path).with_context(|| format!("can't read {}", path.display()))?.mode();
        if mode & 0o077 != 0 {
            bail!("others can read {}: `chmod 600` it", path.display());
        }
        let text = fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
        MasterKey::parse(&text).with_context(|| format!("{} is not a master key", path.display()))
    }

    /// Reads the key from its text: 64 hexadecimal digits.
    pub fn parse(text: &str) -> anyhow::Result<MasterKey> {
        let bytes = hex::decode(text.trim()).unwrap_or_default();
        if bytes.len() != 32 {
            bail!("must be 64 hexadecimal digits, as `openssl rand -hex 32` prints");
        }
        Ok(MasterKey(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &bytes))))
    }

    /// A key of its own for one purpose. The same purpose always gets the same key.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let tag = hmac::sign(&self.0, purpose.as_bytes());
        let mut key = [0; 32];
        key.copy_from_slice(tag.as_ref());
        key
    }

    /// Seals and opens what lies in the database, under a key for this purpose.
    pub fn sealer(&self, purpose: &str) -> Sealer {
        Sealer { key: Arc::new(self.derive(purpose)) }
    }

    /// Computes tags that only the holder of the key can, under a key for this purpose.
    pub fn tagger(&self, purpose: &str) -> Tagger {
        Tagger(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &self.derive(purpose))))
    }
}

/// AES-256-GCM with a random nonce in front.
#[derive(Clone)]
pub struct Sealer {
    key: Arc<[u8; 32]>,
}

/// The sealed bytes were changed, or sealed under another key or for another place.
#[derive(Debug, thiserror::Error)]
#[error("sealed data does not open: it was changed, or the master key is another one")]
pub struct SealBroken;

impl Sealer {
    /// Seals `plain` for one place (a row's id, say): it opens nowhere else.
    pub fn seal(&self, place: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealBroken> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, self.key.as_slice()).map_err(|_| SealBroken)?;
        let mut data = plain.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(place), &mut data).map_err(|_| SealBroken)?;
        Ok([nonce.as_ref().as_slice(), &data].concat())
    }

    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealBroken> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, self.key.as_slice()).map_err(|_| SealBroken)?;
        let (nonce, data) = sealed.split_at_checked(12).ok_or(SealBroken)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealBroken)?;
        let mut data = data.to_vec();
        let plain = key.open_in_place(nonce, Aad::from(place), &mut data).map_err(|_| SealBroken)?;
        Ok(plain.to_vec())
    }
}

/// HMAC-SHA-256 under a key of its own.
#[derive(Clone)]
pub struct Tagger(Arc<hmac::Key>);

impl Tagger {
    /// The tag of several parts; no two lists of parts share one.
    pub fn tag(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        context.sign().as_ref().to_vec()
    }
}

/// Compares in a time that does not depend on where the first difference is.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}
