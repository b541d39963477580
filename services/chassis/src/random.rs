//! Randomness, from the operating system by way of aws-lc.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// `N` random bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(clippy::expect_used, reason = "without randomness nothing here is safe to go on")]
    rand::fill(&mut bytes).expect("the operating system has no randomness");
    bytes
}

/// A token of 256 random bits: 43 characters that need no escaping in a link.
pub fn token() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<32>())
}

/// A code of `count` decimal digits (at most 18), each as likely as any other.
pub fn digits(count: u32) -> String {
    let space = 10u64.pow(count);
    let fair = u64::MAX - u64::MAX % space;
    let number = loop {
        let number = u64::from_le_bytes(bytes());
        if number < fair {
            break number % space;
        }
    };
    format!("{number:0width$}", width = count as usize)
}
