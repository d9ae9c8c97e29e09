//! Guests in AArch32: what their exits ask for.
//!
//! The vectors bring the exits of a guest whose EL1 is AArch32 here, with a complete frame; what
//! differs from AArch64 is answered here, the rest by [`exits`]. A guest in AArch64 may have
//! AArch32 below it, at EL0: of its exits, [`exits`] sends here what it does not know.

#![expect(unsafe_code, reason = "the vectors find this by name")]

mod coproc;
mod inject;

use super::{exits, stats::Reason, vcpu::Vcpu};
use crate::{
    cpu::switch::Next,
    isa::{
        aarch32::{condition, psr, reported},
        esr::{Esr, class},
    },
};

/// Answers a synchronous exception of a guest whose EL1 is AArch32.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
pub(super) extern "C" fn guest_aarch32(vcpu: &mut Vcpu, esr: u64) -> Next {
    let esr = Esr(esr);
    match esr.class() {
        class::DATA_ABORT => exits::guest_synchronous(vcpu, settle_register(vcpu, esr).0),
        class::WFX | class::FP | class::INSTRUCTION_ABORT => exits::guest_synchronous(vcpu, esr.0),
        _ => synchronous(vcpu, esr),
    }
}

/// Answers what AArch64 does not have.
#[cold]
pub(super) fn synchronous(vcpu: &mut Vcpu, esr: Esr) -> Next {
    let pstate = vcpu.sysregs().pstate();
    if pstate & psr::AARCH32 == 0 {
        return exits::refuse(vcpu, esr);
    }
    match esr.class() {
        class::HVC_32 => {
            vcpu.count(Reason::Call);
            exits::call_of_aarch32(vcpu, esr)
        }
        class::SMC_32 => {
            vcpu.count(Reason::Call);
            if vcpu.skip(esr) {
                exits::call_of_aarch32(vcpu, esr)
            } else {
                Next::resume_all()
            }
        }
        class::CP15_32
        | class::CP15_64
        | class::CP14_32
        | class::CP14_64
        | class::CP14_LOAD_STORE
        | class::VMRS => {
            vcpu.count(Reason::Register);
            let done = if condition::passed(esr, pstate) {
                coproc::access(vcpu, esr)
            } else {
                Ok(())
            };
            match done {
                Ok(()) => {
                    vcpu.skip(esr);
                    Next::resume_all()
                }
                Err(detour) => exits::divert(vcpu, esr, detour),
            }
        }
        _ => exits::debugged(vcpu, esr).unwrap_or_else(|| exits::refuse(vcpu, esr)),
    }
}

/// Returns the syndrome of a data abort with the register by AArch64's number.
fn settle_register(vcpu: &Vcpu, esr: Esr) -> Esr {
    const SRT: u64 = 0b1_1111 << 16;
    match esr.access() {
        Some(access) => {
            let mode = vcpu.sysregs().pstate() & psr::MODE;
            let rt = reported(mode, access.rt);
            Esr(esr.0 & !SRT | u64::from(rt) << 16)
        }
        None => esr,
    }
}
