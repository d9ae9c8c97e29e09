//! Stage 1 of the loaded guest, walked by the CPU: AT.

#![cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "AT is an instruction")
)]

use super::regs;
use crate::{
    addr::Ipa,
    bits::{bit, field},
    isa::encoding::Encoding,
};

const PAR_EL1: u32 = Encoding::new(3, 0, 7, 4, 0).iss();

/// Translates an address as the loaded guest would for a read at EL1, or at EL0; `None` where that
/// faults. The guest's PAR_EL1 is overwritten: the caller keeps it.
pub fn stage1(va: u64, el0: bool) -> Option<Ipa> {
    walk(va, el0);
    super::barrier::isb();
    let par = regs::read::<PAR_EL1>();
    // Arm ARM, D24.2 "PAR_EL1": F says that it failed, PA is bits 51:12 (48 bits here).
    (!bit(par, 0)).then(|| Ipa::new(field(par, 12, 36) << 12 | va & 0xfff))
}

#[cfg(target_os = "none")]
fn walk(va: u64, el0: bool) {
    // SAFETY: with HCR_EL2.TGE clear both mean the guest's regime whatever HCR_EL2.E2H is; they
    // change PAR_EL1 alone, and memory only as the guest's own walks would (the access flag).
    unsafe {
        if el0 {
            core::arch::asm!("at s1e0r, {}", in(reg) va, options(nostack, preserves_flags));
        } else {
            core::arch::asm!("at s1e1r, {}", in(reg) va, options(nostack, preserves_flags));
        }
    }
}

/// Logs the instruction as a write of its encoding; the test has put the result into PAR_EL1.
#[cfg(not(target_os = "none"))]
fn walk(va: u64, el0: bool) {
    let op2 = if el0 { 2 } else { 0 };
    let at = Encoding::new(1, 0, 7, 8, op2).iss();
    super::fake::with(|cpu| cpu.write(at, va));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::fake;

    #[test]
    fn the_page_is_pars_and_the_offset_the_addresss() {
        fake::reset();
        let par = |value| fake::with(|cpu| cpu.regs.insert(PAR_EL1, value));
        par(0xff00_0000_4123_4b80);
        let ipa = stage1(0xffff_8000_0000_1abc, false);
        assert_eq!(ipa, Some(Ipa::new(0x4123_4abc)));
        par(0x4123_4b81);
        assert_eq!(stage1(0x1000, true), None);
    }
}
