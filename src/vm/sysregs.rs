//! A guest's system registers: in memory, or on the CPU, and never in doubt.
//!
//! Registers go to the CPU at load and come back at put; an exit between moves none. Everybody
//! reads and writes through [`SysRegs::read`] and [`SysRegs::write`], which ask [`locate`] where
//! the value is. The array is private to this module, so a stale read does not compile.
//!
//! Three groups have a life of their own, and a flag each: the registers of an AArch32 EL1, which
//! load and put move for such guests only, in both host modes alike; those that go with the FP
//! registers; and those that go with the breakpoints.

#![expect(unsafe_code, reason = "loads a guest's registers into the CPU")]

mod numbered;
mod on_cpu;
mod place;
#[cfg(feature = "selftest")]
pub mod planted;
mod report;
mod view;

pub use place::{Location, State, locate};

use crate::{
    cpu::regs,
    isa::{
        aarch32::{mode, psr},
        encoding::Encoding,
        features::Features,
        sysreg::{ALL, COUNT, Present, SysReg},
    },
    vm::traps::hcr,
};
use on_cpu::Group;

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
    state: State,
    /// Whether MDSCR_EL1 stays in memory at load.
    pub(super) debug_withheld: bool,
    mode: HostMode,
}

/// ELR_EL2 and SPSR_EL2 of the hypervisor itself: the guest's PC and PSTATE while it is loaded.
const GUEST_PC: u32 = Encoding::new(3, 4, 4, 0, 1).iss();
const GUEST_PSTATE: u32 = Encoding::new(3, 4, 4, 0, 0).iss();

/// PSTATE of a new vCPU: EL1 with its own stack, all interrupts masked.
const PSTATE_RESET: u64 = 0x3c5;
/// The same of AArch32: Supervisor mode, A32 instructions.
const PSTATE_RESET_32: u64 = psr::A | psr::I | psr::F | mode::SUPERVISOR;

/// FPEXC32_EL2.EN. While the FP registers are not a guest's, the CPU's FPEXC32_EL2 must have it:
/// without, an AArch32 EL1 finds FP off before EL2's trap is asked (Arm ARM, "FPEXC32_EL2").
const FPEXC_EN: u64 = 1 << 30;

/// Prepares this CPU for its first guest. FP must not be trapped from EL2.
pub fn prepare_cpu(features: Features) {
    if features.has(Features::AARCH32_EL1) {
        // SAFETY: says only that an AArch32 EL1 has FP.
        unsafe { on_cpu::write(SysReg::FPEXC32_EL2, false, FPEXC_EN) }
    }
}

impl SysRegs {
    /// Makes the registers of a vCPU at reset, in memory, for a guest that is shown `shown`.
    pub fn new(mode: HostMode, shown: Present) -> Self {
        let machine = Present {
            features: mode.features,
            ..shown
        };
        let present = machine.switched_for(shown);
        let aarch32 = present.features.has(Features::AARCH32_EL1);
        let mut regs = Self {
            regs: ALL.map(|reg| reg.reset(aarch32)),
            pc: 0,
            pstate: 0,
            state: State::in_memory(present),
            debug_withheld: false,
            mode,
        };
        regs.set_start(0);
        regs
    }

    /// Returns whether the vCPU's EL1 is AArch32.
    pub const fn is_aarch32(&self) -> bool {
        self.state.present.features.has(Features::AARCH32_EL1)
    }

    /// Sets PC and PSTATE to what a vCPU starts with at `entry`; in AArch32, bit 0 of that asks for
    /// T32 instructions.
    pub fn set_start(&mut self, entry: u64) {
        if !self.is_aarch32() {
            self.set_pstate(PSTATE_RESET);
            return self.set_pc(entry);
        }
        let thumb = if entry & 1 != 0 { psr::T } else { 0 };
        self.set_pstate(PSTATE_RESET_32 | thumb);
        self.set_pc(entry & 0xffff_fffe);
    }

    /// Returns how this machine runs guests.
    pub const fn mode(&self) -> HostMode {
        self.mode
    }

    /// Returns what of the vCPU is on this CPU, and what registers it has.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Returns whether the registers are on a CPU: the one that runs this.
    pub const fn sysregs_loaded_on_cpu(&self) -> bool {
        self.state.sysregs_loaded_on_cpu
    }

