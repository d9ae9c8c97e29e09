//! Random numbers for guests: a ChaCha20 generator, seeded by the boot loader and the machine.

use crate::{
    cpu::timer,
    dev::{entropy::Entropy, smccc::Firmware},
    isa::features::{IdReg, IdRegs},
    vm::trng::Generator,
};
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};

/// Finds the machine's source of fresh bits.
pub fn find(firmware: Option<Firmware>, ids: &IdRegs) -> Entropy {
    let rndr = crate::bits::field(ids.get(IdReg::ID_AA64ISAR0), 60, 4);
    Entropy::find(rndr != 0, firmware)
}

/// A generator for what guests start with: the seeds in their device trees, and those of their
/// generators.
pub struct Source {
    rng: ChaCha20Rng,
    /// Whether anything in the seed was secret.
    secret: bool,
    machine: Entropy,
}

impl Source {
    /// Makes one from the boot loader's `rng-seed` and the machine's own source; without both,
    /// what a guest gets can be guessed.
    pub fn new(rng_seed: &[u8], machine: Entropy) -> Self {
        let mut seed = [0; 32];
        for (n, &byte) in rng_seed.iter().enumerate() {
            seed[n % 32] ^= byte;
        }
        let fresh = mix(&mut seed, || machine.fresh());
        for (byte, count) in seed.iter_mut().zip(timer::count().to_le_bytes()) {
            *byte ^= count;
        }
        // As many bits as a key has, from one of the two.
        let secret = fresh || rng_seed.len() >= seed.len();
        if !secret {
            log::warn!("no rng-seed from the boot loader: guests' seeds can be guessed");
        }
        Self {
            rng: ChaCha20Rng::from_seed(seed),
            secret,
            machine,
        }
    }

    /// Makes the generator behind a VM's TRNG, under a key that no other VM's depends on.
    pub fn generator(&mut self) -> Generator {
        let seed = self.bytes();
        let has_source = self.machine != Entropy::Absent;
        Generator::new(self.secret.then_some(seed), has_source)
    }

    /// Returns the next 32 bytes.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// Returns the next 64 bits.
    pub fn number(&mut self) -> u64 {
        self.rng.next_u64()
    }
}

/// Mixes fresh bits into a seed; returns whether there were enough for all of it.
fn mix(seed: &mut [u8; 32], mut fresh: impl FnMut() -> Option<u64>) -> bool {
    let (words, _) = seed.as_chunks_mut::<8>();
    words.iter_mut().all(|word| match fresh() {
        Some(bits) => {
            *word = (u64::from_le_bytes(*word) ^ bits).to_le_bytes();
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_fresh_when_all_of_it_is() {
        let mut seed = [1; 32];
        assert!(mix(&mut seed, || Some(0xff)));
        assert_eq!((seed[0], seed[1], seed[24]), (0xfe, 1, 0xfe));
        let mut words = 0;
        let three = || {
            words += 1;
            (words < 4).then_some(1)
        };
        assert!(!mix(&mut seed, three));
    }

    #[test]
    fn vms_get_keys_of_their_own() {
        crate::cpu::fake::reset();
        let mut source = Source::new(&[5; 32], Entropy::Absent);
        assert!(source.secret);
        assert_ne!(source.bytes(), source.bytes());
        assert!(!Source::new(&[5; 31], Entropy::Absent).secret);
        assert!(!Source::new(&[], Entropy::Cpu).secret, "RNDRRS gives none");
    }
}
