//! A vCPU's state by number, to be saved and brought back: the register export.
//!
//! The ids are KVM's for arm64 (`KVM_GET_ONE_REG`, Linux' `Documentation/virt/kvm/api.rst`), its
//! oddities included: general registers and the exception state of EL1 are *core* registers, and
//! the compare value and the count of the virtual timer have each other's encoding. What KVM
//! exports by other means, the state of PSCI and of the interrupt controller, has ids of our own
//! beside them ([`ids`]). They are an interface: an id that was given is never given another
//! meaning.
//!
//! A vCPU may be put or loaded. Registers have their RES0 bits clear when they come out and when
//! they go in. A register that can't be changed takes the value it has, and refuses another.
//!
//! Not exported yet: whether an interrupt is pending by its line or by a latch (it comes back
//! latched), which interrupts stand for one of the machine that is active, who acknowledged an
//! active interrupt, the start of a vCPU that was turned on and has not arrived, a virtual SError
//! that has not been taken, and whether writes of stage 1's control registers are still trapped
//! after cache maintenance by set/way.

mod gic;
pub mod ids;
#[cfg(feature = "selftest")]
mod remade;

use super::{
    psci::Power,
    smccc::{PSCI_VERSION, Start},
    vcpu::Vcpu,
};
use crate::{
    cpu::timer,
    isa::sysreg::{ALL, Class, SysReg},
};
use alloc::vec::Vec;
use core::fmt;
use ids::{Fp, Id, Name};

/// Why a register was not read or written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExportError {
    /// This vCPU has no register with this id.
    Unknown(u64),
    /// The register with this id can't be changed, and has the first value, not the second.
    ReadOnly(u64, u128, u128),
    /// The register with this id can't have this value.
    Invalid(u64, u128),
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Unknown(id) => write!(f, "there is no register {id:#x} ({})", Id(id)),
            Self::ReadOnly(id, has, wanted) => write!(
                f,
                "register {id:#x} ({}) is {has:#x} and can't be made {wanted:#x}",
                Id(id)
            ),
            Self::Invalid(id, value) => {
                write!(f, "register {id:#x} ({}) can't be {value:#x}", Id(id))
            }
        }
    }
}

impl Vcpu {
    /// Returns the ids of all registers that this vCPU has.
    pub fn reg_list(&mut self) -> Vec<u64> {
        let mut list: Vec<u64> = Name::fixed().map(Name::id).collect();
        let rows = ALL.into_iter().filter(|reg| self.exports(*reg));
        list.extend(rows.filter_map(|reg| Some(Name::Row(reg).id()).filter(|id| *id != 0)));
        list.extend(self.gic_registers().map(Name::id));
        list
    }

    fn exports(&self, reg: SysReg) -> bool {
        self.sysregs().state().present.has(reg) && Name::Row(reg).id() != 0
    }

    fn name(&mut self, id: u64) -> Result<Name, ExportError> {
        let name = Name::from_id(id).ok_or(ExportError::Unknown(id))?;
        let there = match name {
            Name::Row(reg) => self.exports(reg),
            Name::Dist(_) | Name::Redist(_) | Name::Interface(_) => {
                self.gic_registers().any(|other| other == name)
            }
            _ => true,
        };
        there.then_some(name).ok_or(ExportError::Unknown(id))
    }

    /// Reads a register by its id.
    ///
    /// # Errors
    ///
    /// [`ExportError::Unknown`].
    pub fn get_reg(&mut self, id: u64) -> Result<u128, ExportError> {
        let name = self.name(id)?;
        Ok(self.get_named(name))
    }

    fn get_named(&mut self, name: Name) -> u128 {
        let value = match name {
            Name::X(n) => self.frame.read(n),
            Name::Pc => self.sysregs().pc(),
            Name::Pstate => self.sysregs().pstate(),
            Name::Fp(part) => return self.get_fp(part),
            Name::Row(reg) => reg.info().settle(self.sysregs().read_any(reg)),
            Name::Id(encoding) => self.vm.ids.read(encoding).unwrap_or(0),
            Name::Count => {
                timer::count().wrapping_sub(self.sysregs().read(SysReg::RUN_CNTVOFF_EL2))
            }
            Name::PsciVersion => PSCI_VERSION,
            Name::Power => self.power() as u64,
            Name::Dist(_) | Name::Redist(_) | Name::Interface(_) => self.get_gic(name),
        };
        value.into()
    }

