//! A guest's system registers: in memory, or on the CPU, and never in doubt.
//!
//! Registers go to the CPU at load and come back at put; an exit between moves none. Everybody
//! reads and writes through [`SysRegs::read`] and [`SysRegs::write`], which ask [`locate`] where
//! the value is. The array is private to this file, so a stale read does not compile.

#![expect(unsafe_code, reason = "loads a guest's registers into the CPU")]

use crate::{
    cpu::regs,
    isa::{
        encoding::Encoding,
        features::Features,
        sysreg::{COUNT, Class, SysReg, has_alias, present, sysreg_rows},
    },
};

/// Where a register's value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Location {
    /// In the vCPU's array.
    Memory,
    /// On the CPU this runs on; the array's value is stale.
    Cpu,
    /// In the array, which decides, with a copy on the CPU.
    MemoryAndCpu,
}

/// Returns where the value of a register of `class` is, given whether the vCPU is loaded.
#[inline(always)]
pub const fn locate(class: Class, sysregs_loaded_on_cpu: bool) -> Location {
    match (class, sysregs_loaded_on_cpu) {
        (Class::Deferred | Class::Timer, true) => Location::Cpu,
        (Class::LoadOnly, true) => Location::MemoryAndCpu,
        (_, false) | (Class::MemoryOnly, true) => Location::Memory,
    }
}

/// How this machine runs guests: what decides which registers exist and by which name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostMode {
    /// Whether EL2 runs with HCR_EL2.E2H set, so that EL1's registers have `_EL12` names.
    pub vhe: bool,
    /// What the CPUs have.
    pub features: Features,
}

/// The system registers of one vCPU.
pub struct SysRegs {
    regs: [u64; COUNT],
    pc: u64,
    pstate: u64,
    sysregs_loaded_on_cpu: bool,
    mode: HostMode,
}

/// ELR_EL2 and SPSR_EL2 of the hypervisor itself: the guest's PC and PSTATE while it is loaded.
const GUEST_PC: u32 = Encoding::new(3, 4, 4, 0, 1).iss();
const GUEST_PSTATE: u32 = Encoding::new(3, 4, 4, 0, 0).iss();

/// PSTATE of a new vCPU: EL1 with its own stack, all interrupts masked.
const PSTATE_RESET: u64 = 0x3c5;

impl SysRegs {
    /// Makes the registers of a vCPU at reset, in memory.
    pub fn new(mode: HostMode) -> Self {
        Self {
            regs: crate::isa::sysreg::TABLE.each_ref().map(|row| row.reset),
            pc: 0,
            pstate: PSTATE_RESET,
            sysregs_loaded_on_cpu: false,
            mode,
        }
    }

    /// Returns how this machine runs guests.
    pub const fn mode(&self) -> HostMode {
        self.mode
    }

    /// Returns whether the registers are on a CPU: the one that runs this.
    pub const fn sysregs_loaded_on_cpu(&self) -> bool {
        self.sysregs_loaded_on_cpu
    }

    /// Reads a register, wherever it is.
    #[inline(always)]
    pub fn read(&self, reg: SysReg) -> u64 {
        match locate(reg.class(), self.sysregs_loaded_on_cpu) {
            Location::Cpu => read_cpu(reg, self.mode.vhe),
            Location::Memory | Location::MemoryAndCpu => self.regs[reg as usize],
        }
    }

    /// Writes a register, wherever it is.
    #[inline(always)]
    pub fn write(&mut self, reg: SysReg, value: u64) {
        let location = locate(reg.class(), self.sysregs_loaded_on_cpu);
        if location != Location::Cpu {
            self.regs[reg as usize] = value;
        }
        if location != Location::Memory {
            // SAFETY: the register is a guest's, and that guest is loaded here.
            unsafe { write_cpu(reg, self.mode.vhe, value) }
        }
    }

    /// Returns the address of the guest's next instruction.
    #[inline(always)]
    pub fn pc(&self) -> u64 {
        if self.sysregs_loaded_on_cpu {
            regs::read::<GUEST_PC>()
        } else {
            self.pc
        }
    }

    /// Sets the address of the guest's next instruction.
    #[inline(always)]
    pub fn set_pc(&mut self, value: u64) {
        if self.sysregs_loaded_on_cpu {
            // SAFETY: only the return to the guest uses it.
            unsafe { regs::write::<GUEST_PC>(value) }
        } else {
            self.pc = value;
        }
    }

    /// Returns the guest's PSTATE, in the format of an SPSR.
    #[inline(always)]
    pub fn pstate(&self) -> u64 {
        if self.sysregs_loaded_on_cpu {
            regs::read::<GUEST_PSTATE>()
        } else {
            self.pstate
        }
    }

    /// Sets the guest's PSTATE. The caller keeps it at EL0 or EL1.
    #[inline(always)]
    pub fn set_pstate(&mut self, value: u64) {
        if self.sysregs_loaded_on_cpu {
            // SAFETY: only the return to the guest uses it.
            unsafe { regs::write::<GUEST_PSTATE>(value) }
        } else {
            self.pstate = value;
        }
    }

