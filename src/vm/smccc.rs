//! What a guest's HVC or SMC asks for, by the SMC Calling Convention (Arm DEN 0028) and PSCI
//! (Arm DEN 0022): decoded here, and answered here as far as the call alone decides.
//!
//! A call that depends on the other vCPUs, or ends the VM, comes back as an [`Action`] for the
//! vCPU's loop; [`vm::psci`](crate::vm::psci) holds what the loop then asks.
//!
//! The convention reported is version 1.1: results are in x0 to x3, and every other register is
//! as it was.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::panic
    )
)]

#[cfg(test)]
mod tests;

use crate::{
    bits::field,
    isa::{
        affinity::Affinity,
        psci::{self, Error},
        smccc::{self, is_64_bit, is_fast},
        speculation::{Workaround, Workarounds},
    },
    vm::trng,
};

/// The convention's version as SMCCC_VERSION gives it: 1.1.
pub const SMCCC_VERSION: u64 = 0x1_0001;
/// The interface's version as PSCI_VERSION gives it: 1.1.
pub const PSCI_VERSION: u64 = 0x1_0001;
/// Who answers vendor hypervisor calls: `a2d4f81c-aa75-4b13-9ce8-e74bfd0cc61c`. It is this
/// hypervisor's own, so no guest takes it for another and uses that one's calls.
pub const VENDOR_UID: [u8; 16] = [
    0xa2, 0xd4, 0xf8, 0x1c, 0xaa, 0x75, 0x4b, 0x13, 0x9c, 0xe8, 0xe7, 0x4b, 0xfd, 0x0c, 0xc6, 0x1c,
];
/// The revision of the vendor hypervisor calls, major and minor.
pub const VENDOR_REVISION: [u64; 2] = [0, 1];

/// "There is no such function", as x0 carries it.
const NOT_SUPPORTED: u64 = smccc::NOT_SUPPORTED as u64;

/// What a call's answer depends on, besides the call.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// Whether the caller runs in AArch32 state; it then may not call 64-bit functions.
    pub aarch32: bool,
    /// Tells whether a range, address and size in bytes, is in the guest's memory.
    pub in_memory: &'a dyn Fn(u64, u64) -> bool,
    /// What the architecture workarounds do for this guest's CPUs.
    pub workarounds: Workarounds,
    /// The intermediate physical address of this vCPU's stolen time, if it has any.
    pub stolen_time: Option<u64>,
}

/// What the vCPU's loop has to do about a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Put this in x0 and go on.
    Return(u64),
    /// Put these in x0 to x3 and go on.
    ReturnAll([u64; 4]),
    /// Turn a vCPU on and put the outcome in x0.
    CpuOn {
        /// Which.
        target: Affinity,
        /// Where it starts.
        start: Start,
    },
    /// Turn this vCPU off; it comes back only by another's `CpuOn`.
    CpuOff,
    /// Let this vCPU wait for an interrupt, then put 0 in x0 and go on.
    Standby,
    /// Let this vCPU wait for an interrupt, then start it anew. Treating it as
    /// [`Standby`](Self::Standby) is allowed.
    PowerDown(Start),
    /// If no other vCPU is on, let this one wait for an interrupt, then start it anew.
    SystemSuspend(Start),
    /// Note whether the guest wants its memory erased at a reset, and put into x0 whether it did.
    MemProtect(bool),
    /// Put this many random bits into the registers.
    Random(trng::Request),
    /// Let the firmware do this workaround, and put 0 in x0.
    WorkAround(u32),
    /// Find out what is on, and put it in x0.
    AffinityInfo {
        /// Which vCPU, or any one of an affinity instance.
        target: Affinity,
        /// The lowest affinity field that counts, 0 to 3.
        level: u32,
    },
    /// Turn the VM off.
    SystemOff,
    /// Start the VM anew.
    SystemReset,
}

/// Where and how a vCPU starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Start {
    /// The intermediate physical address of the first instruction, in the guest's memory; of a
    /// vCPU in AArch32 state, with bit 0 set for T32.
    pub entry: u64,
    /// What x0 holds.
    pub context: u64,
    /// What x1 and x2 hold: not for a caller of PSCI to say, but for the boot protocol of AArch32.
    pub rest: [u64; 2],
}

/// Answers the functions whose answer is always the same, for the shortest way through EL2.
#[inline(always)]
pub const fn immediate(function: u32) -> Option<u64> {
    match function {
        psci::VERSION => Some(PSCI_VERSION),
        smccc::VERSION => Some(SMCCC_VERSION),
        psci::MIGRATE_INFO_TYPE => Some(psci::NO_TRUSTED_OS),
        _ => None,
    }
}