    /// Returns whether there is such a register for this vCPU.
    pub const fn has(&self, reg: SysReg) -> bool {
        !matches!(locate(reg, &self.state), Location::Nowhere)
    }

    /// Reads a register, wherever it is.
    #[inline(always)]
    pub fn read(&self, reg: SysReg) -> u64 {
        match locate(reg, &self.state) {
            Location::Cpu => on_cpu::read(reg, self.mode.vhe),
            Location::Memory | Location::MemoryAndCpu => self.regs[reg as usize],
            Location::Computed => self.read_view(reg),
            Location::Nowhere => report::unforeseen(reg),
        }
    }

    /// Writes a register, wherever it is.
    #[inline(always)]
    pub fn write(&mut self, reg: SysReg, value: u64) {
        let location = locate(reg, &self.state);
        match location {
            Location::Memory | Location::MemoryAndCpu => self.regs[reg as usize] = value,
            Location::Cpu => {}
            Location::Computed => return self.write_view(reg, value),
            Location::Nowhere => {
                report::unforeseen(reg);
                return;
            }
        }
        if location != Location::Memory {
            // SAFETY: the register is a guest's, and that guest is loaded here.
            unsafe { on_cpu::write(reg, self.mode.vhe, value) }
        }
    }

    /// Reads a register that is known only at run time: one copy of the code for the whole table.
    #[inline(never)]
    pub fn read_any(&self, reg: SysReg) -> u64 {
        self.read(reg)
    }

    /// Writes a register that is known only at run time.
    #[inline(never)]
    pub fn write_any(&mut self, reg: SysReg, value: u64) {
        self.write(reg, value);
    }

    /// Returns the address of the guest's next instruction.
    #[inline(always)]
    pub fn pc(&self) -> u64 {
        if self.state.sysregs_loaded_on_cpu {
            regs::read::<GUEST_PC>()
        } else {
            self.pc
        }
    }

    /// Sets the address of the guest's next instruction.
    #[inline(always)]
    pub fn set_pc(&mut self, value: u64) {
        if self.state.sysregs_loaded_on_cpu {
            // SAFETY: only the return to the guest uses it.
            unsafe { regs::write::<GUEST_PC>(value) }
        } else {
            self.pc = value;
        }
    }

    /// Returns the guest's PSTATE, in the format of an SPSR.
    #[inline(always)]
    pub fn pstate(&self) -> u64 {
        if self.state.sysregs_loaded_on_cpu {
            regs::read::<GUEST_PSTATE>()
        } else {
            self.pstate
        }
    }

