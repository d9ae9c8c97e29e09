//! EL2's two modes: HCR_EL2.E2H clear, or set where the CPU has FEAT_VHE.
//!
//! `entry.S` clears E2H where that can be done. The device tree then says what is wanted, and
//! [`enter`] moves this CPU there; the code is in `vhe.S`.

#![cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "replaces EL2's translation")
)]

use super::regs;
use crate::{
    bits::{bit, field},
    isa::{descriptor::stage1::Regime, encoding::Encoding},
};

/// HCR_EL2.E2H.
const E2H: u32 = 34;
/// ID_AA64MMFR1_EL1.VH: not zero where E2H can be set.
const VH: u32 = 8;
/// The sign of ID_AA64MMFR4_EL1.E2H0, a signed field: negative where E2H=0 is not implemented.
const E2H0_SIGN: u32 = 27;

const HCR_EL2: u32 = Encoding::new(3, 4, 1, 1, 0).iss();
const ID_AA64MMFR1_EL1: u32 = Encoding::new(3, 0, 0, 7, 1).iss();
const ID_AA64MMFR4_EL1: u32 = Encoding::new(3, 0, 0, 7, 4).iss();

/// Returns the regime this CPU is in.
pub fn current() -> Regime {
    if bit(regs::read::<HCR_EL2>(), E2H) {
        Regime::El2And0
    } else {
        Regime::El2
    }
}

/// Which regimes a CPU has; at least one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Support {
    /// [`Regime::El2`]: E2H can be clear.
    pub el2: bool,
    /// [`Regime::El2And0`]: E2H can be set.
    pub el2_and_0: bool,
}

impl Support {
    /// Looks at this CPU, before [`enter`]: E2H, which `entry.S` has cleared, is set only where it
    /// is RES1. That tells also for CPUs that are older than ID_AA64MMFR4_EL1.E2H0.
    pub fn probe() -> Self {
        let e2h0_is_negative = bit(regs::read::<ID_AA64MMFR4_EL1>(), E2H0_SIGN);
        let is_fixed = e2h0_is_negative || current() == Regime::El2And0;
        let has_vhe = field(regs::read::<ID_AA64MMFR1_EL1>(), VH, 4) != 0;
        Self {
            el2: !is_fixed,
            el2_and_0: is_fixed || has_vhe,
        }
    }
}

#[cfg(target_os = "none")]
mod imp {
    use crate::{
        addr::Pa,
        cpu::entry::{HCR_EL2_BOOT, SCTLR_OFF},
        isa::descriptor::stage1::Regime,
    };

    unsafe extern "C" {
        fn switch_regime(root: u64, e2h: u64, there: u64);
        safe static switch_with_mmu_off: u8;
    }

    /// Returns the code that runs with the MMU off, where it is mapped for good.
    pub fn trampoline() -> *const u8 {
        &raw const switch_with_mmu_off
    }

    /// Moves this CPU to `regime`, with the tables that `root` leads to (as TTBR0_EL2 holds it).
    ///
    /// # Safety
    ///
    /// The tables map all that EL2 uses where it is now, and so do those in use; both map `there`,
    /// the physical address of [`trampoline`], to itself, executable.
    pub unsafe fn enter(regime: Regime, root: u64, there: Pa) {
        let e2h = u64::from(regime == Regime::El2And0);
        // SAFETY: passed on to the caller. The code keeps to the C ABI, and no interrupt comes in
        // between: EL2 has them masked.
        unsafe { switch_regime(root, e2h, there.as_u64()) }
    }

    core::arch::global_asm!(
        include_str!("vhe.S"),
        sctlr_el2_off = const SCTLR_OFF,
        hcr_el2_boot = const HCR_EL2_BOOT,
    );
}

#[cfg(target_os = "none")]
pub use imp::*;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::fake;

    const V8_0: u64 = 0;
    const WITH_VHE: u64 = 1 << VH;

    fn probe(hcr: u64, mmfr1: u64, mmfr4: u64) -> Support {
        fake::reset();
        fake::with(|cpu| {
            cpu.regs.insert(HCR_EL2, hcr);
            cpu.regs.insert(ID_AA64MMFR1_EL1, mmfr1);
            cpu.regs.insert(ID_AA64MMFR4_EL1, mmfr4);
        });
        Support::probe()
    }

    #[test]
    fn without_vhe_there_is_one_mode() {
        let support = probe(1 << 31, V8_0, 0);
        assert!(support.el2 && !support.el2_and_0);
        // Neighbours of the fields that decide.
        let support = probe(!(1 << E2H), !(0xf << VH), !(1 << E2H0_SIGN));
        assert!(support.el2 && !support.el2_and_0);
    }

    #[test]
    fn with_vhe_there_are_two() {
        let support = probe(1 << 31, WITH_VHE, 0);
        assert!(support.el2 && support.el2_and_0);
    }

    #[test]
    fn a_negative_e2h0_leaves_vhe_alone() {
        // 0b1111 and 0b1110 are the values there are.
        for e2h0 in [0b1110, 0b1111] {
            let support = probe(0, WITH_VHE, e2h0 << 24);
            assert!(!support.el2 && support.el2_and_0, "{e2h0:#b}");
        }
    }

    #[test]
    fn e2h_that_stays_set_leaves_vhe_alone() {
        let support = probe(1 << E2H, WITH_VHE, 0);
        assert!(!support.el2 && support.el2_and_0);
    }

    #[test]
    fn a_register_that_can_not_be_cleared_tells_the_regime() {
        fake::reset();
        fake::with(|cpu| {
            cpu.stuck.insert(HCR_EL2, 1 << E2H);
            cpu.write(HCR_EL2, 0);
        });
        assert_eq!(current(), Regime::El2And0);
        fake::reset();
        assert_eq!(current(), Regime::El2);
    }
}