/// Decodes a call, given x0 and x1 to x3, and answers it as far as that is possible here.
///
/// The function is the low half of x0, whatever the rest is; and of a 32-bit function's arguments
/// only the low halves count.
pub fn call(x0: u64, args: [u64; 3], facts: &Facts) -> Action {
    let function = x0 as u32;
    if !is_fast(function) || is_64_bit(function) && facts.aarch32 {
        return Action::Return(NOT_SUPPORTED);
    }
    let args = if is_64_bit(function) {
        args
    } else {
        args.map(|arg| arg & 0xffff_ffff)
    };
    match power(function, args, facts) {
        Some(Ok(action)) => action,
        Some(Err(error)) => Action::Return(error.code()),
        None => other(function, args, facts),
    }
}

/// Decodes a PSCI call; `None` when it is none.
fn power(function: u32, args: [u64; 3], facts: &Facts) -> Option<Result<Action, Error>> {
    let [first, second, third] = args;
    Some(match function {
        psci::CPU_SUSPEND | psci::CPU_SUSPEND_64 => suspend(first, second, third, facts),
        psci::CPU_OFF => Ok(Action::CpuOff),
        psci::CPU_ON | psci::CPU_ON_64 => cpu_on(first, second, third, facts),
        psci::AFFINITY_INFO | psci::AFFINITY_INFO_64 => affinity_info(first, second),
        psci::SYSTEM_OFF => Ok(Action::SystemOff),
        psci::SYSTEM_RESET => Ok(Action::SystemReset),
        psci::SYSTEM_RESET2 | psci::SYSTEM_RESET2_64 => reset(first),
        psci::SYSTEM_SUSPEND | psci::SYSTEM_SUSPEND_64 => {
            start(first, second, facts).map(Action::SystemSuspend)
        }
        psci::MEM_PROTECT => mem_protect(first),
        psci::MEM_PROTECT_CHECK_RANGE | psci::MEM_PROTECT_CHECK_RANGE_64 => {
            check_range(first, second, facts)
        }
        psci::FEATURES => Ok(Action::Return(power_features(first as u32, facts.aarch32))),
        _ => return None,
    })
}

/// Answers every other call.
fn other(function: u32, [first, ..]: [u64; 3], facts: &Facts) -> Action {
    if let Some(action) = trng::call(function, first) {
        return action;
    }
    match function {
        smccc::ARCH_FEATURES => Action::Return(arch_features(first as u32, facts)),
        smccc::ARCH_WORKAROUND_1 | smccc::ARCH_WORKAROUND_2 | smccc::ARCH_WORKAROUND_3 => {
            work_around(function, facts.workarounds)
        }
        smccc::PV_TIME_FEATURES => Action::Return(time_features(first as u32, facts)),
        smccc::PV_TIME_ST => Action::Return(facts.stolen_time.unwrap_or(NOT_SUPPORTED)),
        smccc::VENDOR_HYP_UID => Action::ReturnAll(uid_words()),
        smccc::VENDOR_HYP_REVISION => {
            let [major, minor] = VENDOR_REVISION;
            Action::ReturnAll([major, minor, 0, 0])
        }
        _ => Action::Return(immediate(function).unwrap_or(NOT_SUPPORTED)),
    }
}

/// Decodes CPU_ON.
fn cpu_on(target: u64, entry: u64, context: u64, facts: &Facts) -> Result<Action, Error> {
    let target = Affinity::from_argument(target).ok_or(Error::InvalidParameters)?;
    let start = start(entry, context, facts)?;
    Ok(Action::CpuOn { target, start })
}

/// Decodes CPU_SUSPEND, whose power state is in the original format: the state's id, bit 16 for
/// power-down, and at bit 24 how many affinity levels are meant, of which there is one.
fn suspend(state: u64, entry: u64, context: u64, facts: &Facts) -> Result<Action, Error> {
    const POWER_DOWN: u64 = 1 << 16;
    if state & !(POWER_DOWN | 0xffff) != 0 {
        return Err(Error::InvalidParameters);
    }
    if state & POWER_DOWN == 0 {
        return Ok(Action::Standby);
    }
    Ok(Action::PowerDown(start(entry, context, facts)?))
}

/// Decodes AFFINITY_INFO.
fn affinity_info(target: u64, level: u64) -> Result<Action, Error> {
    let target = Affinity::from_argument(target).ok_or(Error::InvalidParameters)?;
    match level {
        0..=3 => Ok(Action::AffinityInfo {
            target,
            level: level as u32,
        }),
        _ => Err(Error::InvalidParameters),
    }
}

/// Decodes SYSTEM_RESET2: the one architectural type, and no vendor's.
fn reset(kind: u64) -> Result<Action, Error> {
    match kind {
        psci::WARM_RESET => Ok(Action::SystemReset),
        _ => Err(Error::InvalidParameters),
    }
}

/// Decodes MEM_PROTECT. Nothing needs doing for it: a VM's memory is erased whenever the VM, or
/// another in its place, starts.
fn mem_protect(enable: u64) -> Result<Action, Error> {
    match enable {
        0 | 1 => Ok(Action::MemProtect(enable == 1)),
        _ => Err(Error::InvalidParameters),
    }
}

