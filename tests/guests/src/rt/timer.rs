//! The two generic timers of EL1, by one set of names.

use crate::{mrs, msr};

/// CTL: the timer counts.
pub const ENABLE: u64 = 1;
/// CTL: its interrupt is held back.
pub const IMASK: u64 = 1 << 1;
/// CTL: the condition is met.
pub const ISTATUS: u64 = 1 << 2;

/// A timer of the CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// CNTV: PPI 11.
    Virtual,
    /// CNTP: PPI 14.
    Physical,
}

impl Timer {
    /// Returns its interrupt.
    pub const fn intid(self) -> u32 {
        match self {
            Self::Virtual => 27,
            Self::Physical => 30,
        }
    }

    /// Reads its counter, not ahead of the instructions before.
    pub fn count(self) -> u64 {
        super::sysreg::sync();
        match self {
            Self::Virtual => mrs!("CNTVCT_EL0"),
            Self::Physical => mrs!("CNTPCT_EL0"),
        }
    }

    /// Sets the count at which it expires.
    pub fn set_cval(self, value: u64) {
        match self {
            Self::Virtual => msr!("CNTV_CVAL_EL0", value),
            Self::Physical => msr!("CNTP_CVAL_EL0", value),
        }
    }

    /// Reads the count at which it expires.
    pub fn cval(self) -> u64 {
        match self {
            Self::Virtual => mrs!("CNTV_CVAL_EL0"),
            Self::Physical => mrs!("CNTP_CVAL_EL0"),
        }
    }

    /// Lets it expire so many ticks from now.
    pub fn set_tval(self, ticks: i32) {
        match self {
            Self::Virtual => msr!("CNTV_TVAL_EL0", ticks as u64),
            Self::Physical => msr!("CNTP_TVAL_EL0", ticks as u64),
        }
    }

    /// Reads the ticks left, negative once expired.
    pub fn tval(self) -> i32 {
        match self {
            Self::Virtual => mrs!("CNTV_TVAL_EL0") as i32,
            Self::Physical => mrs!("CNTP_TVAL_EL0") as i32,
        }
    }

    /// Writes the control bits.
    pub fn set_ctl(self, value: u64) {
        match self {
            Self::Virtual => msr!("CNTV_CTL_EL0", value),
            Self::Physical => msr!("CNTP_CTL_EL0", value),
        }
    }

    /// Reads the control bits.
    pub fn ctl(self) -> u64 {
        match self {
            Self::Virtual => mrs!("CNTV_CTL_EL0"),
            Self::Physical => mrs!("CNTP_CTL_EL0"),
        }
    }
}

/// Returns so many microseconds in ticks of the counters.
pub fn ticks(microseconds: u64) -> u64 {
    mrs!("CNTFRQ_EL0") * microseconds / 1_000_000
}

/// Waits for a condition, at most so many microseconds; returns whether it came true.
pub fn wait(microseconds: u64, mut condition: impl FnMut() -> bool) -> bool {
    let start = Timer::Virtual.count();
    let limit = ticks(microseconds);
    loop {
        if condition() {
            return true;
        }
        if Timer::Virtual.count().wrapping_sub(start) > limit {
            return condition();
        }
    }
}

/// Lets so many microseconds pass.
pub fn pause(microseconds: u64) {
    wait(microseconds, || false);
}
