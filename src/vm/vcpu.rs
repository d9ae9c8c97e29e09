//! A virtual CPU: called like a function, it runs a guest until something has to be decided.

#![expect(unsafe_code, reason = "enters the guest")]

use super::{
    Vm,
    debug::{Debug, session::Stop},
    gic::{Here, HostLists, on_lists},
    host::{GUEST_PHYSICAL_TIMER, GUEST_VIRTUAL_TIMER},
    memory::Cleaning,
    pvtime::PassedOver,
    smccc::Start,
    stats::{REASONS, Reason},
    sysregs::{HostMode, SysRegs},
    traps,
};
use crate::{
    addr::Ipa,
    cpu::{
        fp::FpRegs,
        switch::{self, Frame, Next},
    },
    isa::{aarch32::condition, esr::Esr, sysreg::SysReg},
};
use alloc::{boxed::Box, sync::Arc};

/// Why [`Vcpu::run`] returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Somebody wants something of this CPU; the guest itself may go on at once.
    Interrupted,
    /// The guest waits for an interrupt, and this CPU may do something else.
    Wait,
    /// The guest turned this vCPU off.
    Off,
    /// The guest turned its VM off.
    SystemOff,
    /// The guest asked for its VM to be started anew.
    SystemReset,
    /// The VM can't go on; why.
    Stopped(&'static str),
    /// The debugger that is attached wanted it to stop.
    Debug(Stop),
}

/// One vCPU. The CPU that runs it has it to itself.
#[repr(C)]
pub struct Vcpu {
    /// First: the assembly takes the frame's address for the vCPU's.
    pub(super) frame: Frame,
    regs: SysRegs,
    pub(super) fp: FpRegs,
    /// Its part in who has the debug registers.
    pub(super) debug: Debug,
    exit: Exit,
    /// Whether other vCPUs are in the care of the CPU it is loaded on.
    pub(super) shares_cpu: bool,
    exits: [u64; REASONS],
    /// Since when it could run and another does.
    pub(super) passed_over: PassedOver,
    /// How far the guest's memory has been cleaned, while it waits for that.
    pub(super) cleaning: Option<Cleaning>,
    /// The virtual interrupt interface of the CPU it was last loaded on.
    pub(super) lists: HostLists,
    /// Which vCPU of its VM.
    pub(super) index: usize,
    /// What it shares with the VM's other vCPUs.
    pub(super) vm: Arc<Vm>,
}

const _: () = assert!(core::mem::offset_of!(Vcpu, frame) == 0);

/// Bits of CNTV_CTL_EL0 and CNTP_CTL_EL0.
mod timer {
    pub const ENABLE: u64 = 1 << 0;
    pub const IMASK: u64 = 1 << 1;
    const ISTATUS: u64 = 1 << 2;
    pub const ALL: u64 = ENABLE | IMASK | ISTATUS;
    /// The interrupt's line is high.
    pub const FIRES: u64 = ENABLE | ISTATUS;
}

impl Vcpu {
    /// Makes vCPU `index` of a VM, at reset.
    pub fn new(vm: &Arc<Vm>, index: usize) -> Box<Self> {
        Box::new(Self {
            frame: Frame::ZERO,
            regs: Self::registers(vm, index),
            fp: FpRegs::ZERO,
            debug: Debug::new(),
            exit: Exit::Interrupted,
            cleaning: None,
            shares_cpu: true,
            exits: [0; REASONS],
            passed_over: PassedOver::default(),
            lists: HostLists::probe(vm.host.gic),
            index,
            vm: vm.clone(),
        })
    }

    /// Returns the registers of vCPU `index` of a VM at reset.
    #[inline(never)]
    fn registers(vm: &Vm, index: usize) -> SysRegs {
        let mode = vm.host.mode;
        let mut regs = SysRegs::new(mode, vm.shown);
        let (vttbr, vtcr) = vm.stage2_registers();
        let affinity = vm.affinity(index);
        regs.write(SysReg::RUN_VPIDR_EL2, vm.host.midr);
        regs.write(SysReg::RUN_VMPIDR_EL2, 1 << 31 | affinity.mpidr());
        let hcr = traps::hcr::for_guest(mode, vm.is_aarch32());
        regs.write(SysReg::RUN_HCR_EL2, hcr);
        regs.write(SysReg::RUN_CPTR_EL2, traps::cptr(mode, true));
        regs.write(SysReg::RUN_VTTBR_EL2, vttbr);
        regs.write(SysReg::RUN_VTCR_EL2, vtcr);
        regs.write(SysReg::RUN_CNTVOFF_EL2, vm.count_offset);
        regs
    }

