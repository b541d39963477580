//! What comes by chance, and comes again from the same seed.

use quartet_chassis::random;

/// One player's dice (SplitMix64).
pub struct Dice(u64);

impl Dice {
    /// Each player of a seed has other dice.
    pub fn of(seed: u64, player: u64) -> Dice {
        let mut dice = Dice(seed ^ player.wrapping_mul(0xd134_2543_de82_ef95));
        dice.roll();
        dice
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// From 0 to one less than `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    /// A place in a list.
    pub fn place(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    pub fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

/// The seed that `QUARTET_TEST_SEED` names, or a new one.
pub fn seed() -> u64 {
    let named = std::env::var("QUARTET_TEST_SEED").ok().filter(|text| !text.is_empty());
    match named {
        Some(text) => text.parse().expect("QUARTET_TEST_SEED is a number"),
        None => u64::from(u32::from_le_bytes(random::bytes())),
    }
}
