//! AArch32, as far as EL2 meets it: modes and their registers, conditions, IT blocks, faults.
//!
//! While EL2 runs, a guest's AArch32 state is in AArch64's registers (Arm ARM, G1.6 "Mapping of the
//! general-purpose registers between the Execution states"): R0 to R12 of User mode in X0 to X12,
//! and the banked registers of the other modes in those above.

pub mod condition;
pub mod fault;

/// Bits of a PSR as an SPSR_ELx has them (Arm ARM, C5.2.19 "SPSR_EL2", from AArch32 state).
pub mod psr {
    /// The mode, with M\[4\], which says that the state is AArch32.
    pub const MODE: u64 = 0b1_1111;
    /// AArch32 state: the top bit of the mode.
    pub const AARCH32: u64 = 1 << 4;
    /// T32 instructions.
    pub const T: u64 = 1 << 5;
    /// FIQs are masked.
    pub const F: u64 = 1 << 6;
    /// IRQs are masked.
    pub const I: u64 = 1 << 7;
    /// SErrors are masked.
    pub const A: u64 = 1 << 8;
    /// Data is big-endian.
    pub const E: u64 = 1 << 9;
    /// Greater than or equal, of four results.
    pub const GE: u64 = 0b1111 << 16;
    /// Software step; in a PSR of AArch32 itself, DIT.
    pub const SS: u64 = 1 << 21;
    /// Privileged access never.
    pub const PAN: u64 = 1 << 22;
    /// Speculative store bypass safe.
    pub const SSBS: u64 = 1 << 23;
    /// Data independent timing.
    pub const DIT: u64 = 1 << 24;
    /// Saturation.
    pub const Q: u64 = 1 << 27;
    /// The condition flags.
    pub const NZCV: u64 = 0b1111 << 28;

    /// Returns an SPSR_ELx as the SPSRs of AArch32 have it: DIT is where SS was.
    pub const fn to_aarch32(spsr: u64) -> u64 {
        let dit = if spsr & DIT != 0 { SS } else { 0 };
        spsr & 0xffff_ffff & !(SS | DIT) | dit
    }
}

/// Modes of an AArch32 EL1 and EL0: PSTATE.M.
pub mod mode {
    /// User.
    pub const USER: u64 = 0b1_0000;
    /// FIQ.
    pub const FIQ: u64 = 0b1_0001;
    /// IRQ.
    pub const IRQ: u64 = 0b1_0010;
    /// Supervisor, where a kernel starts.
    pub const SUPERVISOR: u64 = 0b1_0011;
    /// Abort.
    pub const ABORT: u64 = 0b1_0111;
    /// Undefined.
    pub const UNDEFINED: u64 = 0b1_1011;
    /// System, which has User mode's registers.
    pub const SYSTEM: u64 = 0b1_1111;
}

/// The number by which AArch64 knows LR of a mode that takes exceptions; R13, which is SP, is the next
/// above, but in User and FIQ mode the next below.
pub const fn link_register(mode: u64) -> u8 {
    match mode {
        mode::FIQ => 30,
        mode::IRQ => 16,
        mode::SUPERVISOR => 18,
        mode::ABORT => 20,
        mode::UNDEFINED => 22,
        _ => 14,
    }
}

/// Returns the number by which AArch64 knows register `r` of a mode; 15, the PC, is none of its
/// general registers, and a syndrome says 31 for it.
pub const fn register(mode: u64, r: u8) -> u8 {
    match (mode, r) {
        (mode::FIQ, 8..=14) => r + 16,
        (mode::IRQ | mode::SUPERVISOR | mode::ABORT | mode::UNDEFINED, 13) => {
            link_register(mode) + 1
        }
        (_, 14) => link_register(mode),
        (_, 15) => 31,
        _ => r,
    }
}

/// Returns the register that a syndrome names for an access in `mode`.
///
/// The number is AArch64's. Some report what the instruction says instead (QEMU does for loads and
/// stores): where the mode can't name such a register, it is that.
pub const fn reported(mode: u64, rt: u8) -> u8 {
    let banked = match mode {
        mode::FIQ => matches!(rt, 8..=14),
        mode::USER | mode::SYSTEM => false,
        _ => matches!(rt, 13 | 14),
    };
    if banked { register(mode, rt) } else { rt }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODES: [u64; 7] = [
        mode::USER,
        mode::FIQ,
        mode::IRQ,
        mode::SUPERVISOR,
        mode::ABORT,
        mode::UNDEFINED,
        mode::SYSTEM,
    ];

    /// The manual's table, from X0 up; X15 is SP of Hyp mode, which guests do not have.
    const NAMES: [&str; 31] = [
        "R0", "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8_usr", "R9_usr", "R10_usr", "R11_usr",
        "R12_usr", "SP_usr", "LR_usr", "SP_hyp", "LR_irq", "SP_irq", "LR_svc", "SP_svc", "LR_abt",
        "SP_abt", "LR_und", "SP_und", "R8_fiq", "R9_fiq", "R10_fiq", "R11_fiq", "R12_fiq",
        "SP_fiq", "LR_fiq",
    ];

    fn name(mode: u64, r: u8) -> alloc::string::String {
        let bank = match (mode, r) {
            (mode::FIQ, 8..) => "fiq",
            (mode::IRQ, 13..) => "irq",
            (mode::SUPERVISOR, 13..) => "svc",
            (mode::ABORT, 13..) => "abt",
            (mode::UNDEFINED, 13..) => "und",
            (_, 8..) => "usr",
            _ => return alloc::format!("R{r}"),
        };
        match r {
            13 => alloc::format!("SP_{bank}"),
            14 => alloc::format!("LR_{bank}"),
            _ => alloc::format!("R{r}_{bank}"),
        }
    }

    #[test]
    fn banked_registers_are_where_the_manual_says() {
        for mode in MODES {
            for r in 0..15 {
                let x = register(mode, r);
                assert_eq!(NAMES[usize::from(x)], name(mode, r), "{mode:#b} R{r}");
            }
            assert_eq!(register(mode, 15), 31);
        }
    }

    #[test]
    fn a_reported_register_is_one_that_the_mode_can_name() {
        for mode in MODES {
            let nameable: alloc::vec::Vec<_> = (0..16).map(|r| register(mode, r)).collect();
            for r in 0..15 {
                assert_eq!(reported(mode, register(mode, r)), register(mode, r));
                assert_eq!(reported(mode, r), register(mode, r), "raw, {mode:#b} R{r}");
                assert!(nameable.contains(&reported(mode, r)));
            }
            assert_eq!(reported(mode, 31), 31);
        }
    }

    #[test]
    fn dit_and_single_step_share_a_bit() {
        assert_eq!(psr::to_aarch32(psr::DIT | psr::SS | 0x1d3), 1 << 21 | 0x1d3);
        assert_eq!(psr::to_aarch32(psr::SS | psr::NZCV), psr::NZCV);
    }
}
