//! The first tier: what a guest's exceptions call, straight from the vectors.
//!
//! Nearly everything is answered here. What concerns more than this guest leaves by
//! [`Vcpu::leave`], and [`Vcpu::run`] returns.

#![expect(unsafe_code, reason = "the vectors find these by name")]

use super::{
    aarch32, bus,
    debug::Owner,
    emulate, fault, psci,
    smccc::{self, Action, Facts},
    stats::Reason,
    system::{self, Detour},
    vcpu::{Exit, Vcpu},
};
use crate::{
    cpu::switch::Next,
    error::GuestError,
    isa::{
        self,
        esr::{Esr, class, status},
    },
};
use core::sync::atomic::Ordering;

// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
// SAFETY: the section is code, which the linker keeps together.
#[unsafe(link_section = ".text.hot")]
pub(super) extern "C" fn guest_hypercall(vcpu: &mut Vcpu, esr: u64) -> Next {
    let esr = Esr(esr);
    vcpu.count(Reason::Call);
    // HVC with an immediate other than 0 is reserved (DEN 0028, 2.9): the call does not exist.
    if esr.immediate() == 0 {
        let function = vcpu.frame.read(0) as u32;
        if let Some(answer) = smccc::immediate(function) {
            vcpu.frame.write(0, answer);
            return Next::resume(&mut vcpu.frame);
        }
        if smccc::is_branch_workaround(function) {
            return work_around(vcpu, function);
        }
    }
    call(vcpu, esr)
}

/// Answers a call for what guests on some cores ask for at each change of context.
#[inline(never)]
fn work_around(vcpu: &mut Vcpu, function: u32) -> Next {
    let answer = match smccc::work_around(function, vcpu.vm.workarounds) {
        Action::Return(value) => value,
        _ => ask_firmware(vcpu, function),
    };
    vcpu.frame.write(0, answer);
    Next::resume(&mut vcpu.frame)
}

/// Lets the firmware do a workaround; returns the answer.
fn ask_firmware(vcpu: &Vcpu, function: u32) -> u64 {
    if let Some(firmware) = vcpu.vm.host.firmware {
        firmware.work_around(function);
    }
    0
}

// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
pub(super) extern "C" fn guest_synchronous(vcpu: &mut Vcpu, esr: u64) -> Next {
    let esr = Esr(esr);
    match esr.class() {
        class::SYSTEM => match system::access(vcpu, esr) {
            Ok(()) => {
                vcpu.count(Reason::Register);
                vcpu.skip(esr);
                Next::resume_written(&mut vcpu.frame, esr.system_rt())
            }
            Err(detour) => divert(vcpu, esr, detour),
        },
        class::DATA_ABORT => data_abort(vcpu, esr),
        _ => uncommon(vcpu, esr),
    }
}

// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
// SAFETY: the section is code, which the linker keeps together.
#[unsafe(link_section = ".text.hot")]
pub(super) extern "C" fn guest_interrupt(vcpu: &mut Vcpu) -> Next {
    vcpu.count(Reason::Interrupt);
    super::interrupts::take(vcpu)
}

/// An SError that arrives while a guest runs may be its doing or the machine's. What it damaged
/// can't be told, so that guest stops; EL2's own memory is behind no guest's writes.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
pub(super) extern "C" fn guest_system_error(vcpu: &mut Vcpu) -> Next {
    vcpu.leave(Exit::Stopped("an SError arrived while it ran"))
}

#[inline(always)]
fn data_abort(vcpu: &mut Vcpu, esr: Esr) -> Next {
    let access = match (esr.fault_status() & !0b11, esr.access()) {
        (status::TRANSLATION, Some(access)) if !esr.is_walk() => access,
        _ => return refused_access(vcpu, esr),
    };
    vcpu.count(Reason::Device);
    let ipa = vcpu.fault_ipa();
    match bus::access(vcpu, ipa, access) {
        Ok(()) => {
            vcpu.skip(esr);
            let written = if access.write { 31 } else { access.rt };
            Next::resume_written(&mut vcpu.frame, written)
        }
        Err(error) => blame(vcpu, esr, error),
    }
}