    /// Sets where the vCPU starts, and everything else to reset. It must not be loaded.
    pub fn start_at(&mut self, start: Start) {
        self.frame = Frame::ZERO;
        self.regs = Self::registers(&self.vm, self.index);
        self.fp = FpRegs::ZERO;
        self.debug = self.debug.at_reset();
        self.vm.gic.lock().reset_interface(self.index);
        let [x1, x2] = start.rest;
        for (n, value) in (0..).zip([start.context, x1, x2]) {
            self.frame.write(n, value);
        }
        self.regs.set_start(start.entry);
    }

    /// Reads a guest system register, wherever it is.
    #[inline(always)]
    pub fn read_sys_reg(&self, reg: SysReg) -> u64 {
        self.regs.read(reg)
    }

    /// Writes a guest system register, wherever it is.
    #[inline(always)]
    pub fn write_sys_reg(&mut self, reg: SysReg, value: u64) {
        self.regs.write(reg, value);
    }

    /// Returns the register file.
    pub const fn sysregs(&self) -> &SysRegs {
        &self.regs
    }

    /// Returns the register file, to change it.
    pub const fn sysregs_mut(&mut self) -> &mut SysRegs {
        &mut self.regs
    }

    /// Returns whether the FP registers are on this CPU, and the guest may use them without a trap.
    pub(super) const fn fp_on_cpu(&self) -> bool {
        self.regs.state().fp
    }

    /// Returns how guests run on this machine.
    pub const fn mode(&self) -> HostMode {
        self.regs.mode()
    }

    /// Returns general register `n`; 31 is the zero register.
    pub fn x(&self, n: u8) -> u64 {
        self.frame.read(n)
    }

    /// Moves the vCPU's state onto this CPU, where it stays until [`Vcpu::put`].
    pub fn load(&mut self) {
        self.lists = HostLists::probe(self.vm.host.gic);
        let mut gic = self.vm.gic.lock();
        let kicks = on_lists!(self.lists, lists => gic.load(&mut Here::new(self.index, lists)));
        let in_flight = gic.hw_in_flight(self.index);
        drop(gic);
        // Before the timers' lines can rise again with their registers.
        self.vm.host.set_private_active(in_flight, true);
        self.decide_debug();
        self.regs.load();
        self.resume_debug();
        self.vm.kick(kicks);
    }

    /// Moves the vCPU's state back to memory.
    pub fn put(&mut self) {
        self.put_fp();
        self.regs.put();
        self.suspend_debug();
        let mut gic = self.vm.gic.lock();
        // A timer interrupt that the guest took back by moving the deadline must not come.
        for (control, intid) in [
            (SysReg::CNTV_CTL_EL0, GUEST_VIRTUAL_TIMER),
            (SysReg::CNTP_CTL_EL0, GUEST_PHYSICAL_TIMER),
        ] {
            if gic.are_silent(self.index, 1 << intid) {
                continue;
            }
            if self.regs.read(control) & timer::ALL != timer::FIRES {
                // It only takes back; nobody is to be told.
                let _ = on_lists!(self.lists, lists => {
                    gic.set_level(&mut Here::new(self.index, lists), self.index, intid, false)
                });
            }
        }
        let kicks = on_lists!(self.lists, lists => gic.put(&mut Here::new(self.index, lists)));
        let in_flight = gic.hw_in_flight(self.index);
        drop(gic);
        self.vm.host.set_private_active(in_flight, false);
        self.vm.kick(kicks);
    }

    /// Returns the physical count at which a timer of the guest will want it, if one is on: 0 when
    /// one does already.
    pub fn deadline(&self) -> Option<u64> {
        let offset = self.regs.read(SysReg::RUN_CNTVOFF_EL2);
        let of_virtual = self.deadline_of(SysReg::CNTV_CTL_EL0, SysReg::CNTV_CVAL_EL0, offset);
        let of_physical = self.deadline_of(SysReg::CNTP_CTL_EL0, SysReg::CNTP_CVAL_EL0, 0);
        of_virtual.into_iter().chain(of_physical).min()
    }

    #[inline(always)]
    fn deadline_of(&self, control: SysReg, compare: SysReg, offset: u64) -> Option<u64> {
        let is_on = self.regs.read(control) & (timer::ENABLE | timer::IMASK) == timer::ENABLE;
        if !is_on {
            return None;
        }
        Some(self.regs.read(compare).saturating_add(offset))
    }

    /// Sets whether the CPU has others to run. The guest's WFI then comes to EL2, and so does
    /// every word for one of the others.
    pub fn share_cpu(&mut self, shared: bool) {
        self.shares_cpu = shared;
        self.trap_wait(shared);
    }

    fn trap_wait(&mut self, trapped: bool) {
        let old = self.regs.read(SysReg::RUN_HCR_EL2);
        let new = if trapped {
            old | traps::hcr::TWI
        } else {
            old & !traps::hcr::TWI
        };
        if new != old {
            self.regs.write(SysReg::RUN_HCR_EL2, new);
        }
    }

