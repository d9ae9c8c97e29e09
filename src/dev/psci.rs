//! The firmware's power interface: turns CPUs and the machine on and off.

#![expect(unsafe_code, reason = "calls to the firmware hand it the CPU")]

use crate::{
    addr::Pa,
    cpu::smc::{hvc, smc},
    isa::{affinity::Affinity, psci},
};

pub use crate::isa::psci::Error;

/// How the firmware is called, as the device tree's `/psci` node says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conduit {
    /// By SMC.
    Smc,
    /// By HVC.
    Hvc,
}

/// A client of the firmware's PSCI, version 0.2 and up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Psci {
    conduit: Conduit,
}

/// A version of the interface.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Version {
    /// Changes when callers have to.
    pub major: u16,
    /// Grows with functions.
    pub minor: u16,
}

impl Psci {
    /// Makes a client; calls nothing.
    pub const fn new(conduit: Conduit) -> Self {
        Self { conduit }
    }

    /// Asks for the version.
    pub fn version(self) -> Result<Version, Error> {
        let word = self.harmless(psci::VERSION, 0)?;
        Ok(Version {
            major: (word >> 16) as u16,
            minor: word as u16,
        })
    }

    /// Asks whether a function is there (from version 1.0 on); returns its feature flags.
    pub fn features(self, function: u32) -> Result<u32, Error> {
        self.harmless(psci::FEATURES, function)
    }

    /// Turns a CPU on: it starts at `entry` with the MMU off and `context` in x0.
    ///
    /// # Safety
    ///
    /// `entry` must be code that can run like that, on that CPU, beside everything that runs now,
    /// and be in memory (not in this CPU's cache only), as must what it reads with caches off.
    pub unsafe fn cpu_on(self, target: Affinity, entry: Pa, context: u64) -> Result<(), Error> {
        let args = [target.mpidr(), entry.as_u64(), context];
        // SAFETY: the caller promises that a CPU may start there; this one goes on undisturbed.
        unsafe { self.call(psci::CPU_ON_64, args) }.map(drop)
    }

    /// Turns this CPU off, and returns only if the firmware will not.
    ///
    /// # Safety
    ///
    /// Nobody may rely on this CPU any more: no lock is held here, and nobody waits for it.
    pub unsafe fn cpu_off(self) -> Error {
        // SAFETY: the caller promises that this CPU may go.
        unsafe { self.last_call(psci::CPU_OFF) }
    }

    /// Turns the machine off, and returns only if the firmware will not.
    pub fn system_off(self) -> Error {
        // SAFETY: the machine ends as it does when its power is cut; no code is left to be misled.
        unsafe { self.last_call(psci::SYSTEM_OFF) }
    }

    /// Starts the machine anew, and returns only if the firmware will not.
    pub fn system_reset(self) -> Error {
        // SAFETY: as for `system_off`.
        unsafe { self.last_call(psci::SYSTEM_RESET) }
    }

    /// Makes a call that only asks.
    fn harmless(self, function: u32, argument: u32) -> Result<u32, Error> {
        // SAFETY: PSCI_VERSION and PSCI_FEATURES, the only functions given, change nothing.
        unsafe { self.call(function, [argument.into(), 0, 0]) }
    }

    /// Makes a call that does not come back when it works.
    ///
    /// # Safety
    ///
    /// As for the function called.
    unsafe fn last_call(self, function: u32) -> Error {
        // SAFETY: the caller's promise.
        match unsafe { self.call(function, [0; 3]) } {
            Err(error) => error,
            Ok(_) => Error::InternalFailure,
        }
    }

    /// # Safety
    ///
    /// As for the function called.
    unsafe fn call(self, function: u32, args: [u64; 3]) -> Result<u32, Error> {
        // SAFETY: the caller's promise.
        let [x0, ..] = unsafe {
            match self.conduit {
                Conduit::Smc => smc(function, args),
                Conduit::Hvc => hvc(function, args),
            }
        };
        Error::check(x0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::fake::{self, Event};

    const PSCI: Psci = Psci::new(Conduit::Smc);

    fn answering<R>(answers: &[u64], f: impl FnOnce() -> R) -> (R, std::vec::Vec<Event>) {
        fake::reset();
        fake::with(|cpu| cpu.answers.extend(answers.iter().map(|x0| [*x0, 0, 0, 0])));
        let result = f();
        (result, fake::with(|cpu| core::mem::take(&mut cpu.log)))
    }

    #[test]
    fn a_version_is_two_numbers() {
        let (version, log) = answering(&[0x1_0001], || PSCI.version());
        assert_eq!(version, Ok(Version { major: 1, minor: 1 }));
        assert_eq!(log, [Event::Smc([0x8400_0000, 0, 0, 0])]);
        let (none, log) = answering(&[], || Psci::new(Conduit::Hvc).version());
        assert_eq!(none, Err(Error::NotSupported));
        assert_eq!(log, [Event::Hvc([0x8400_0000, 0, 0, 0])]);
    }

    #[test]
    fn a_cpu_is_named_as_mpidr_names_it() {
        let turn_on = || {
            // SAFETY: the fake starts nothing.
            unsafe { PSCI.cpu_on(Affinity::new(1, 0, 2, 3), Pa::new(0x4020_0000), 9) }
        };
        let (result, log) = answering(&[0], turn_on);
        assert_eq!(result, Ok(()));
        assert_eq!(
            log,
            [Event::Smc([0xc400_0003, 0x1_0000_0203, 0x4020_0000, 9])]
        );
        let (result, _) = answering(&[0xffff_fffc], turn_on);
        assert_eq!(result, Err(Error::AlreadyOn));
    }

    #[test]
    fn calls_that_come_back_have_failed() {
        assert_eq!(
            answering(&[0], || PSCI.system_off()).0,
            Error::InternalFailure
        );
        let (error, log) = answering(&[-3_i64 as u64], || PSCI.system_reset());
        assert_eq!(
            (error, log[0]),
            (Error::Denied, Event::Smc([0x8400_0009, 0, 0, 0]))
        );
        // SAFETY: the fake turns nothing off.
        let (error, log) = answering(&[], || unsafe { PSCI.cpu_off() });
        assert_eq!(
            (error, log[0]),
            (Error::NotSupported, Event::Smc([0x8400_0002, 0, 0, 0]))
        );
    }

    #[test]
    fn features_pass_the_function() {
        let (flags, log) = answering(&[2], || PSCI.features(psci::CPU_SUSPEND));
        assert_eq!(flags, Ok(2));
        assert_eq!(log, [Event::Smc([0x8400_000a, 0x8400_0001, 0, 0])]);
    }
}
