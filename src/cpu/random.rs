//! The CPU's random numbers: FEAT_RNG.

#![cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "only the flags say whether MRS succeeded")
)]

/// Returns 64 bits from a generator that was reseeded just now (RNDRRS); `None` when it has none
/// in reasonable time, which is no failure for good. The CPU must have FEAT_RNG.
#[cfg(target_os = "none")]
pub fn fresh() -> Option<u64> {
    let (value, valid): (u64, u64);
    // SAFETY: reads a register and the flags it sets (Arm ARM, D24.2 "RNDRRS": PSTATE.NZCV is
    // 0b0100 when there is no number).
    unsafe {
        core::arch::asm!(
            "mrs {value}, s3_3_c2_c4_1",
            "cset {valid}, ne",
            value = out(reg) value,
            valid = out(reg) valid,
            options(nomem, nostack)
        );
    }
    (valid != 0).then_some(value)
}

/// Reads RNDRRS of the fake machine, where zero stands for "none".
#[cfg(not(target_os = "none"))]
pub fn fresh() -> Option<u64> {
    const RNDRRS: u32 = crate::isa::encoding::Encoding::new(3, 3, 2, 4, 1).iss();
    Some(super::regs::read::<RNDRRS>()).filter(|&value| value != 0)
}