/// Answers MEM_PROTECT_CHECK_RANGE: all of a guest's memory can be protected, and nothing else.
fn check_range(base: u64, size: u64, facts: &Facts) -> Result<Action, Error> {
    if size != 0 && (facts.in_memory)(base, size) {
        Ok(Action::Return(0))
    } else {
        Err(Error::Denied)
    }
}

/// Checks where a vCPU is to start: the instruction must be aligned, and in memory.
fn start(entry: u64, context: u64, facts: &Facts) -> Result<Start, Error> {
    let thumb = facts.aarch32 && field(entry, 0, 1) != 0;
    let aligned = thumb || field(entry, 0, 2) == 0;
    let size = if thumb { 2 } else { 4 };
    if aligned && (facts.in_memory)(entry & !1, size) {
        Ok(Start {
            entry,
            context,
            rest: [0; 2],
        })
    } else {
        Err(Error::InvalidAddress)
    }
}

/// Answers PSCI_FEATURES. No function here has feature flags, and none is that could only lie:
/// a vCPU has no statistics, hardware states or modes of its own, and no trusted OS migrates.
fn power_features(function: u32, aarch32: bool) -> u64 {
    match function {
        _ if aarch32 && is_64_bit(function) => NOT_SUPPORTED,
        psci::VERSION
        | psci::CPU_SUSPEND
        | psci::CPU_SUSPEND_64
        | psci::CPU_OFF
        | psci::CPU_ON
        | psci::CPU_ON_64
        | psci::AFFINITY_INFO
        | psci::AFFINITY_INFO_64
        | psci::MIGRATE_INFO_TYPE
        | psci::SYSTEM_OFF
        | psci::SYSTEM_RESET
        | psci::SYSTEM_RESET2
        | psci::SYSTEM_RESET2_64
        | psci::SYSTEM_SUSPEND
        | psci::SYSTEM_SUSPEND_64
        | psci::MEM_PROTECT
        | psci::MEM_PROTECT_CHECK_RANGE
        | psci::MEM_PROTECT_CHECK_RANGE_64
        | psci::FEATURES
        | smccc::VERSION => 0,
        _ => NOT_SUPPORTED,
    }
}

/// Answers SMCCC_ARCH_FEATURES.
fn arch_features(function: u32, facts: &Facts) -> u64 {
    match function {
        smccc::VERSION | smccc::ARCH_FEATURES => 0,
        smccc::ARCH_WORKAROUND_1 => discover(facts.workarounds.targets),
        smccc::ARCH_WORKAROUND_2 => match facts.workarounds.stores {
            // Here "not needed" has a code of its own (DEN 0028, 7.6).
            Workaround::NotNeeded => smccc::NOT_REQUIRED as u64,
            other => discover(other),
        },
        smccc::ARCH_WORKAROUND_3 => discover(facts.workarounds.history),
        smccc::PV_TIME_FEATURES if facts.stolen_time.is_some() => 0,
        _ => NOT_SUPPORTED,
    }
}

/// Answers PV_TIME_FEATURES (DEN 0057, 3.2).
const fn time_features(function: u32, facts: &Facts) -> u64 {
    match function {
        smccc::PV_TIME_FEATURES | smccc::PV_TIME_ST if facts.stolen_time.is_some() => 0,
        _ => NOT_SUPPORTED,
    }
}

/// Tells a guest whether to call a workaround.
const fn discover(workaround: Workaround) -> u64 {
    match workaround {
        Workaround::Unknown => NOT_SUPPORTED,
        Workaround::Effective => 0,
        Workaround::NotNeeded => 1,
    }
}

/// Returns whether a function is a workaround that guests call for again and again.
#[inline(always)]
pub const fn is_branch_workaround(function: u32) -> bool {
    matches!(
        function,
        smccc::ARCH_WORKAROUND_1 | smccc::ARCH_WORKAROUND_3
    )
}

/// Answers a call for one of the three workarounds: with what it returns, or that it is to be done.
#[inline(always)]
pub const fn work_around(function: u32, known: Workarounds) -> Action {
    let workaround = match function {
        smccc::ARCH_WORKAROUND_1 => known.targets,
        smccc::ARCH_WORKAROUND_2 => known.stores,
        _ => known.history,
    };
    match workaround {
        Workaround::Unknown => Action::Return(NOT_SUPPORTED),
        Workaround::Effective => Action::WorkAround(function),
        Workaround::NotNeeded => Action::Return(0),
    }
}

/// Returns the vendor's UUID as a call gives it: four bytes a register, the first in the low bits.
fn uid_words() -> [u64; 4] {
    let (words, _) = VENDOR_UID.as_chunks::<4>();
    let mut out = [0; 4];
    for (register, word) in out.iter_mut().zip(words) {
        *register = u32::from_le_bytes(*word).into();
    }
    out
}