/// Answers an abort that is no access to a device: the guest gets it, as a fault of its own.
#[cold]
fn refused_access(vcpu: &mut Vcpu, esr: Esr) -> Next {
    if esr.fault_status() == status::ALIGNMENT {
        vcpu.inject_alignment_fault(esr, fault::address());
        return Next::resume(&mut vcpu.frame);
    }
    let class = esr.fault_status() & !0b11;
    if class == status::TRANSLATION && esr.access().is_none() && !esr.is_walk() {
        return emulate::device_access(vcpu, esr);
    }
    if class == status::PERMISSION && !esr.is_walk() {
        // HPFAR_EL2 does not hold the page of a permission fault.
        vcpu.note_abort(format_args!(
            "what {:#x} leads to may only be read (access from {:#x})",
            fault::address(),
            vcpu.sysregs().pc()
        ));
        vcpu.inject_external_abort(esr, fault::address());
        return Next::resume(&mut vcpu.frame);
    }
    blame(vcpu, esr, GuestError::ExternalAbort)
}

/// Does what a system register access asks for beyond the access.
#[cold]
pub(super) fn divert(vcpu: &mut Vcpu, esr: Esr, detour: Detour) -> Next {
    match detour {
        Detour::Refused(error) => blame(vcpu, esr, error),
        Detour::Again => vcpu.leave(Exit::Interrupted),
        Detour::LookUp => {
            vcpu.skip(esr);
            vcpu.leave(Exit::Interrupted)
        }
        Detour::Clean => {
            vcpu.skip(esr);
            vcpu.clean_memory()
                .map_or_else(|exit| vcpu.leave(exit), |()| Next::resume_all())
        }
    }
}

/// Answers an exit of a class that belongs to a feature which the guest was told it does not have.
#[cold]
pub(super) fn refuse(vcpu: &mut Vcpu, esr: Esr) -> Next {
    blame(vcpu, esr, GuestError::Undefined)
}

/// Lets a guest have the exception it asked for, or stops it.
#[cold]
fn blame(vcpu: &mut Vcpu, esr: Esr, error: GuestError) -> Next {
    match error {
        GuestError::Undefined => vcpu.inject_undefined(),
        GuestError::ExternalAbort => {
            vcpu.note_abort(format_args!(
                "nothing is at {} (access from {:#x})",
                vcpu.fault_ipa(),
                vcpu.sysregs().pc()
            ));
            vcpu.inject_external_abort(esr, fault::address());
        }
        GuestError::Stop(reason) => return vcpu.leave(Exit::Stopped(reason)),
    }
    Next::resume(&mut vcpu.frame)
}

#[cold]
fn uncommon(vcpu: &mut Vcpu, esr: Esr) -> Next {
    vcpu.count(match esr.class() {
        class::SMC => Reason::Call,
        class::WFX => Reason::Wait,
        _ => Reason::Other,
    });
    match esr.class() {
        class::SMC => {
            // A trapped SMC is returned to itself; an HVC to what follows.
            vcpu.skip(esr);
            return call(vcpu, esr);
        }
        class::FP => vcpu.use_fp(),
        class::WFX => {
            if vcpu.skip(esr) && !esr.is_wait_for_event() {
                return wait(vcpu);
            }
        }
        class::INSTRUCTION_ABORT => return unfetched(vcpu, esr),
        _ => return rare(vcpu, esr),
    }
    Next::resume(&mut vcpu.frame)
}

/// Answers that nothing is where the guest fetches from: with an abort, unless it fetches the first
/// instruction of that abort's handler. Then abort would follow abort, without end.
#[cold]
fn unfetched(vcpu: &mut Vcpu, esr: Esr) -> Next {
    let error = if !esr.is_walk() && vcpu.is_at_own_vector() {
        GuestError::Stop("nothing is where its exception vectors should be")
    } else {
        GuestError::ExternalAbort
    };
    blame(vcpu, esr, error)
}

#[inline(never)]
fn rare(vcpu: &mut Vcpu, esr: Esr) -> Next {
    match debugged(vcpu, esr) {
        Some(next) => next,
        None => aarch32::synchronous(vcpu, esr),
    }
}

