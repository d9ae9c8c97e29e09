//! Loads and stores to devices that leave an abort without a syndrome, done for the guest.
//!
//! The instruction is fetched once, by the guest's own stage 1; what can't be fetched, decoded or
//! carried out ends in an external abort for the guest.

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

use super::{
    bus,
    decode::{Refused, Steps, steps},
    fault,
    vcpu::Vcpu,
};
use crate::{
    addr::Ipa,
    bits::bit,
    cpu::{switch::Next, translate},
    error::GuestError,
    isa::{esr::Esr, instruction::decode, sysreg::SysReg},
};

/// Does the load or store to a device behind an abort whose syndrome does not describe it.
#[cold]
pub(super) fn device_access(vcpu: &mut Vcpu, esr: Esr) -> Next {
    if esr.is_cache_maintenance() {
        // A device has no lines in a cache: there is nothing to do.
        vcpu.skip(esr);
        return Next::resume(&mut vcpu.frame);
    }
    let (address, ipa) = (fault::address(), vcpu.fault_ipa());
    match plan(vcpu, esr, address) {
        Ok(steps) => carry_out(vcpu, esr, address, ipa, &steps),
        Err(refused) => {
            vcpu.note_abort(format_args!(
                "{refused} was used on the device at {ipa} (pc {:#x})",
                vcpu.sysregs().pc()
            ));
            vcpu.inject_external_abort(esr, address);
            Next::resume(&mut vcpu.frame)
        }
    }
}

/// Finds out what the instruction does.
fn plan(vcpu: &mut Vcpu, esr: Esr, address: u64) -> Result<Steps, Refused> {
    let word = fetch(vcpu).ok_or(Refused::NotFetched)?;
    let transfer = decode(word).map_err(Refused::Kind)?;
    let base = vcpu.base(transfer.rn);
    steps(&transfer, base, address, esr.is_write())
}

/// Reads the guest's current instruction; `None` when its address has no translation, or in
/// AArch32 state, whose instructions are others.
///
/// A guest with its caches off may have written the instruction past a line that is in a cache:
/// what is read is then stale, and fails to agree with its abort unless it means the same.
fn fetch(vcpu: &mut Vcpu) -> Option<u32> {
    const AARCH32: u32 = 4;
    let (pc, pstate) = (vcpu.sysregs().pc(), vcpu.sysregs().pstate());
    if bit(pstate, AARCH32) {
        return None;
    }
    let par = vcpu.read_sys_reg(SysReg::PAR_EL1);
    let at = translate::stage1(pc, pstate & 0b1100 == 0);
    vcpu.write_sys_reg(SysReg::PAR_EL1, par);
    let mut word = [0; 4];
    vcpu.vm.memory.read(at?, &mut word).ok()?;
    Some(u32::from_le_bytes(word))
}

/// Does the accesses, then the write-back; an access that fails leaves the base as it was.
fn carry_out(vcpu: &mut Vcpu, esr: Esr, address: u64, ipa: Ipa, steps: &Steps) -> Next {
    let size = u64::from(steps.first.size);
    let second = steps.second.map(|access| (size, access));
    for (offset, access) in [(0, steps.first)].into_iter().chain(second) {
        let at = Ipa::new(ipa.as_u64().wrapping_add(offset));
        if let Err(error) = bus::access(vcpu, at, access) {
            return refuse(vcpu, esr, address.wrapping_add(offset), at, error);
        }
    }
    if let Some((rn, value)) = steps.write_back {
        vcpu.set_base(rn, value);
    }
    vcpu.skip(esr);
    Next::resume_all()
}

/// Answers an access that the bus does not take.
fn refuse(vcpu: &mut Vcpu, esr: Esr, address: u64, ipa: Ipa, error: GuestError) -> Next {
    match error {
        GuestError::Stop(reason) => return vcpu.leave(super::vcpu::Exit::Stopped(reason)),
        GuestError::Undefined => vcpu.inject_undefined(),
        GuestError::ExternalAbort => {
            vcpu.note_abort(format_args!(
                "nothing is at {ipa} (access from {:#x})",
                vcpu.sysregs().pc()
            ));
            vcpu.inject_external_abort(esr, address);
        }
    }
    // The first register of a pair may have been loaded.
    Next::resume_all()
}

impl Vcpu {
    /// Returns what register `rn` holds as the base of an address: 31 is the stack pointer.
    fn base(&self, rn: u8) -> u64 {
        if rn == 31 {
            self.read_sys_reg(self.stack_pointer())
        } else {
            self.frame.read(rn)
        }
    }

    /// Sets the base register.
    fn set_base(&mut self, rn: u8, value: u64) {
        if rn == 31 {
            self.write_sys_reg(self.stack_pointer(), value);
        } else {
            self.frame.write(rn, value);
        }
    }

    /// Returns which stack pointer is SP: EL1's own needs PSTATE.M to say EL1h.
    fn stack_pointer(&self) -> SysReg {
        if self.sysregs().pstate() & 0b1111 == 0b0101 {
            SysReg::SP_EL1
        } else {
            SysReg::SP_EL0
        }
    }
}
