//! The firmware's functions for what a hypervisor asks beside PSCI: version 1.1 of the SMC Calling
//! Convention and up (Arm DEN 0028).

#![expect(unsafe_code, reason = "calls to the firmware hand it the CPU")]

use super::psci::{Conduit, Psci};
use crate::{
    cpu::smc::{hvc, smc},
    isa::{
        smccc,
        speculation::{Workaround, Workarounds},
    },
};

/// A firmware that answers functions it does not have, instead of faulting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Firmware(Conduit);

impl Firmware {
    /// Asks the firmware, whose PSCI is 1.0 or newer, step by step, so that no call is made that it
    /// might not answer: PSCI_FEATURES tells of SMCCC_VERSION, and version 1.1 answers unknown
    /// functions.
    pub fn find(conduit: Conduit) -> Option<Self> {
        const SMCCC_1_1: i32 = 0x1_0001;
        Psci::new(conduit).features(smccc::VERSION).ok()?;
        let firmware = Self(conduit);
        (firmware.ask(smccc::VERSION, 0)[0] as i32 >= SMCCC_1_1).then_some(firmware)
    }

    /// Makes one of the calls of this file and of [`entropy`](super::entropy).
    pub(super) fn ask(self, function: u32, argument: u32) -> [u64; 4] {
        let args = [argument.into(), 0, 0];
        // SAFETY: SMCCC_VERSION, SMCCC_ARCH_FEATURES, TRNG_VERSION, TRNG_FEATURES and TRNG_RND give
        // numbers and take nothing; the workarounds change only what the CPU guesses.
        unsafe {
            match self.0 {
                Conduit::Smc => smc(function, args),
                Conduit::Hvc => hvc(function, args),
            }
        }
    }

    /// Returns what the firmware does for the CPU this runs on. That of speculative stores it is
    /// asked to do for good, so that guests need not ask.
    pub fn workarounds(self) -> Workarounds {
        let stores = match self.discover(smccc::ARCH_WORKAROUND_2) {
            0 => {
                const ON: u32 = 1;
                self.ask(smccc::ARCH_WORKAROUND_2, ON);
                Workaround::NotNeeded
            }
            NOT_NEEDED | NOT_REQUIRED => Workaround::NotNeeded,
            _ => Workaround::Unknown,
        };
        let branches = |function| match self.discover(function) {
            0 => Workaround::Effective,
            NOT_NEEDED => Workaround::NotNeeded,
            _ => Workaround::Unknown,
        };
        Workarounds {
            targets: branches(smccc::ARCH_WORKAROUND_1),
            stores,
            history: branches(smccc::ARCH_WORKAROUND_3),
        }
    }

    /// Does SMCCC_ARCH_WORKAROUND_1 or SMCCC_ARCH_WORKAROUND_3 for a guest.
    pub fn work_around(self, function: u32) {
        if matches!(
            function,
            smccc::ARCH_WORKAROUND_1 | smccc::ARCH_WORKAROUND_3
        ) {
            self.ask(function, 0);
        }
    }

    /// Asks for a workaround by SMCCC_ARCH_FEATURES.
    fn discover(self, function: u32) -> i32 {
        self.ask(smccc::ARCH_FEATURES, function)[0] as i32
    }
}

/// SMCCC_ARCH_FEATURES's "not on this CPU", which is for each to answer.
const NOT_NEEDED: i32 = 1;
/// The same for all CPUs.
const NOT_REQUIRED: i32 = smccc::NOT_REQUIRED as i32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::fake::{self, Event};
    use Workaround::{Effective, NotNeeded, Unknown};

    fn found(answers: &[i64]) -> Firmware {
        fake::reset();
        let all = [0, 0x1_0001].iter().chain(answers);
        fake::with(|cpu| {
            cpu.answers
                .extend(all.map(|&answer| [answer as u64, 0, 0, 0]));
        });
        Firmware::find(Conduit::Smc).unwrap()
    }

    fn last_call() -> Option<Event> {
        fake::with(|cpu| cpu.log.last().copied())
    }

    #[test]
    fn an_old_firmware_is_left_alone() {
        for (answers, calls) in [(&[-1][..], 1), (&[0, 0x1_0000], 2)] {
            fake::reset();
            fake::with(|cpu| {
                let answers = answers.iter().map(|&answer: &i64| [answer as u64, 0, 0, 0]);
                cpu.answers.extend(answers);
            });
            assert_eq!(Firmware::find(Conduit::Smc), None);
            assert_eq!(fake::with(|cpu| cpu.log.len()), calls);
        }
    }

    #[test]
    fn what_the_firmware_does_is_told_per_cpu() {
        let told = |answers: &[i64]| {
            let found = found(answers).workarounds();
            [found.targets, found.stores, found.history]
        };
        // Stores, targets, history.
        assert_eq!(told(&[-1, -1, -1]), [Unknown; 3]);
        assert_eq!(told(&[-2, 0, 0]), [Effective, NotNeeded, Effective]);
        assert_eq!(told(&[1, 1, 1]), [NotNeeded; 3]);
        // It was turned on, which took a call of its own.
        assert_eq!(told(&[0, 0, 0, 1]), [Effective, NotNeeded, NotNeeded]);
    }

    #[test]
    fn nothing_else_is_passed_on() {
        let firmware = found(&[]);
        firmware.work_around(smccc::ARCH_WORKAROUND_1);
        let call = Event::Smc([smccc::ARCH_WORKAROUND_1.into(), 0, 0, 0]);
        assert_eq!(last_call(), Some(call));
        firmware.work_around(0x8400_0008);
        assert_eq!(last_call(), Some(call), "no SYSTEM_OFF");
    }
}
