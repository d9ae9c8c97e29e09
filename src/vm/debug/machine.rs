//! The CPU's own debug registers that a guest's breakpoints bring with them.
//!
//! Claim tags tell who uses the debug registers: an external debugger sets tag 0 (Arm DEN 0022, "Debug
//! and trace save and restore"). Where FEAT_FGT is missing, a guest that has the breakpoints reaches
//! the claim tags and the words of the debug channel too. Its tags are then saved and cleared with its
//! breakpoints; the words, which nobody waits for, are cleared before the next one comes.

#![expect(unsafe_code, reason = "writes the CPU's debug registers")]

use super::{
    super::vcpu::Vcpu,
    session::{Session, Slot},
};
use crate::{
    cpu::regs,
    isa::{encoding::Encoding, features::Features, sysreg::SysReg},
};

const DBGCLAIMSET_EL1: u32 = super::DBGCLAIMSET_EL1.iss();
const DBGCLAIMCLR_EL1: u32 = Encoding::new(2, 0, 7, 9, 6).iss();
const OSDTRRX_EL1: u32 = Encoding::new(2, 0, 0, 0, 2).iss();
const OSDTRTX_EL1: u32 = Encoding::new(2, 0, 0, 3, 2).iss();

/// The claim tag by which an external debugger says that it uses the debug registers.
const EXTERNAL: u64 = 1 << 0;

fn is_claimed() -> bool {
    regs::read::<DBGCLAIMCLR_EL1>() & EXTERNAL != 0
}

impl Vcpu {
    /// Puts the guest's breakpoints into the CPU, where nobody's are that must be kept. Does nothing
    /// and returns false where an external debugger uses the registers.
    pub(super) fn load_breakpoints(&mut self) -> bool {
        if is_claimed() {
            return false;
        }
        self.debug.foreign = false;
        if !self.mode().features.has(Features::FGT) {
            let tags = self.read_sys_reg(SysReg::DBGCLAIMCLR_EL1);
            // SAFETY: nobody waits at the other end of the channel, and no claim is there.
            unsafe {
                regs::write::<OSDTRRX_EL1>(0);
                regs::write::<OSDTRTX_EL1>(0);
                if tags != 0 {
                    regs::write::<DBGCLAIMSET_EL1>(tags);
                }
            }
        }
        self.sysregs_mut().load_debug();
        true
    }

    /// Takes them back.
    pub(super) fn save_breakpoints(&mut self) {
        self.sysregs_mut().put_debug();
        if !self.mode().features.has(Features::FGT) {
            let tags = regs::read::<DBGCLAIMCLR_EL1>();
            self.write_sys_reg(SysReg::DBGCLAIMCLR_EL1, tags);
            if tags != 0 {
                // SAFETY: the guest set them: there was none when it got the registers.
                unsafe { regs::write::<DBGCLAIMCLR_EL1>(tags) }
            }
        }
    }

    /// Puts a debugger's breakpoints into the CPU, the others disabled.
    pub(super) fn load_debuggers(&mut self) {
        if self.debug.foreign {
            return;
        }
        self.evict_debug();
        if let Some(session) = &self.debug.session {
            self.sysregs().load_foreign_debug(|set| fill(session, set));
        }
        self.debug.foreign = true;
    }
}

fn fill(session: &Session, set: &mut dyn FnMut(SysReg, u64)) {
    for Slot {
        value_register,
        value,
        control_register,
        control,
    } in session.slots()
    {
        set(value_register, value);
        set(control_register, control);
    }
}
