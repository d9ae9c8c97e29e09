//! Where fresh random bits come from: the CPU, or the firmware's TRNG (Arm DEN 0098).

use super::smccc::Firmware;
use crate::{cpu::random, isa::smccc};
use core::fmt;

/// A source of fresh random bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entropy {
    /// FEAT_RNG of every CPU.
    Cpu,
    /// The firmware's TRNG.
    Firmware(Firmware),
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
    /// Finds the source: the CPU when it has FEAT_RNG, else `firmware` when it has a TRNG.
    pub fn find(cpu_has_it: bool, firmware: Option<Firmware>) -> Self {
        match firmware {
            _ if cpu_has_it => Self::Cpu,
            Some(firmware) if has_trng(firmware) => Self::Firmware(firmware),
            _ => Self::Absent,
        }
    }

    /// Returns 64 fresh bits; `None` when there are none just now.
    pub fn fresh(self) -> Option<u64> {
        match self {
            Self::Cpu => random::fresh(),
            Self::Firmware(firmware) => match firmware.ask(smccc::TRNG_RND_64, 64) {
                [0, _, _, bits] => Some(bits),
                _ => None,
            },
            Self::Absent => None,
        }
    }
}

fn has_trng(firmware: Firmware) -> bool {
    let there = |function, argument| firmware.ask(function, argument)[0] as i32 >= 0;
    there(smccc::TRNG_VERSION, 0) && there(smccc::TRNG_FEATURES, smccc::TRNG_RND_64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cpu::fake::{self, Event},
        dev::psci::Conduit,
    };

    fn answering(answers: &[[u64; 4]]) {
        fake::reset();
        fake::with(|cpu| cpu.answers.extend(answers));
    }

    #[test]
    fn the_cpu_comes_first() {
        answering(&[]);
        let source = Entropy::find(true, None);
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
            (&[yes, version, no][..], 3),
            (&[yes, version, [0x1_0000, 0, 0, 0], no], 4),
        ] {
            answering(answers);
            let firmware = Firmware::find(Conduit::Smc);
            assert_eq!(Entropy::find(false, firmware), Entropy::Absent);
            assert_eq!(fake::with(|cpu| cpu.log.len()), calls);
        }
        assert_eq!(Entropy::find(false, None), Entropy::Absent);
    }

    #[test]
    fn the_firmwares_bits_are_in_x3() {
        let yes = [0; 4];
        let version = [0x1_0001, 0, 0, 0];
        answering(&[yes, version, [0x1_0000, 0, 0, 0], yes]);
        let source = Entropy::find(false, Firmware::find(Conduit::Smc));
        assert!(matches!(source, Entropy::Firmware(_)));
        fake::with(|cpu| cpu.answers.extend([[0, 1, 2, 3], [-3_i64 as u64, 0, 0, 0]]));
        assert_eq!((source.fresh(), source.fresh()), (Some(3), None));
        let last = fake::with(|cpu| cpu.log.last().copied());
        assert_eq!(last, Some(Event::Smc([0xc400_0053, 64, 0, 0])));
    }
}
