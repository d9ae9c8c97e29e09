//! What an access does that the table did not foresee: it is reported, once for each register.

use crate::isa::sysreg::{COUNT, SysReg};
use core::sync::atomic::{AtomicU64, Ordering};

/// A bit for each register that was reported.
static REPORTED: [AtomicU64; COUNT.div_ceil(64)] = [const { AtomicU64::new(0) }; _];

/// Reports that the hypervisor asked for a register that this vCPU does not have, the first time
/// that it is this register; returns zero, which is what it reads as.
#[cold]
pub(super) fn unforeseen(reg: SysReg) -> u64 {
    if is_first(reg) {
        log::error!(
            "{} was asked for, which a vCPU does not have here: reads as zero, writes are ignored",
            reg.name()
        );
    }
    0
}

fn is_first(reg: SysReg) -> bool {
    let n = reg as usize;
    let bit = 1 << (n % 64);
    REPORTED
        .get(n / 64)
        .is_some_and(|word| word.fetch_or(bit, Ordering::Relaxed) & bit == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_register_is_reported_once() {
        // No other test asks for these where they are absent.
        assert!(is_first(SysReg::ICH_MISR_EL2));
        assert!(!is_first(SysReg::ICH_MISR_EL2));
        assert!(is_first(SysReg::ICH_EISR_EL2));
    }
}
