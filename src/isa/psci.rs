//! The Power State Coordination Interface as data: functions, return codes, versions
//! (Arm DEN 0022). The host's client and the guest's firmware both speak it.

use core::fmt;

/// The bit that makes a function identifier its 64-bit twin.
pub const SMC64: u32 = 1 << 30;

/// PSCI_VERSION.
pub const VERSION: u32 = 0x8400_0000;
/// CPU_SUSPEND, 32-bit.
pub const CPU_SUSPEND: u32 = 0x8400_0001;
/// CPU_OFF.
pub const CPU_OFF: u32 = 0x8400_0002;
/// CPU_ON, 32-bit.
pub const CPU_ON: u32 = 0x8400_0003;
/// AFFINITY_INFO, 32-bit.
pub const AFFINITY_INFO: u32 = 0x8400_0004;
/// MIGRATE_INFO_TYPE.
pub const MIGRATE_INFO_TYPE: u32 = 0x8400_0006;
/// SYSTEM_OFF.
pub const SYSTEM_OFF: u32 = 0x8400_0008;
/// SYSTEM_RESET.
pub const SYSTEM_RESET: u32 = 0x8400_0009;
/// PSCI_FEATURES.
pub const FEATURES: u32 = 0x8400_000a;
/// SYSTEM_SUSPEND, 32-bit.
pub const SYSTEM_SUSPEND: u32 = 0x8400_000e;
/// SYSTEM_RESET2, 32-bit.
pub const SYSTEM_RESET2: u32 = 0x8400_0012;
/// MEM_PROTECT.
pub const MEM_PROTECT: u32 = 0x8400_0013;
/// MEM_PROTECT_CHECK_RANGE, 32-bit.
pub const MEM_PROTECT_CHECK_RANGE: u32 = 0x8400_0014;
/// CPU_SUSPEND, 64-bit.
pub const CPU_SUSPEND_64: u32 = CPU_SUSPEND | SMC64;
/// CPU_ON, 64-bit.
pub const CPU_ON_64: u32 = CPU_ON | SMC64;
/// AFFINITY_INFO, 64-bit.
pub const AFFINITY_INFO_64: u32 = AFFINITY_INFO | SMC64;
/// SYSTEM_SUSPEND, 64-bit.
pub const SYSTEM_SUSPEND_64: u32 = SYSTEM_SUSPEND | SMC64;
/// SYSTEM_RESET2, 64-bit.
pub const SYSTEM_RESET2_64: u32 = SYSTEM_RESET2 | SMC64;
/// MEM_PROTECT_CHECK_RANGE, 64-bit.
pub const MEM_PROTECT_CHECK_RANGE_64: u32 = MEM_PROTECT_CHECK_RANGE | SMC64;

/// SYSTEM_RESET2's only architectural type: SYSTEM_WARM_RESET.
pub const WARM_RESET: u64 = 0;

/// MIGRATE_INFO_TYPE's answer where no trusted OS needs to move between CPUs.
pub const NO_TRUSTED_OS: u64 = 2;

/// A return code below zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Error {
    /// The function is not there.
    NotSupported = -1,
    /// An argument names nothing.
    InvalidParameters = -2,
    /// The firmware will not.
    Denied = -3,
    /// The CPU is on.
    AlreadyOn = -4,
    /// The CPU was turned on and has not arrived yet.
    OnPending = -5,
    /// The firmware failed.
    InternalFailure = -6,
    /// The trusted OS is not on this CPU.
    NotPresent = -7,
    /// The CPU is turned off for good.
    Disabled = -8,
    /// The entry point is not where code may be.
    InvalidAddress = -9,
}

impl Error {
    const ALL: [Self; 9] = [
        Self::NotSupported,
        Self::InvalidParameters,
        Self::Denied,
        Self::AlreadyOn,
        Self::OnPending,
        Self::InternalFailure,
        Self::NotPresent,
        Self::Disabled,
        Self::InvalidAddress,
    ];

    /// Returns the code as x0 carries it, sign-extended.
    pub const fn code(self) -> u64 {
        self as i32 as i64 as u64
    }

    /// Reads x0 of an answer: what the call gives, or the error. A code this version of the
    /// interface does not have counts as an internal failure.
    pub fn check(x0: u64) -> Result<u32, Self> {
        // Firmware that answers a 32-bit call need not define the upper half.
        let word = x0 as u32;
        if word as i32 >= 0 {
            return Ok(word);
        }
        let known = Self::ALL.into_iter().find(|e| *e as i32 == word as i32);
        Err(known.unwrap_or(Self::InternalFailure))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSupported => "not supported",
            Self::InvalidParameters => "invalid parameters",
            Self::Denied => "denied",
            Self::AlreadyOn => "already on",
            Self::OnPending => "on pending",
            Self::InternalFailure => "internal failure",
            Self::NotPresent => "not present",
            Self::Disabled => "disabled",
            Self::InvalidAddress => "invalid address",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip() {
        for (index, error) in Error::ALL.into_iter().enumerate() {
            assert_eq!(error.code(), (-1 - index as i64) as u64);
            assert_eq!(Error::check(error.code()), Err(error));
            assert_eq!(Error::check(error.code() & 0xffff_ffff), Err(error));
        }
    }

    #[test]
    fn results_and_strange_codes() {
        assert_eq!(Error::check(0x1_0001), Ok(0x1_0001));
        assert_eq!(Error::check((-77_i64) as u64), Err(Error::InternalFailure));
    }
}
