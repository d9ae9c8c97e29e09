//! A fault on demand: a register that load leaves out, as if its row had no restore. Compiled in with
//! the feature `selftest` only.

use crate::isa::sysreg::SysReg;
use core::sync::atomic::{AtomicU16, Ordering::Relaxed};

static FORGOTTEN: AtomicU16 = AtomicU16::new(u16::MAX);

/// Lets every load leave out a register from now on.
pub fn forget(reg: SysReg) {
    FORGOTTEN.store(reg as u16, Relaxed);
}

/// Returns whether load leaves out a register.
#[inline(always)]
pub(super) fn forgets(reg: SysReg) -> bool {
    FORGOTTEN.load(Relaxed) == reg as u16
}
