//! Registers without a value of their own: another register, seen differently.

use super::SysRegs;
use crate::{cpu::timer, isa::sysreg::SysReg};

/// What a view shows.
enum View {
    /// How long until the count reaches a compare value, by a count that lags behind by an offset.
    Timer(SysReg, Option<SysReg>),
    /// The same value by another name.
    Same(SysReg),
    /// The same value; a write clears the bits that are one in it.
    Clears(SysReg),
}

/// Returns what a register of class [`View`](crate::isa::sysreg::Class::View) shows.
const fn view_of(reg: SysReg) -> Option<View> {
    use SysReg as R;
    Some(match reg {
        R::CNTV_TVAL_EL0 => View::Timer(R::CNTV_CVAL_EL0, Some(R::RUN_CNTVOFF_EL2)),
        R::CNTP_TVAL_EL0 => View::Timer(R::CNTP_CVAL_EL0, None),
        R::CNTHP_TVAL_EL2 => View::Timer(R::CNTHP_CVAL_EL2, None),
        R::CNTHV_TVAL_EL2 => View::Timer(R::CNTHV_CVAL_EL2, None),
        R::DISR_EL1 => View::Same(R::VDISR_EL2),
        R::PMCNTENCLR_EL0 => View::Clears(R::PMCNTENSET_EL0),
        R::PMOVSCLR_EL0 => View::Clears(R::PMOVSSET_EL0),
        R::PMINTENCLR_EL1 => View::Clears(R::PMINTENSET_EL1),
        _ => return None,
    })
}

impl SysRegs {
    /// Returns the count that a timer compares with.
    fn count(&self, offset: Option<SysReg>) -> u64 {
        let offset = offset.map_or(0, |reg| self.read_any(reg));
        timer::count().wrapping_sub(offset)
    }

    /// Reads a register that is computed from another (Arm ARM, D24.10, "CNTP_TVAL_EL0": the
    /// lower 32 bits of the difference).
    #[cold]
    pub(super) fn read_view(&self, reg: SysReg) -> u64 {
        match view_of(reg) {
            Some(View::Timer(cval, offset)) => {
                let left = self.read_any(cval).wrapping_sub(self.count(offset));
                left & u64::from(u32::MAX)
            }
            Some(View::Same(other) | View::Clears(other)) => self.read_any(other),
            None => super::report::unforeseen(reg),
        }
    }

    /// Writes a register that is computed from another: what it is computed from changes. A timer
    /// value is signed.
    #[cold]
    pub(super) fn write_view(&mut self, reg: SysReg, value: u64) {
        match view_of(reg) {
            Some(View::Timer(cval, offset)) => {
                let left = i64::from(value as i32);
                let at = self.count(offset).wrapping_add_signed(left);
                self.write_any(cval, at);
            }
            Some(View::Same(other)) => self.write_any(other, value),
            Some(View::Clears(other)) => {
                let left = self.read_any(other) & !value;
                self.write_any(other, left);
            }
            None => _ = super::report::unforeseen(reg),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cpu::fake,
        isa::sysreg::{ALL, Class, Present},
        vm::sysregs::HostMode,
    };

    const CNTPCT_EL0: u32 = crate::isa::encoding::Encoding::new(3, 3, 14, 0, 1).iss();

    fn everything() -> SysRegs {
        fake::reset();
        fake::with(|cpu| cpu.regs.insert(CNTPCT_EL0, 1_000_000));
        let mode = HostMode {
            vhe: false,
            features: Present::ALL.features,
        };
        SysRegs::new(mode, Present::ALL)
    }

    #[test]
    fn every_view_shows_something_and_nothing_else_is_one() {
        for reg in ALL {
            assert_eq!(
                view_of(reg).is_some(),
                reg.class() == Class::View,
                "{reg:?}"
            );
        }
    }

    #[test]
    fn a_timer_value_is_what_is_left_put_or_loaded() {
        let mut regs = everything();
        regs.write(SysReg::RUN_CNTVOFF_EL2, 400_000);
        for load in [false, true] {
            if load {
                regs.load();
            }
            regs.write(SysReg::CNTV_CVAL_EL0, 600_005);
            regs.write(SysReg::CNTP_CVAL_EL0, 999_999);
            assert_eq!(regs.read(SysReg::CNTV_TVAL_EL0), 5);
            assert_eq!(regs.read(SysReg::CNTP_TVAL_EL0), 0xffff_ffff);
            regs.write(SysReg::CNTV_TVAL_EL0, 0xffff_fffe);
            assert_eq!(regs.read(SysReg::CNTV_CVAL_EL0), 599_998);
            regs.write(SysReg::CNTHP_TVAL_EL2, 7);
            assert_eq!(regs.read(SysReg::CNTHP_CVAL_EL2), 1_000_007);
        }
    }

    #[test]
    fn other_names_reach_the_same_value() {
        let mut regs = everything();
        regs.write(SysReg::VDISR_EL2, 3);
        assert_eq!(regs.read(SysReg::DISR_EL1), 3);
        regs.write(SysReg::PMCNTENSET_EL0, 0b1011);
        regs.write(SysReg::PMCNTENCLR_EL0, 0b0010);
        assert_eq!(regs.read(SysReg::PMCNTENSET_EL0), 0b1001);
    }
}