    /// Sets the guest's PSTATE. The caller keeps it at EL0 or EL1.
    #[inline(always)]
    pub fn set_pstate(&mut self, value: u64) {
        if self.state.sysregs_loaded_on_cpu {
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
        debug_assert!(self.sysregs_loaded_on_cpu(), "it has just exited");
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
        debug_assert!(!self.state.sysregs_loaded_on_cpu);
        // First, as Cortex-A57 and A72 want it (erratum 853709: before HCR_EL2.RW is written).
        if self.state.present.features.has(Features::AARCH32_EL1) {
            self.restore(Group::Deferred32);
            self.state.aarch32 = true;
        }
        self.restore(Group::Deferred);
        self.state.sysregs_loaded_on_cpu = true;
        if !self.debug_withheld {
            self.load_debug_control();
        }
        let (pc, pstate) = (self.pc, self.pstate);
        self.set_pc(pc);
        self.set_pstate(pstate);
    }

    /// Moves the registers back to memory. Those of FP must not be loaded any more; the breakpoints
    /// stay where they are.
    pub fn put(&mut self) {
        debug_assert!(self.state.sysregs_loaded_on_cpu && !self.state.fp);
        self.pc = self.pc();
        self.pstate = self.pstate();
        self.take_back_system_error();
        self.save(Group::Deferred);
        self.put_debug_control();
        self.state.sysregs_loaded_on_cpu = false;
        if self.state.aarch32 {
            self.save(Group::Deferred32);
            self.state.aarch32 = false;
        }
    }

    /// Notices that a virtual SError was taken: the one bit of a control word that the CPU changes.
    fn take_back_system_error(&mut self) {
        let hcr = &mut self.regs[SysReg::RUN_HCR_EL2 as usize];
        if *hcr & hcr::VSE != 0 {
            *hcr &= !hcr::VSE | on_cpu::read(SysReg::RUN_HCR_EL2, self.mode.vhe);
        }
    }

    /// Moves the registers that go with FP to this CPU. FP must not be trapped from EL2.
    pub fn load_fp(&mut self) {
        debug_assert!(self.state.sysregs_loaded_on_cpu && !self.state.fp);
        self.restore(Group::Fp);
        self.state.fp = true;
    }

    /// Moves them back to memory. FP must not be trapped from EL2 yet.
    pub fn put_fp(&mut self) {
        debug_assert!(self.state.fp);
        self.save(Group::Fp);
        self.state.fp = false;
        if self.state.present.has(SysReg::FPEXC32_EL2) {
            prepare_cpu(self.mode.features);
        }
    }

    #[inline(always)]
    fn load_debug_control(&mut self) {
        self.state.debug_control = true;
        self.write(SysReg::MDSCR_EL1, self.regs[SysReg::MDSCR_EL1 as usize]);
    }

    #[inline(always)]
    fn put_debug_control(&mut self) {
        if self.state.debug_control {
            self.regs[SysReg::MDSCR_EL1 as usize] = self.read(SysReg::MDSCR_EL1);
            self.state.debug_control = false;
        }
    }

    /// Sets whether the guest's MDSCR_EL1 is kept in memory even while the vCPU is loaded.
    pub fn withhold_debug(&mut self, withheld: bool) {
        self.debug_withheld = withheld;
        if !self.state.sysregs_loaded_on_cpu {
            return;
        }
        if withheld {
            self.put_debug_control();
        } else if !self.state.debug_control {
            self.load_debug_control();
        }
    }

    /// Sets the CPU's MDSCR_EL1 while the guest's own is withheld. The vCPU must be loaded.
    pub fn set_debug_control(&mut self, value: u64) {
        debug_assert!(self.state.sysregs_loaded_on_cpu && !self.state.debug_control);
        // SAFETY: it concerns EL1 and EL0, where a vCPU is loaded; EL2 masks debug exceptions.
        unsafe { on_cpu::write(SysReg::MDSCR_EL1, self.mode.vhe, value) }
    }

    /// Moves the breakpoints and what goes with them to this CPU.
    pub fn load_debug(&mut self) {
        debug_assert!(self.state.sysregs_loaded_on_cpu && !self.state.debug);
        self.restore(Group::Debug);
        numbered::restore(&self.regs, self.state.present);
        self.state.debug = true;
    }

    /// Moves them back to memory. The vCPU may have been put before.
    pub fn put_debug(&mut self) {
        debug_assert!(self.state.debug);
        self.save(Group::Debug);
        numbered::save(&mut self.regs, self.state.present);
        self.state.debug = false;
    }

    /// Puts a debugger's breakpoints into the CPU: `set` is given a file of all zeroes to fill. The
    /// guest's own must be in memory.
    pub fn load_foreign_debug(&self, set: impl FnOnce(&mut dyn FnMut(SysReg, u64))) {
        debug_assert!(!self.state.debug);
        let mut values = alloc::boxed::Box::new([0; COUNT]);
        set(&mut |reg, value| values[reg as usize] = value);
        if self.state.present.has(SysReg::DBGVCR32_EL2) {
            // SAFETY: catches nothing.
            unsafe { on_cpu::write(SysReg::DBGVCR32_EL2, self.mode.vhe, 0) }
        }
        numbered::restore(&values, self.state.present);
    }

    #[inline(always)]
    fn save(&mut self, group: Group) {
        let (to, present) = (&mut self.regs, self.state.present);
        if self.mode.vhe {
            on_cpu::save::<true>(group, to, present);
        } else {
            on_cpu::save::<false>(group, to, present);
        }
    }

    #[inline(always)]
    fn restore(&mut self, group: Group) {
        let (from, present) = (&self.regs, self.state.present);
        // SAFETY: the array holds a guest's values, and the caller loads that guest. None of the
        // table's registers changes how EL2 itself runs, but for HCR_EL2 and CPTR_EL2, which
        // `vm::traps` makes.
        unsafe {
            if self.mode.vhe {
                on_cpu::restore::<true>(group, from, present);
            } else {
                on_cpu::restore::<false>(group, from, present);
            }
        }
    }
}

#[cfg(test)]
mod tests;
