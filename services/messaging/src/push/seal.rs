//! What only the browser opens: RFC 8291 (Message Encryption for Web Push) in one record of RFC 8188.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, ParsedPublicKey, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use quartet_chassis::random;

/// The size of a record, as its head says. A push service takes 4,096 bytes in all.
const RECORD: u32 = 4096;
/// What is longer than this does not fit.
pub const LONGEST: usize = 3800;
/// Lengths are rounded up to a multiple of this, so that they tell less.
const STEP: usize = 256;
/// The length of a public key: a point that is not compressed.
pub const POINT: usize = 65;
/// The length of a browser's secret.
pub const SECRET: usize = 16;

/// It can't be sealed for this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it can't be sealed for the browser's key")]
pub struct NotSealed;

impl From<Unspecified> for NotSealed {
    fn from(_: Unspecified) -> NotSealed {
        NotSealed
    }
}

/// Whether these bytes are a key that something can be sealed for.
pub fn is_key(point: &[u8]) -> bool {
    let is_point = point.len() == POINT && point.first() == Some(&4);
    is_point && ParsedPublicKey::try_from(UnparsedPublicKey::new(&ECDH_P256, point)).is_ok()
}

/// Seals for a browser.
pub fn seal(plain: &[u8], point: &[u8], secret: &[u8]) -> Result<Vec<u8>, NotSealed> {
    let once = PrivateKey::generate(&ECDH_P256)?;
    seal_with(plain, point, secret, &once, random::bytes())
}

fn seal_with(
    plain: &[u8],
    point: &[u8],
    secret: &[u8],
    once: &PrivateKey,
    salt: [u8; 16],
) -> Result<Vec<u8>, NotSealed> {
    if plain.len() > LONGEST {
        return Err(NotSealed);
    }
    let own = once.compute_public_key()?;
    let shared = agree(once, UnparsedPublicKey::new(&ECDH_P256, point), NotSealed, |shared| Ok(shared.to_vec()))?;
    let mut ikm = [0; 32];
    let info: [&[u8]; 3] = [b"WebPush: info\0", point, own.as_ref()];
    Salt::new(HKDF_SHA256, secret).extract(&shared).expand(&info, HKDF_SHA256)?.fill(&mut ikm)?;
    let prk = Salt::new(HKDF_SHA256, &salt).extract(&ikm);
    let (mut key, mut nonce) = ([0; 16], [0; 12]);
    prk.expand(&[b"Content-Encoding: aes128gcm\0"], Length(16))?.fill(&mut key)?;
    prk.expand(&[b"Content-Encoding: nonce\0"], Length(12))?.fill(&mut nonce)?;

    let mut data = plain.to_vec();
    // This record is the last one; zeros follow.
    data.push(2);
    data.resize(data.len().next_multiple_of(STEP).min(LONGEST + 1), 0);
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key)?);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut data)?;
    let length = u8::try_from(own.as_ref().len()).map_err(|_| NotSealed)?;
    Ok([salt.as_slice(), &RECORD.to_be_bytes(), &[length], own.as_ref(), &data].concat())
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    /// RFC 8291, section 5 and appendix A. Ours differs from the example in what follows the text: zeros.
    #[test]
    fn g13_the_head_is_that_of_the_standard_s_example() -> anyhow::Result<()> {
        let read = |text| URL_SAFE_NO_PAD.decode(text);
        let once = read("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")?;
        let once = PrivateKey::from_private_key(&ECDH_P256, &once).map_err(|error| anyhow::anyhow!("{error}"))?;
        let point = read("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4")?;
        let secret = read("BTBZMqHH6r4Tts7J_aSIgg")?;
        let salt = <[u8; 16]>::try_from(read("DGv6ra1nlYgDCS1FRnbzlw")?).unwrap_or_default();
        let plain = b"When I grow up, I want to be a watermelon";
        let sealed = seal_with(plain, &point, &secret, &once, salt)?;
        let example = read(
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN",
        )?;
        let head = 16 + 4 + 1 + POINT;
        // In counter mode the text is hidden in the same way whatever follows it.
        assert_eq!(sealed[..head + plain.len() + 1], example[..head + plain.len() + 1]);
        assert_eq!((sealed.len() - head - 16) % STEP, 0);
        Ok(())
    }

    #[test]
    fn g12_a_key_is_a_point_of_the_curve() -> anyhow::Result<()> {
        let good = PrivateKey::generate(&ECDH_P256)?.compute_public_key()?;
        assert!(is_key(good.as_ref()));
        let mut wrong = good.as_ref().to_vec();
        wrong[64] ^= 1;
        assert!(!is_key(&wrong) && !is_key(&good.as_ref()[..64]) && !is_key(&[]) && !is_key(&[0; 65]));
        Ok(())
    }

    #[test]
    fn g13_what_is_too_long_is_not_sealed_and_what_just_fits_is_short_enough() -> anyhow::Result<()> {
        let key = PrivateKey::generate(&ECDH_P256)?.compute_public_key()?;
        assert!(seal(&vec![b'x'; LONGEST], key.as_ref(), &[1; SECRET])?.len() <= 4096);
        assert_eq!(seal(&vec![b'x'; LONGEST + 1], key.as_ref(), &[1; SECRET]), Err(NotSealed));
        Ok(())
    }
}
