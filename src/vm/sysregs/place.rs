//! Where a register is: the one answer that every access asks for.

use crate::isa::sysreg::{Class, Present, SysReg};

/// Where a register's value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Location {
    /// In the vCPU's array.
    Memory,
    /// On the CPU this runs on; the array's value is stale.
    Cpu,
    /// In the array, which decides, with a copy on the CPU.
    MemoryAndCpu,
    /// Nowhere of its own: computed from another register.
    Computed,
    /// The vCPU has no such register: it reads as zero, and writes are ignored.
    Nowhere,
}

/// What of a vCPU is on a CPU, and which registers there are: what decides where one is.
///
/// One CPU at most has a vCPU loaded, and only that CPU has the vCPU: "on a CPU" is on this one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// Its EL1 is loaded.
    pub sysregs_loaded_on_cpu: bool,
    /// The registers of an AArch32 EL1 are loaded too.
    pub aarch32: bool,
    /// Its FP registers are loaded.
    pub fp: bool,
    /// Its MDSCR_EL1 is loaded.
    pub debug_control: bool,
    /// Its breakpoints are on the CPU: perhaps still, after it was put.
    pub debug: bool,
    /// The registers it has.
    pub present: Present,
}

impl State {
    /// Returns the state of a vCPU that is in memory.
    pub const fn in_memory(present: Present) -> Self {
        Self {
            sysregs_loaded_on_cpu: false,
            aarch32: false,
            fp: false,
            debug_control: false,
            debug: false,
            present,
        }
    }
}

/// Returns where a register's value is.
///
/// A virtual EL2 that runs on EL1's registers will be one more field of the state, and one more
/// answer: [`SysReg::SCTLR_EL2`] and its like are then on the CPU as EL1's.
#[inline(always)]
pub const fn locate(reg: SysReg, state: &State) -> Location {
    if !state.present.has(reg) {
        return Location::Nowhere;
    }
    let loaded = match reg.class() {
        Class::Deferred | Class::Timer => state.sysregs_loaded_on_cpu,
        Class::Deferred32 => state.aarch32,
        Class::LazyFp => state.fp,
        Class::DebugControl => state.debug_control,
        Class::LazyDebug | Class::Breakpoint | Class::Watchpoint => state.debug,
        Class::Immediate | Class::MemoryOnly => false,
        Class::LoadOnly if state.sysregs_loaded_on_cpu => return Location::MemoryAndCpu,
        Class::LoadOnly => false,
        Class::View => return Location::Computed,
    };
    if loaded {
        Location::Cpu
    } else {
        Location::Memory
    }
}