    /// Does what other CPUs changed in the interrupt controller for this vCPU, which is loaded.
    pub fn sync_interrupts(&mut self) {
        let index = self.index;
        let kicks = on_lists!(self.lists, lists => {
            self.vm.gic.lock().sync(&mut Here::new(index, lists))
        });
        self.vm.kick(kicks);
    }

    /// Prints the registers, for a person to see why the guest could not go on.
    pub fn print_registers(&self) {
        for (n, four) in (0..).step_by(4).zip(self.frame.x.chunks(4)) {
            let mut line = alloc::string::String::new();
            for (m, x) in (n..).zip(four) {
                line += &alloc::format!("  x{m:<2} {x:016x}");
            }
            log::error!("{line}");
        }
        log::error!(
            "  pc  {:016x}  pstate {:08x}  esr {:08x}  far {:016x}",
            self.regs.pc(),
            self.regs.pstate(),
            self.regs.read(SysReg::ESR_EL1),
            self.regs.read(SysReg::FAR_EL1),
        );
    }

    /// Returns the VM.
    pub const fn vm(&self) -> &Arc<Vm> {
        &self.vm
    }

    /// Returns which vCPU of its VM this is.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Runs the guest until something has to be decided outside. The vCPU must be loaded.
    pub fn run(&mut self) -> Exit {
        debug_assert!(self.regs.sysregs_loaded_on_cpu());
        self.exit = Exit::Interrupted;
        if self.cleaning.is_some()
            && let Err(exit) = self.clean_memory()
        {
            return exit;
        }
        let frame = core::ptr::from_mut(self).cast::<Frame>();
        // SAFETY: the vCPU's state is on this CPU, and the frame is the vCPU's first field. The
        // pointer is derived from all of `self`, which is not used until this returns.
        unsafe { switch::enter(frame) };
        self.exit
    }

    /// Counts an exit.
    #[inline(always)]
    pub(super) const fn count(&mut self, reason: Reason) {
        self.exits[reason as usize] = self.exits[reason as usize].wrapping_add(1);
    }

    /// Publishes the counts, and that the vCPU ran for so long, after EL2 did for so long.
    pub fn publish_stats(&self, ran: u64, el2: u64) {
        if let Some(stats) = self.vm.stats().get(self.index) {
            stats.publish(&self.exits, ran, el2);
        }
    }

    /// Makes [`Vcpu::run`] return `exit`.
    pub(super) const fn leave(&mut self, exit: Exit) -> Next {
        self.exit = exit;
        Next::leave()
    }

    /// Gives the guest its FP registers at its first use of them since load.
    pub(super) fn use_fp(&mut self) {
        self.trap_fp(false);
        if !self.fp_on_cpu() {
            self.fp.restore();
            self.regs.load_fp();
        }
    }

    /// Takes the FP registers from the guest again, if it has them.
    pub(super) fn put_fp(&mut self) {
        if self.fp_on_cpu() {
            self.fp.save();
            self.regs.put_fp();
            self.trap_fp(true);
        }
    }

    fn trap_fp(&mut self, trapped: bool) {
        let cptr = traps::cptr(self.mode(), trapped);
        self.write_sys_reg(SysReg::RUN_CPTR_EL2, cptr);
        // The registers are moved right after, at EL2, which CPTR_EL2 binds too.
        crate::cpu::barrier::isb();
    }

    /// Moves the guest on to its next instruction: the current one was done for it. Returns whether
    /// it was to be done at all: one of AArch32 may have failed its condition.
    #[inline(always)]
    pub(super) fn skip(&mut self, esr: Esr) -> bool {
        /// SS, BTYPE and the AArch32 bit: what makes skipping more than an addition.
        const UNUSUAL: u64 = 1 << 21 | 0b11 << 10 | 1 << 4;
        let pstate = self.regs.pstate();
        let executed = pstate & UNUSUAL == 0 || self.finish_instruction(esr, pstate);
        let pc = self.regs.pc().wrapping_add(esr.instruction_size());
        self.regs.set_pc(pc);
        executed
    }

    /// Changes PSTATE as the end of an instruction does: no single step is left to take, BTYPE is
    /// zero, and in AArch32 the IT block moves on. Returns whether the instruction's condition held.
    #[cold]
    fn finish_instruction(&mut self, esr: Esr, pstate: u64) -> bool {
        const SS: u64 = 1 << 21;
        const BTYPE: u64 = 0b11 << 10;
        const AARCH32: u64 = 1 << 4;
        let new = if pstate & AARCH32 == 0 {
            pstate & !(SS | BTYPE)
        } else {
            condition::advance_it(pstate) & !SS
        };
        self.regs.set_pstate(new);
        condition::passed(esr, pstate)
    }

    /// Returns the address behind an abort, as the guest's stage 1 gave it to stage 2.
    #[inline(always)]
    pub(super) fn fault_ipa(&self) -> Ipa {
        super::fault::ipa()
    }
}
