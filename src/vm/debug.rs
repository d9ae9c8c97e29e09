//! Who has a CPU's debug registers: switched only for those who use them.
//!
//! A CPU has up to 16 breakpoints and 16 watchpoints, two registers each, and hardly any guest uses
//! one at any moment. So each vCPU has an [`Owner`]:
//!
//! | owner | accesses | MDSCR_EL1 on the CPU | breakpoints on the CPU |
//! |---|---|---|---|
//! | Free | trapped: the first makes it Guest, and is done again | the guest's | nobody's business |
//! | Guest | not trapped | the guest's | the guest's |
//! | Locked | trapped, done in memory | the guest's, nothing enabled | nobody's business |
//! | Debugger | trapped, done in memory | the debugger's | the debugger's |
//!
//! Locked is a vCPU whose guest has locked the OS lock, as it is at reset, or whose CPU an external
//! debugger has claimed. A vCPU that is loaded with MDSCR_EL1.KDE or MDE set is Guest from the start.
//! A Guest with neither goes back to Free at put, or when `PERIOD` has passed without one.
//!
//! The breakpoints stay on the CPU when their vCPU is put, until another needs them: who comes back
//! finds them there. Meanwhile they are enabled, and harm nobody. Whoever runs is Free or Locked, or
//! has put its own there. Of these, MDSCR_EL1.MDE is clear, without which no breakpoint, watchpoint
//! or vector catch generates an exception, whatever the control registers say (Arm ARM, D2.8 to
//! D2.10), linked and context-matching ones included; and a Free vCPU can't set it without a trap.
//! Single step needs none of these registers, and MDSCR_EL1.SS is the vCPU's own. BRK needs no
//! register at all. EL2 is never a target: it runs with PSTATE.D set, and MDCR_EL2.TDE is clear but
//! for a guest that is being debugged.
//!
//! OSLAR_EL1, OSLSR_EL1, OSDLR_EL1, DBGPRCR_EL1 and MDRAR_EL1 are trapped whoever owns the rest;
//! where the CPU has FEAT_FGT, so are the claim tags and the channel to an external debugger.
//! Elsewhere these go with the breakpoints (`machine`).

pub mod control;
mod machine;
pub mod session;

use super::{
    traps::{self, DebugTraps},
    vcpu::Vcpu,
};
use crate::{
    bits::bit,
    isa::{
        encoding::Encoding,
        features::Features,
        sysreg::{Class, SysReg},
    },
};
use alloc::boxed::Box;
use session::Session;

/// Who has the debug registers of the CPU while a vCPU runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// Nobody.
    Free,
    /// The guest.
    Guest,
    /// Nobody, and the guest may not: its OS lock, or an external debugger, is in the way.
    Locked,
    /// The hypervisor, which debugs the guest.
    Debugger,
}

/// A vCPU's part in it.
pub struct Debug {
    owner: Owner,
    /// What MDCR_EL2 does about it now.
    traps: DebugTraps,
    /// Whether the guest has used the registers since the owner was last decided.
    touched: bool,
    /// Whether an external debugger has them.
    claimed: bool,
    /// Whether [`settle`] has anything to do, be it to say when to look again.
    unsettled: bool,
    /// Whether the owner has still to be decided, or to be given what is its.
    changed: bool,
    /// When to look whether a guest still uses them: a physical count.
    due: u64,
    /// The debugger that is attached.
    pub(super) session: Option<Session>,
    /// Whether the debugger's breakpoints are on the CPU.
    foreign: bool,
}

/// Bits of MDSCR_EL1.
pub(super) mod mdscr {
    /// Single step.
    pub const SS: u64 = 1 << 0;
    /// Debug exceptions also at the exception level they go to.
    pub const KDE: u64 = 1 << 13;
    /// Breakpoints, watchpoints and vector catches.
    pub const MDE: u64 = 1 << 15;
}

/// How often a guest that has the debug registers is asked whether it uses them, in parts of a
/// second. A kernel writes them when it starts; a vCPU that has a CPU to itself is never put.
const PERIODS_PER_SECOND: u64 = 10;

const DBGCLAIMSET_EL1: Encoding = Encoding::new(2, 0, 7, 8, 6);
/// OSLSR_EL1.OSLK.
const OSLK: u32 = 1;

/// What to do about a trapped access to a debug register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Do it again: the registers will be the guest's then. Until then the vCPU must not run.
    Again,
    /// Do it on what [`Vcpu::read_sys_reg`] reads.
    Emulate,
}

impl Debug {
    pub(super) const fn new() -> Self {
        Self {
            owner: Owner::Free,
            traps: DebugTraps::Closed,
            touched: false,
            claimed: false,
            unsettled: false,
            changed: false,
            due: 0,
            session: None,
            foreign: false,
        }
    }

