//! SHA-256 over a file that comes in parts, perhaps to several instances, perhaps with a crash between two of them.

use bytes::Bytes;
use quartet_chassis::failure::Failure;
use sha2::digest::common::hazmat::{SerializableState as _, SerializedState};
use sha2::{Digest as _, Sha256};

use crate::error::Error;

/// A running digest, as it is kept between two parts.
#[derive(Clone, Default)]
pub struct Running(Sha256);

impl Running {
    /// Takes up what was kept. Nothing kept is the beginning.
    pub fn stored(state: &[u8]) -> Result<Running, Error> {
        if state.is_empty() {
            return Ok(Running::default());
        }
        let state = SerializedState::<Sha256>::try_from(state).ok();
        let running = state.and_then(|state| Sha256::deserialize(&state).ok());
        let broken = || Failure::internal("an internal error occurred", "the state of a running digest can't be read");
        running.map(Running).ok_or_else(|| broken().into())
    }

    pub fn to_stored(&self) -> Vec<u8> {
        self.0.serialize().to_vec()
    }

    pub fn add(&mut self, pieces: &[Bytes]) {
        pieces.iter().for_each(|piece| self.0.update(piece));
    }

    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// The digest of some pieces, one after the other.
pub fn of(pieces: &[Bytes]) -> [u8; 32] {
    let mut running = Running::default();
    running.add(pieces);
    running.finish()
}

/// Does work that takes a processor for a while where it holds up nobody else.
pub async fn off_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::internal("an internal error occurred", error).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m6_a_digest_goes_on_from_what_was_kept_wherever_that_was() {
        let file: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
        let whole = of(&[Bytes::from(file.clone())]);
        for part in [1, 63, 64, 65, 4096, 70_000] {
            let mut state = Vec::new();
            for piece in file.chunks(part) {
                let Ok(mut running) = Running::stored(&state) else { panic!("not its own") };
                running.add(&[Bytes::copy_from_slice(piece)]);
                state = running.to_stored();
            }
            let Ok(running) = Running::stored(&state) else { panic!("not its own") };
            assert_eq!(running.finish(), whole, "parts of {part}");
        }
        assert!(Running::stored(&[1, 2, 3]).is_err());
    }

    #[test]
    fn m6_the_digest_is_sha_256() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let hex: String = of(&[Bytes::from("a"), Bytes::from("bc")]).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, known);
    }
}