    /// Moves the guest, which has just exited, on to its next instruction. Does nothing and
    /// returns false where that takes more than an addition: in AArch32 state, in a single step,
    /// or with BTYPE set.
    #[inline(always)]
    pub fn skip_ordinary(&mut self) -> bool {
        const AARCH32: u64 = 1 << 4;
        const BTYPE: u64 = 0b11 << 10;
        const SS: u64 = 1 << 21;
        debug_assert!(self.sysregs_loaded_on_cpu, "it has just exited");
        let ordinary = regs::read::<GUEST_PSTATE>() & (AARCH32 | BTYPE | SS) == 0;
        if ordinary {
            let next = regs::read::<GUEST_PC>().wrapping_add(4);
            // SAFETY: only the return to the guest uses it.
            unsafe { regs::write::<GUEST_PC>(next) }
        }
        ordinary
    }

    /// Moves the registers to this CPU, where they stay until [`SysRegs::put`].
    pub fn load(&mut self) {
        debug_assert!(!self.sysregs_loaded_on_cpu);
        // SAFETY: the array holds a guest's values; none of the table's registers changes how EL2
        // itself runs, but for HCR_EL2 and CPTR_EL2, which `vm::traps` makes.
        unsafe {
            if self.mode.vhe {
                restore::<true>(&self.regs, self.mode.features);
            } else {
                restore::<false>(&self.regs, self.mode.features);
            }
        }
        self.sysregs_loaded_on_cpu = true;
        let (pc, pstate) = (self.pc, self.pstate);
        self.set_pc(pc);
        self.set_pstate(pstate);
    }

    /// Moves the registers back to memory.
    pub fn put(&mut self) {
        debug_assert!(self.sysregs_loaded_on_cpu);
        self.pc = self.pc();
        self.pstate = self.pstate();
        if self.mode.vhe {
            save::<true>(&mut self.regs, self.mode.features);
        } else {
            save::<false>(&mut self.regs, self.mode.features);
        }
        self.sysregs_loaded_on_cpu = false;
    }
}

macro_rules! accessors {
    ($($(#[$doc:meta])* $name:ident
       $op0:literal $op1:literal $crn:literal $crm:literal $op2:literal
       $class:ident $alias:tt $when:tt $reset:literal;)*) => {
        /// One register each: read and written on the CPU, by its own name or by the one EL2
        /// uses with E2H set. `vhe` is a constant at each hot call, so one instruction is left.
        mod on_cpu {
            $(#[expect(non_snake_case, reason = "the architecture's names")]
            pub mod $name {
                use super::super::{Encoding, has_alias, regs};

                const OWN: Encoding = Encoding::new($op0, $op1, $crn, $crm, $op2);
                const ALIAS: Encoding = if has_alias!($alias) { OWN.vhe_alias() } else { OWN };

                #[inline(always)]
                pub fn read(vhe: bool) -> u64 {
                    if vhe {
                        regs::read::<{ ALIAS.iss() }>()
                    } else {
                        regs::read::<{ OWN.iss() }>()
                    }
                }

                /// # Safety
                ///
                /// The guest whose value this is must be loaded here.
                #[inline(always)]
                pub unsafe fn write(vhe: bool, value: u64) {
                    // SAFETY: passed on to the caller.
                    unsafe {
                        if vhe {
                            regs::write::<{ ALIAS.iss() }>(value);
                        } else {
                            regs::write::<{ OWN.iss() }>(value);
                        }
                    }
                }
            })*
        }

        /// Reads a register on the CPU.
        #[inline(always)]
        fn read_cpu(reg: SysReg, vhe: bool) -> u64 {
            match reg {
                $(SysReg::$name => on_cpu::$name::read(vhe),)*
            }
        }

        /// Writes a register on the CPU.
        ///
        /// # Safety
        ///
        /// The guest whose value this is must be loaded here.
        #[inline(always)]
        unsafe fn write_cpu(reg: SysReg, vhe: bool, value: u64) {
            // SAFETY: passed on to the caller.
            unsafe {
                match reg {
                    $(SysReg::$name => on_cpu::$name::write(vhe, value),)*
                }
            }
        }

        /// Copies every deferred register from the CPU, and silences what acts without the vCPU.
        #[inline(always)]
        fn save<const VHE: bool>(to: &mut [u64; COUNT], features: Features) {
            $(if matches!(Class::$class, Class::Deferred | Class::Timer) && present!(features, $when) {
                to[SysReg::$name as usize] = on_cpu::$name::read(VHE);
                if matches!(Class::$class, Class::Timer) {
                    // SAFETY: turns a guest's timer off.
                    unsafe { on_cpu::$name::write(VHE, 0) }
                }
            })*
        }

        /// Copies every register that lives on the CPU to it.
        ///
        /// # Safety
        ///
        /// The array must hold a guest's values, and that guest's turn must have come.
        #[inline(always)]
        unsafe fn restore<const VHE: bool>(from: &[u64; COUNT], features: Features) {
            $(if !matches!(Class::$class, Class::MemoryOnly) && present!(features, $when) {
                // SAFETY: passed on to the caller.
                unsafe { on_cpu::$name::write(VHE, from[SysReg::$name as usize]) }
            })*
        }
    };
}
sysreg_rows!(accessors);

#[cfg(test)]
mod tests;
