//! Random numbers for guests: a ChaCha20 generator, seeded by the boot loader.

use crate::cpu::timer;
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};

/// A generator for the seeds in guests' device trees.
pub struct Source(ChaCha20Rng);

impl Source {
    /// Makes one from the boot loader's `rng-seed`; without that, what a guest gets can be guessed.
    pub fn new(rng_seed: &[u8]) -> Self {
        if rng_seed.is_empty() {
            log::warn!("no rng-seed from the boot loader: guests' seeds can be guessed");
        }
        let mut seed = [0; 32];
        for (n, &byte) in rng_seed.iter().enumerate() {
            seed[n % 32] ^= byte;
        }
        for (byte, count) in seed.iter_mut().zip(timer::count().to_le_bytes()) {
            *byte ^= count;
        }
        Self(ChaCha20Rng::from_seed(seed))
    }

    /// Returns the next 32 bytes.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// Returns the next 64 bits.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }
}
