//! Which registers of the table there are: on a CPU, or for a guest.

use super::{Class, SysReg};
use crate::{
    bits::field,
    isa::features::{Features, IdReg, IdRegs},
};

/// What decides which registers of the table exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Present {
    /// The optional parts of the architecture.
    pub features: Features,
    /// How many breakpoints there are.
    pub breakpoints: u8,
    /// How many watchpoints there are.
    pub watchpoints: u8,
}

impl Present {
    /// Everything, for tests.
    #[cfg(test)]
    pub const ALL: Self = Self {
        features: Features::ALL,
        breakpoints: 16,
        watchpoints: 16,
    };

    /// Reads it from ID registers: a CPU's, or those a guest is shown. Of breakpoints and
    /// watchpoints the first 16 count: those beyond need MDSELR_EL1, which no guest has and
    /// MDCR_EL2.EBWE = 0 turns off.
    pub const fn from_ids(ids: &IdRegs) -> Self {
        let dfr0 = ids.get(IdReg::ID_AA64DFR0);
        let wide = ids.get(IdReg::ID_AA64DFR1);
        Self {
            features: ids.features(),
            breakpoints: counted(field(dfr0, 12, 4), field(wide, 8, 8)),
            watchpoints: counted(field(dfr0, 20, 4), field(wide, 16, 8)),
        }
    }

    /// Returns what of this is moved for a vCPU: what the guest was shown, and what it was not
    /// shown but can't be kept from either.
    #[must_use]
    pub const fn switched_for(self, shown: Self) -> Self {
        // DISR_EL1 is VDISR_EL2 to a guest, and nothing traps it.
        let unhideable = Features::RAS;
        Self {
            features: self.features.only(shown.features.with(unhideable, true)),
            ..shown
        }
    }

    /// Returns whether the register is there.
    #[inline(always)]
    pub const fn has(self, reg: SysReg) -> bool {
        self.features.has(reg.features())
            && match reg.class() {
                Class::Breakpoint => self.breakpoints > number(reg),
                Class::Watchpoint => self.watchpoints > number(reg),
                _ => true,
            }
    }

    /// Returns whether a guest that is shown this may use the register by its encoding. EL2's
    /// registers, and those of EL1 that only EL2 may name, take a virtual EL2.
    pub const fn is_guests(self, reg: SysReg) -> bool {
        let of_el2 = super::TABLE[reg as usize].encoding.op1 >= 4;
        self.has(reg) && (!of_el2 || self.features.has(Features::EL2))
    }
}

/// Returns the number of a breakpoint's or watchpoint's register.
#[inline(always)]
const fn number(reg: SysReg) -> u8 {
    super::TABLE[reg as usize].encoding.crm
}

/// Returns how many breakpoints or watchpoints there are, at most 16, by the fields of
/// ID_AA64DFR0_EL1 and of ID_AA64DFR1_EL1: each one less than there are, and where the wide one is
/// not zero, it holds (Arm ARM, D24.2, "ID_AA64DFR1_EL1").
const fn counted(narrow: u64, wide: u64) -> u8 {
    let last = if wide == 0 { narrow } else { wide };
    if last < 16 { last as u8 + 1 } else { 16 }
}