    /// Writes a register by its id.
    ///
    /// # Errors
    ///
    /// [`ExportError`].
    pub fn set_reg(&mut self, id: u64, value: u128) -> Result<(), ExportError> {
        let name = self.name(id)?;
        let invalid = ExportError::Invalid(id, value);
        if let Name::Fp(part) = name {
            return self.set_fp(part, value).ok_or(invalid);
        }
        let word = u64::try_from(value).map_err(|_| invalid)?;
        match name {
            Name::X(n) => self.frame.write(n, word),
            Name::Pc => self.sysregs_mut().set_pc(word),
            Name::Pstate if self.may_run_at(word) => self.sysregs_mut().set_pstate(word),
            Name::Pstate => return Err(invalid),
            Name::Row(reg) if !name.is_read_only() => {
                let word = reg.info().settle(word);
                self.sysregs_mut().write_any(reg, word);
            }
            Name::Count => {
                let offset = timer::count().wrapping_sub(word);
                self.write_sys_reg(SysReg::RUN_CNTVOFF_EL2, offset);
            }
            Name::Power => self.set_power(word).ok_or(invalid)?,
            Name::Dist(_) | Name::Redist(_) | Name::Interface(_) => self.set_gic(name, word),
            _ => return self.keep(name, value),
        }
        Ok(())
    }

    /// Leaves a register as it is, if that is what is asked for.
    fn keep(&mut self, name: Name, value: u128) -> Result<(), ExportError> {
        let has = self.get_named(name);
        if has == value {
            return Ok(());
        }
        Err(ExportError::ReadOnly(name.id(), has, value))
    }

    /// Returns whether the vCPU may be in this PSTATE: at EL0 or EL1 of a width that it has.
    fn may_run_at(&self, pstate: u64) -> bool {
        const AARCH32: u64 = 1 << 4;
        let aarch32 = self.sysregs().is_aarch32();
        match pstate & 0x1f {
            // EL0t, EL1t, EL1h.
            0b0000 | 0b0100 | 0b0101 => !aarch32,
            // AArch32's User mode, which a 64-bit EL1 may have below it.
            AARCH32 => true,
            // FIQ, IRQ, Supervisor, Abort, Undefined, System; not Monitor and Hyp.
            0b1_0001 | 0b1_0010 | 0b1_0011 | 0b1_0111 | 0b1_1011 | 0b1_1111 => aarch32,
            _ => false,
        }
    }

    fn get_fp(&mut self, part: Fp) -> u128 {
        if self.fp_on_cpu() {
            self.fp.save();
        }
        match part {
            Fp::V(n) => self.fp.q.get(usize::from(n)).copied().unwrap_or(0),
            Fp::Status => self.fp.fpsr.into(),
            Fp::Control => self.fp.fpcr.into(),
        }
    }

    fn set_fp(&mut self, part: Fp, value: u128) -> Option<()> {
        // The other registers of the block are those on the CPU.
        self.get_fp(part);
        let word = u32::try_from(value).ok().map(u64::from);
        match part {
            Fp::V(n) => *self.fp.q.get_mut(usize::from(n))? = value,
            Fp::Status => self.fp.fpsr = word?,
            Fp::Control => self.fp.fpcr = word?,
        }
        if self.fp_on_cpu() {
            self.fp.restore();
        }
        Some(())
    }

    fn power(&self) -> Power {
        let switch = self.vm.switches.get(self.index);
        switch.map_or(Power::Off, super::psci::Switch::power)
    }

    /// Turns the vCPU on or off, as PSCI has it. One that is on starts nowhere: its registers are
    /// there already.
    fn set_power(&self, state: u64) -> Option<()> {
        const ON: u64 = Power::On as u64;
        const OFF: u64 = Power::Off as u64;
        let switch = self.vm.switches.get(self.index)?;
        match (switch.power(), state) {
            (Power::On, ON) | (Power::Off, OFF) => {}
            (Power::On, OFF) => switch.turn_off(),
            (Power::Off, ON) => {
                switch.claim().ok()?.publish(Start::default());
                switch.arrive()?;
            }
            _ => return None,
        }
        Some(())
    }
}

impl Name {
    /// Returns whether the register can't be changed whatever the vCPU.
    fn is_read_only(self) -> bool {
        use crate::isa::sysreg::Export;
        match self {
            Self::Row(reg) => {
                reg.class() == Class::LoadOnly || reg.info().export == Export::ReadOnly
            }
            Self::Id(_) | Self::PsciVersion => true,
            _ => false,
        }
    }
}