    /// Returns whether the owner is one that may change by itself.
    #[inline(always)]
    const fn is_temporary(&self) -> bool {
        matches!(self.owner, Owner::Guest) || self.claimed
    }

    /// Returns what the vCPU has after a reset: a debugger stays.
    pub(super) fn at_reset(&mut self) -> Self {
        Self {
            session: self.session.take(),
            ..Self::new()
        }
    }
}

impl Vcpu {
    /// Returns who has the debug registers while this vCPU runs.
    pub const fn debug_owner(&self) -> Owner {
        self.debug.owner
    }

    /// Decides about a trapped access to a debug register, of AArch64 or the one that an AArch32
    /// name is mapped to. After [`Access::Again`] the caller leaves by [`Exit::Interrupted`], the PC
    /// where it is.
    ///
    /// [`Exit::Interrupted`]: super::vcpu::Exit::Interrupted
    pub fn debug_access(&mut self, register: Encoding) -> Access {
        if self.debug.owner != Owner::Free || !self.goes_with_breakpoints(register) {
            return Access::Emulate;
        }
        self.debug.touched = true;
        self.unsettle_debug();
        Access::Again
    }

    /// Returns whether a register is not trapped once the guest has the breakpoints.
    fn goes_with_breakpoints(&self, register: Encoding) -> bool {
        let traps_alone = self.mode().features.has(Features::FGT);
        match SysReg::from_encoding(register) {
            Some(SysReg::MDCCINT_EL1 | SysReg::DBGCLAIMCLR_EL1) => !traps_alone,
            Some(reg) => {
                let class = reg.class();
                let with_them = matches!(
                    class,
                    Class::DebugControl | Class::LazyDebug | Class::Breakpoint | Class::Watchpoint
                );
                with_them && self.sysregs().state().present.has(reg)
            }
            None => register == DBGCLAIMSET_EL1 && !traps_alone,
        }
    }

    /// Returns who should have the debug registers.
    #[inline(always)]
    fn rightful_owner(&self) -> Owner {
        if self.debug.session.is_some() {
            return Owner::Debugger;
        }
        let os_locked = bit(self.read_sys_reg(SysReg::OSLSR_EL1), OSLK);
        if os_locked || self.debug.claimed {
            Owner::Locked
        } else if self.debug.touched || self.enables_debug() {
            Owner::Guest
        } else {
            Owner::Free
        }
    }

    fn enables_debug(&self) -> bool {
        self.read_sys_reg(SysReg::MDSCR_EL1) & (mdscr::KDE | mdscr::MDE) != 0
    }

    /// Returns whether OSLAR_EL1 may be written without any consequence.
    #[inline(always)]
    pub(super) fn os_lock_stays(&self, value: u64) -> bool {
        let old = self.read_sys_reg(SysReg::OSLSR_EL1);
        (old ^ value << OSLK) & 1 << OSLK == 0
    }

    /// Writes OSLAR_EL1: OSLSR_EL1.OSLK follows. Returns whether the owner has to be decided anew
    /// before the guest goes on.
    pub(super) fn write_os_lock(&mut self, value: u64) -> bool {
        let changes = !self.os_lock_stays(value);
        if changes {
            /// OSLM: there is a lock.
            const OSLM: u64 = 0x8;
            self.write_sys_reg(SysReg::OSLSR_EL1, OSLM | (value & 1) << OSLK);
            self.unsettle_debug();
        }
        changes
    }

    /// Decides the owner of a vCPU that is about to be loaded.
    #[inline(always)]
    pub(super) fn decide_debug(&mut self) {
        self.debug.claimed = false;
        let owner = self.rightful_owner();
        self.debug.owner = owner;
        let owned = owner == Owner::Free || owner == Owner::Guest && self.sysregs().state().debug;
        self.sysregs_mut().debug_withheld = !owned;
    }

    /// Gives a vCPU that was just loaded what of debug is on the CPU already.
    #[inline(always)]
    pub(super) fn resume_debug(&mut self) {
        if self.debug.owner != Owner::Free {
            self.resume_owned();
        }
    }

    #[inline(never)]
    fn resume_owned(&mut self) {
        self.debug.unsettled = true;
        match self.debug.owner {
            Owner::Free => {}
            Owner::Locked => self.control_while_withheld(),
            Owner::Guest if self.sysregs().state().debug => self.set_debug_traps(DebugTraps::Open),
            Owner::Debugger if self.debug.foreign => {
                self.control_while_withheld();
                self.set_debug_traps(DebugTraps::Routed);
            }
            // Nothing fires until it has what is its.
            Owner::Guest | Owner::Debugger => {
                self.sysregs_mut().set_debug_control(0);
                self.debug.changed = true;
            }
        }
    }

