//! Random numbers for a guest that asks its firmware (Arm DEN 0098, version 1.0).
//!
//! Each VM has a [`Generator`] of its own, ChaCha20 under a key no other VM sees. Before a call is
//! answered the key is replaced by one made of its own output and of fresh bits from the machine,
//! where the machine has a source; so what was given out can't be computed from what the generator
//! holds later. Without a source the seed of the VM's start has to do. Without that either, or when
//! the source has failed for too long, the guest is told that there is no entropy.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::panic
    )
)]

#[cfg(test)]
mod tests;

use super::smccc::Action;
use crate::{
    bits::ones,
    isa::smccc::{self, TRNG_INVALID_PARAMETERS, TRNG_NO_ENTROPY},
};
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};

/// The interface's version as TRNG_VERSION gives it: 1.0.
pub const VERSION: u64 = 0x1_0000;
/// Which back end this is: `5f0c1c6e-8d35-4d5e-b0a9-3e4d1e7a92c4`, this hypervisor's own.
pub const UUID: [u32; 4] = [0x6e1c_0c5f, 0x5e4d_358d, 0x4d3e_a9b0, 0xc492_7a1e];

/// A well-formed TRNG_RND.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// How many bits, at least one and at most three registers full.
    bits: u32,
    /// How many bits a register takes: 32 or 64.
    width: u32,
}

/// Decodes a TRNG call, given x1, and answers it if no random numbers are needed; `None` when it is
/// none.
pub fn call(function: u32, x1: u64) -> Option<Action> {
    Some(match function {
        smccc::TRNG_VERSION => Action::Return(VERSION),
        smccc::TRNG_FEATURES => Action::Return(features(x1 as u32)),
        smccc::TRNG_GET_UUID => Action::ReturnAll(UUID.map(u64::from)),
        smccc::TRNG_RND => random(x1, 32),
        smccc::TRNG_RND_64 => random(x1, 64),
        _ => return None,
    })
}

/// Answers TRNG_FEATURES: no function has flags.
const fn features(function: u32) -> u64 {
    match function {
        smccc::TRNG_VERSION
        | smccc::TRNG_FEATURES
        | smccc::TRNG_GET_UUID
        | smccc::TRNG_RND
        | smccc::TRNG_RND_64 => 0,
        _ => smccc::NOT_SUPPORTED as u64,
    }
}

fn random(bits: u64, width: u32) -> Action {
    match bits {
        1..=192 if bits <= u64::from(width).saturating_mul(3) => Action::Random(Request {
            bits: bits as u32,
            width,
        }),
        _ => Action::ReturnAll(refused(TRNG_INVALID_PARAMETERS)),
    }
}

/// Returns x0 to x3 of a call that failed: no register but x0 holds anything.
const fn refused(code: i64) -> [u64; 4] {
    [code as u64, 0, 0, 0]
}

/// A VM's generator.
pub struct Generator {
    rng: ChaCha20Rng,
    /// How many answers may be given before fresh bits must have come in.
    credit: u32,
    /// Whether there is a source of fresh bits.
    has_source: bool,
}

/// How many answers a seed is good for when the machine's source gives nothing.
const CREDIT: u32 = 1024;

impl Generator {
    /// Makes one. `seed` is secret and this VM's alone; `None` when nothing secret is known.
    /// `has_source` says that the machine can be asked for fresh bits.
    pub fn new(seed: Option<[u8; 32]>, has_source: bool) -> Self {
        Self {
            rng: ChaCha20Rng::from_seed(seed.unwrap_or_default()),
            credit: if seed.is_some() { CREDIT } else { 0 },
            has_source,
        }
    }

    /// Answers a request: x0 to x3. `fresh` asks the machine for 64 fresh bits.
    pub fn answer(&mut self, request: Request, fresh: impl FnMut() -> Option<u64>) -> [u64; 4] {
        self.refresh(fresh);
        if self.credit == 0 {
            return refused(TRNG_NO_ENTROPY);
        }
        if self.has_source {
            self.credit = self.credit.saturating_sub(1);
        }
        self.draw(request)
    }

    /// Replaces the key by one made of its own output and, as far as there are any, 256 fresh bits.
    fn refresh(&mut self, mut fresh: impl FnMut() -> Option<u64>) {
        let mut key = [0; 32];
        self.rng.fill_bytes(&mut key);
        let mut complete = self.has_source;
        if self.has_source {
            let (words, _) = key.as_chunks_mut::<8>();
            for word in words {
                match fresh() {
                    Some(bits) => {
                        *word = (u64::from_le_bytes(*word) ^ bits).to_le_bytes();
                    }
                    None => {
                        complete = false;
                        break;
                    }
                }
            }
        }
        self.rng = ChaCha20Rng::from_seed(key);
        if complete {
            self.credit = CREDIT;
        }
    }

    /// Draws the bits: the lowest are in x3, what is above the number asked for is zero.
    fn draw(&mut self, request: Request) -> [u64; 4] {
        let mut left = request.bits;
        let mut registers = [0; 4];
        for register in registers.iter_mut().rev().take(3) {
            let here = left.min(request.width);
            *register = self.rng.next_u64() & ones(here);
            left = left.saturating_sub(here);
        }
        registers
    }
}
