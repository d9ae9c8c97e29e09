//! The counter, and EL2's own timer: CNTHP.

#![expect(unsafe_code, reason = "programs EL2's timer")]

use super::regs;
use crate::isa::encoding::Encoding;

const CNTPCT_EL0: u32 = Encoding::new(3, 3, 14, 0, 1).iss();
const CNTFRQ_EL0: u32 = Encoding::new(3, 3, 14, 0, 0).iss();
const CNTHP_CTL_EL2: u32 = Encoding::new(3, 4, 14, 2, 1).iss();
const CNTHP_CVAL_EL2: u32 = Encoding::new(3, 4, 14, 2, 2).iss();

/// Returns the physical count.
#[inline(always)]
pub fn count() -> u64 {
    regs::read::<CNTPCT_EL0>()
}

/// Returns how fast it counts, in Hz; never 0.
pub fn frequency() -> u64 {
    regs::read::<CNTFRQ_EL0>().max(1)
}

/// Lets the timer's interrupt come when the count reaches `deadline`.
pub fn start(deadline: u64) {
    const ENABLE: u64 = 1;
    // SAFETY: an interrupt is all that follows, and EL2 has them masked while it runs.
    unsafe {
        regs::write::<CNTHP_CVAL_EL2>(deadline);
        regs::write::<CNTHP_CTL_EL2>(ENABLE);
    }
}

/// Stops the timer.
pub fn stop() {
    // SAFETY: as above.
    unsafe { regs::write::<CNTHP_CTL_EL2>(0) }
}