/// Takes an exception that is a debugger's of the guest; `None` if it is another, or there is none.
pub(super) fn debugged(vcpu: &mut Vcpu, esr: Esr) -> Option<Next> {
    let is_debug = matches!(
        esr.class(),
        class::BREAKPOINT
            | class::SOFTWARE_STEP
            | class::WATCHPOINT
            | class::BKPT
            | class::VECTOR_CATCH
            | class::BRK
    );
    if !is_debug || vcpu.debug_owner() != Owner::Debugger {
        return None;
    }
    Some(match vcpu.take_debug_exception(esr) {
        Some(exit) => vcpu.leave(exit),
        // A BKPT of AArch32 is given back with LR in one of X16 to X30.
        None => Next::resume_all(),
    })
}

/// Answers an HVC or SMC by the SMC calling convention.
#[cold]
fn call(vcpu: &mut Vcpu, esr: Esr) -> Next {
    call_from::<false>(vcpu, esr)
}

/// Answers one of AArch32, which has no 64-bit functions.
#[cold]
pub(super) fn call_of_aarch32(vcpu: &mut Vcpu, esr: Esr) -> Next {
    call_from::<true>(vcpu, esr)
}

#[inline(always)]
fn call_from<const AARCH32: bool>(vcpu: &mut Vcpu, esr: Esr) -> Next {
    let x = |n| vcpu.frame.read(n);
    let (x0, args) = (x(0), [x(1), x(2), x(3)]);
    let action = if esr.immediate() == 0 {
        let vm = vcpu.vm.clone();
        let in_memory = |ipa, size| vm.has_memory(ipa, size);
        smccc::call(
            x0,
            args,
            &Facts {
                aarch32: AARCH32,
                in_memory: &in_memory,
                workarounds: vm.workarounds,
                stolen_time: vm.stolen_time.address(vcpu.index),
            },
        )
    } else {
        Action::Return(NOT_SUPPORTED)
    };
    perform(vcpu, x0, action)
}

const NOT_SUPPORTED: u64 = isa::smccc::NOT_SUPPORTED as u64;

fn perform(vcpu: &mut Vcpu, function: u64, action: Action) -> Next {
    let result = match action {
        Action::Return(value) => {
            if value == NOT_SUPPORTED && !isa::smccc::is_query(function as u32) {
                vcpu.note_unknown_call(format_args!("no function {function:#x} to call"));
            }
            value
        }
        Action::ReturnAll(values) => return return_all(vcpu, values),
        Action::Random(request) => {
            let values = vcpu.vm.random(request);
            return return_all(vcpu, values);
        }
        Action::WorkAround(function) => ask_firmware(vcpu, function),
        Action::MemProtect(on) => vcpu.vm.mem_protect.swap(on, Ordering::Relaxed).into(),
        Action::SystemSuspend(start) => match vcpu.suspend_system(start) {
            Ok(()) => return wait(vcpu),
            Err(error) => error.code(),
        },
        Action::CpuOn { target, start } => {
            let turned_on = psci::cpu_on(&vcpu.vm.switches, target, start);
            if let Ok(index) = turned_on {
                vcpu.vm.ring(index);
            }
            psci::answer(turned_on, |_| 0)
        }
        Action::AffinityInfo { target, level } => psci::answer(
            psci::affinity_info(&vcpu.vm.switches, target, level),
            |power| power as u64,
        ),
        // Standby keeps all state, which a power-down request is allowed to be answered with.
        Action::Standby | Action::PowerDown(_) => {
            vcpu.frame.write(0, 0);
            return wait(vcpu);
        }
        Action::CpuOff => return vcpu.leave(Exit::Off),
        Action::SystemOff => return vcpu.leave(Exit::SystemOff),
        Action::SystemReset => return vcpu.leave(Exit::SystemReset),
    };
    vcpu.frame.write(0, result);
    Next::resume(&mut vcpu.frame)
}

/// Lets the guest wait for an interrupt, unless one is there.
fn wait(vcpu: &mut Vcpu) -> Next {
    if vcpu.has_deliverable_interrupt() {
        Next::resume(&mut vcpu.frame)
    } else {
        vcpu.leave(Exit::Wait)
    }
}

fn return_all(vcpu: &mut Vcpu, values: [u64; 4]) -> Next {
    for (n, value) in (0..).zip(values) {
        vcpu.frame.write(n, value);
    }
    Next::resume(&mut vcpu.frame)
}
