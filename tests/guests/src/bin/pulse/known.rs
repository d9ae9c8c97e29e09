//! Memory and registers whose contents are known.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use guests::rt::fp::{self, Vectors};
use guests::{mrs, msr};

const WORDS: usize = 8192;
/// After how many rounds the memory is filled anew.
const REFILL: u64 = 16;

static MEMORY: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];

/// What is known.
pub struct Known {
    seed: u64,
    sum: u64,
    vectors: Vectors,
    rounds: u64,
}

impl Known {
    /// Fills memory and registers with what follows from `seed`.
    pub fn new(seed: u64) -> Self {
        // FP is the guest's own: the program is built without it.
        msr!("CPACR_EL1", mrs!("CPACR_EL1") | 3 << 20);
        let mut known = Self {
            seed: seed | 1,
            sum: 0,
            vectors: Vectors([0; 32]),
            rounds: 0,
        };
        known.fill();
        known
    }

    /// Compares everything; returns how much was not as it should be.
    pub fn round(&mut self) -> u64 {
        let sum = MEMORY
            .iter()
            .fold(0_u64, |sum, word| mix(sum, word.load(Relaxed)));
        let registers = [mrs!("TPIDR_EL0"), mrs!("TPIDR_EL1"), mrs!("CONTEXTIDR_EL1")];
        let wrong = u64::from(sum != self.sum)
            + u64::from(registers != self.registers())
            + u64::from(fp::store() != self.vectors);
        self.rounds += 1;
        if self.rounds.is_multiple_of(REFILL) || wrong != 0 {
            self.fill();
        }
        wrong
    }

    fn registers(&self) -> [u64; 3] {
        [self.seed, !self.seed, self.seed & 0xffff_ffff]
    }

    fn fill(&mut self) {
        self.sum = 0;
        for word in &MEMORY {
            let value = self.random();
            word.store(value, Relaxed);
            self.sum = mix(self.sum, value);
        }
        for n in 0..32 {
            self.vectors.0[n] = u128::from(self.random()) << 64 | u128::from(self.random());
        }
        fp::load(&self.vectors);
        let [user, kernel, context] = self.registers();
        msr!("TPIDR_EL0", user);
        msr!("TPIDR_EL1", kernel);
        msr!("CONTEXTIDR_EL1", context);
    }

    fn random(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }
}

/// Adds a word to a sum that depends on the order.
const fn mix(sum: u64, word: u64) -> u64 {
    sum.rotate_left(5) ^ word
}
