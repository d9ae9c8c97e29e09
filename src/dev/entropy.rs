//! Where fresh random bits come from: the CPU, or the firmware's TRNG (Arm DEN 0098).

#![expect(unsafe_code, reason = "calls to the firmware hand it the CPU")]

use super::psci::{Conduit, Psci};
use crate::{
    cpu::{
        random,
        smc::{hvc, smc},
    },
    isa::smccc,
};
use core::fmt;

/// A source of fresh random bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entropy {
    /// FEAT_RNG of every CPU.
    Cpu,
    /// The firmware's TRNG.
    Firmware(Conduit),
    /// There is none.
    Absent,
}

impl fmt::Display for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "the CPU",
            Self::Firmware(_) => "the firmware",
            Self::Absent => "none",
        })
    }
}

impl Entropy {
    /// Finds the source: the CPU when it has FEAT_RNG, else `firmware`, whose PSCI is 1.0 or newer,
    /// when it has a TRNG.
    pub fn find(cpu_has_it: bool, firmware: Option<Conduit>) -> Self {
        match firmware {
            _ if cpu_has_it => Self::Cpu,
            Some(conduit) if has_trng(conduit) => Self::Firmware(conduit),
            _ => Self::Absent,
        }
    }

    /// Returns 64 fresh bits; `None` when there are none just now.
    pub fn fresh(self) -> Option<u64> {
        match self {
            Self::Cpu => random::fresh(),
            Self::Firmware(conduit) => match ask(conduit, smccc::TRNG_RND_64, 64) {
                [0, _, _, bits] => Some(bits),
                _ => None,
            },
            Self::Absent => None,
        }
    }
}

/// Asks, step by step, so that no call is made that the callee might not answer: PSCI_FEATURES
/// tells of SMCCC_VERSION, and version 1.1 answers unknown functions.
fn has_trng(conduit: Conduit) -> bool {
    const SMCCC_1_1: i32 = 0x1_0001;
    let there = |function, argument| ask(conduit, function, argument)[0] as i32;
    Psci::new(conduit).features(smccc::VERSION).is_ok()
        && there(smccc::VERSION, 0) >= SMCCC_1_1
        && there(smccc::TRNG_VERSION, 0) >= 0
        && there(smccc::TRNG_FEATURES, smccc::TRNG_RND_64) >= 0
}

/// Makes one of the calls of this file.
fn ask(conduit: Conduit, function: u32, argument: u32) -> [u64; 4] {
    let args = [argument.into(), 0, 0];
    // SAFETY: SMCCC_VERSION, TRNG_VERSION, TRNG_FEATURES and TRNG_RND, the only functions asked
    // for, give numbers and take nothing.
    unsafe {
        match conduit {
            Conduit::Smc => smc(function, args),
            Conduit::Hvc => hvc(function, args),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::fake::{self, Event};

    fn answering(answers: &[[u64; 4]]) {
        fake::reset();
        fake::with(|cpu| cpu.answers.extend(answers));
    }

    #[test]
    fn the_cpu_comes_first() {
        answering(&[]);
        let source = Entropy::find(true, Some(Conduit::Smc));
        assert_eq!(source, Entropy::Cpu);
        assert!(fake::with(|cpu| cpu.log.is_empty()), "nobody was called");
        assert_eq!(source.fresh(), None);
        let rndrrs = crate::isa::encoding::Encoding::new(3, 3, 2, 4, 1).iss();
        fake::with(|cpu| cpu.regs.insert(rndrrs, 0x1234));
        assert_eq!(source.fresh(), Some(0x1234));
    }

    #[test]
    fn the_firmware_is_asked_only_what_it_says_it_has() {
        let yes = [0; 4];
        let version = [0x1_0001, 0, 0, 0];
        let no = [u64::MAX, 0, 0, 0];
        for (answers, calls) in [
            (&[no][..], 1),
            (&[yes, [0x1_0000, 0, 0, 0]], 2),
            (&[yes, version, no], 3),
            (&[yes, version, [0x1_0000, 0, 0, 0], no], 4),
        ] {
            answering(answers);
            assert_eq!(Entropy::find(false, Some(Conduit::Smc)), Entropy::Absent);
            assert_eq!(fake::with(|cpu| cpu.log.len()), calls);
        }
        assert_eq!(Entropy::find(false, None), Entropy::Absent);
    }

    #[test]
    fn the_firmwares_bits_are_in_x3() {
        let yes = [0; 4];
        let version = [0x1_0001, 0, 0, 0];
        answering(&[yes, version, [0x1_0000, 0, 0, 0], yes]);
        let source = Entropy::find(false, Some(Conduit::Smc));
        assert_eq!(source, Entropy::Firmware(Conduit::Smc));
        fake::with(|cpu| cpu.answers.extend([[0, 1, 2, 3], [-3_i64 as u64, 0, 0, 0]]));
        assert_eq!((source.fresh(), source.fresh()), (Some(3), None));
        let last = fake::with(|cpu| cpu.log.last().copied());
        assert_eq!(last, Some(Event::Smc([0xc400_0053, 64, 0, 0])));
    }
}