    /// Takes from a vCPU that was just put what concerns debug, but for the breakpoints.
    #[inline(always)]
    pub(super) fn suspend_debug(&mut self) {
        self.debug.touched = false;
        if self.debug.traps != DebugTraps::Closed {
            self.set_debug_traps(DebugTraps::Closed);
        }
        if self.debug.owner == Owner::Guest && !self.enables_debug() {
            self.debug.owner = Owner::Free;
        }
    }

    /// Sets the CPU's MDSCR_EL1 while the guest's own is in memory.
    pub(super) fn control_while_withheld(&mut self) {
        let guests = self.read_sys_reg(SysReg::MDSCR_EL1);
        let kept = guests & !(mdscr::KDE | mdscr::MDE | mdscr::SS);
        let control = match &self.debug.session {
            Some(session) => kept | session.control(),
            None => kept,
        };
        self.sysregs_mut().set_debug_control(control);
    }

    #[inline(never)]
    fn set_debug_traps(&mut self, wanted: DebugTraps) {
        if self.debug.traps != wanted {
            self.debug.traps = wanted;
            traps::set_debug_traps(wanted);
        }
    }

    /// Asks for the owner to be decided anew before the vCPU runs.
    pub(super) const fn unsettle_debug(&mut self) {
        self.debug.unsettled = true;
        self.debug.changed = true;
    }

    /// Asks for a debugger's breakpoints to be put into the CPU anew.
    pub(super) const fn forget_foreign(&mut self) {
        self.debug.foreign = false;
        self.unsettle_debug();
    }

    /// Takes the breakpoints off the CPU, if they are there. The vCPU may have been put before.
    pub fn evict_debug(&mut self) {
        if self.sysregs().state().debug {
            self.save_breakpoints();
        }
        self.debug.foreign = false;
    }

    /// Makes the decided owner the owner. Others' breakpoints are off the CPU if it needs them.
    fn install(&mut self, owner: Owner) {
        self.debug.owner = owner;
        match owner {
            Owner::Guest => {
                if !self.sysregs().state().debug && !self.load_breakpoints() {
                    self.debug.claimed = true;
                    return self.install(Owner::Locked);
                }
                self.sysregs_mut().withhold_debug(false);
                self.set_debug_traps(DebugTraps::Open);
            }
            Owner::Free => {
                self.sysregs_mut().withhold_debug(false);
                self.set_debug_traps(DebugTraps::Closed);
            }
            Owner::Locked => {
                self.set_debug_traps(DebugTraps::Closed);
                self.sysregs_mut().withhold_debug(true);
                self.control_while_withheld();
            }
            Owner::Debugger => {
                self.sysregs_mut().withhold_debug(true);
                self.load_debuggers();
                self.control_while_withheld();
                self.set_debug_traps(DebugTraps::Routed);
            }
        }
    }

    /// Returns whether the CPU's breakpoints are this vCPU's, loaded or not.
    fn has_breakpoints_on_cpu(&self) -> bool {
        self.sysregs().state().debug || self.debug.foreign
    }
}

/// Decides who has the debug registers while vCPU `who`, which is loaded, runs, and gives it what is
/// its. `vcpus` are all those in the care of this CPU: one of them may have to give its own up.
///
/// Returns the physical count at which this has to be done again, though the guest runs on.
#[inline(always)]
pub fn settle(vcpus: &mut [Box<Vcpu>], who: usize, now: u64) -> Option<u64> {
    if vcpus.get(who)?.debug.unsettled {
        settle_anew(vcpus, who, now)
    } else {
        None
    }
}

#[inline(never)]
fn settle_anew(vcpus: &mut [Box<Vcpu>], who: usize, now: u64) -> Option<u64> {
    let vcpu = vcpus.get_mut(who)?;
    if now >= vcpu.debug.due {
        vcpu.debug.touched &= vcpu.debug.changed;
        vcpu.debug.claimed = false;
    } else if !vcpu.debug.changed {
        vcpu.debug.unsettled = vcpu.debug.is_temporary();
        return vcpu.debug.is_temporary().then_some(vcpu.debug.due);
    }
    vcpu.debug.changed = false;
    let before = vcpu.debug.owner;
    let owner = vcpu.rightful_owner();
    let needs = match owner {
        Owner::Guest => !vcpu.sysregs().state().debug,
        Owner::Debugger => !vcpu.debug.foreign,
        Owner::Free | Owner::Locked => false,
    };
    if needs {
        for other in vcpus.iter_mut().filter(|v| v.has_breakpoints_on_cpu()) {
            other.evict_debug();
        }
    }
    let vcpu = vcpus.get_mut(who)?;
    if owner != before || now >= vcpu.debug.due {
        let period = vcpu.vm.host.frequency / PERIODS_PER_SECOND;
        vcpu.debug.due = now.saturating_add(period);
    }
    vcpu.install(owner);
    vcpu.debug.unsettled = vcpu.debug.is_temporary();
    vcpu.debug.is_temporary().then_some(vcpu.debug.due)
}
