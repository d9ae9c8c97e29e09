//! A debugger's view of one vCPU: what stops it, and how it goes on.
//!
//! A vCPU that goes on from a breakpoint, or from the access that a watchpoint stopped, first does that
//! one instruction alone, with breakpoints and watchpoints off. Where an exception of the guest's comes
//! in between, it runs the handler with them on and takes the instruction up when it is back there.

use crate::{
    bits::field,
    isa::{
        esr::{Esr, class},
        sysreg::{ALL, SysReg},
    },
    vm::{
        debug::mdscr,
        fault,
        vcpu::{Exit, Vcpu},
    },
};
use alloc::vec::Vec;

/// Which accesses a watchpoint stops; as a number, LSC of `DBGWCR<n>_EL1`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Loads.
    Read = 0b01,
    /// Stores.
    Write = 0b10,
    /// Both.
    Any = 0b11,
}

/// A range of virtual addresses to be watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watch {
    address: u64,
    size: u64,
    kind: Kind,
}

impl Watch {
    /// Makes one: 1 to 8 bytes inside a doubleword, or a larger power of two, aligned, up to 2 GiB.
    /// Returns nothing for other ranges, which a watchpoint can't watch.
    pub const fn new(address: u64, size: u64, kind: Kind) -> Option<Self> {
        let small = size >= 1 && size <= 8 && (address & 7) + size <= 8;
        let large =
            size > 8 && size <= 1 << 31 && size.is_power_of_two() && address & (size - 1) == 0;
        if small || large {
            Some(Self {
                address,
                size,
                kind,
            })
        } else {
            None
        }
    }

    /// Returns `DBGWCR<n>_EL1`: enabled, for EL1 and EL0 (Arm ARM, D24.3).
    const fn control(self) -> u64 {
        let (bytes, mask) = if self.size <= 8 {
            (((1 << self.size) - 1) << (self.address & 7), 0)
        } else {
            (0xff, self.size.trailing_zeros() as u64)
        };
        mask << 24 | bytes << 5 | (self.kind as u64) << 3 | EL1_AND_EL0 << 1 | ENABLED
    }
}

/// PMC and PAC of the control registers, with HMC and SSC zero.
const EL1_AND_EL0: u64 = 0b11;
/// E of the control registers.
const ENABLED: u64 = 1;
/// `DBGBCR<n>_EL1`: the whole of an instruction, for EL1 and EL0, unlinked.
const BREAKPOINT: u64 = 0b1111 << 5 | EL1_AND_EL0 << 1 | ENABLED;

/// What stops a vCPU.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// Virtual addresses of instructions.
    pub breakpoints: Vec<u64>,
    /// Accesses.
    pub watchpoints: Vec<Watch>,
}

/// Why a vCPU that is being debugged stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// It is about to do the instruction at a breakpoint.
    Breakpoint,
    /// It is about to access this virtual address, near or in a watched range.
    Watchpoint(u64),
    /// It did one instruction, or took the exception that came of it.
    Step,
}

/// How it goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// Until something stops it.
    Running,
    /// By the one instruction at this address, to stop there if that is what was asked for.
    Stepping { at: u64, asked: bool },
    /// Through a handler that came instead of the instruction at this address.
    Away { at: u64, asked: bool },
}

/// One breakpoint or watchpoint in use: its two registers, and what they hold.
pub(super) struct Slot {
    pub(super) value_register: SysReg,
    pub(super) value: u64,
    pub(super) control_register: SysReg,
    pub(super) control: u64,
}

/// A debugger that is attached to a vCPU.
pub struct Session {
    plan: Plan,
    mode: Mode,
    stopped: Option<Stop>,
}

impl Session {
    const fn new(plan: Plan) -> Self {
        Self {
            plan,
            mode: Mode::Running,
            stopped: None,
        }
    }

    /// Returns what of MDSCR_EL1 makes it stop.
    pub(super) const fn control(&self) -> u64 {
        match self.mode {
            Mode::Stepping { .. } => mdscr::SS,
            Mode::Running | Mode::Away { .. } => mdscr::MDE,
        }
    }

    fn breakpoints(&self) -> impl Iterator<Item = u64> {
        let back = match self.mode {
            Mode::Away { at, .. } if !self.plan.breakpoints.contains(&at) => Some(at),
            _ => None,
        };
        // First, so that it is there even if the plan needs all there are.
        back.into_iter()
            .chain(self.plan.breakpoints.iter().copied())
    }

    /// Returns what to put into the breakpoints and watchpoints, as far as there are any.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        let numbered = |first: SysReg, n: usize| ALL.get(first as usize + n).copied();
        let breakpoints = (0..16)
            .zip(self.breakpoints())
            .filter_map(move |(n, value)| {
                Some(Slot {
                    value_register: numbered(SysReg::DBGBVR0_EL1, n)?,
                    value,
                    control_register: numbered(SysReg::DBGBCR0_EL1, n)?,
                    control: BREAKPOINT,
                })
            });
        let watched = self.plan.watchpoints.iter();
        let watchpoints = (0..16).zip(watched).filter_map(move |(n, watch)| {
            Some(Slot {
                value_register: numbered(SysReg::DBGWVR0_EL1, n)?,
                value: watch.address & !7,
                control_register: numbered(SysReg::DBGWCR0_EL1, n)?,
                control: watch.control(),
            })
        });
        breakpoints.chain(watchpoints)
    }
}

/// PSTATE.SS: the next instruction is done before the step is over.
const PSTATE_SS: u64 = 1 << 21;

impl Vcpu {
    /// Attaches a debugger, or changes what stops the vCPU. It must not be loaded.
    pub fn debug_by(&mut self, plan: Plan) {
        match &mut self.debug.session {
            Some(session) => session.plan = plan,
            none => *none = Some(Session::new(plan)),
        }
        self.forget_foreign();
    }

    /// Detaches the debugger, if there is one. The vCPU must not be loaded.
    pub fn debug_no_more(&mut self) {
        if self.debug.session.take().is_some() {
            self.set_step(false);
            self.forget_foreign();
        }
    }

    /// Returns why the vCPU stopped, if it was by itself.
    pub fn debug_stop(&self) -> Option<Stop> {
        self.debug.session.as_ref()?.stopped
    }

    /// Lets the vCPU, which is not loaded, go on: by one instruction, or until something stops it.
    pub fn debug_go(&mut self, step: bool) {
        let at = self.sysregs().pc();
        let Some(session) = &mut self.debug.session else {
            return;
        };
        let stopped = session.stopped.take();
        let here = session.plan.breakpoints.contains(&at);
        let over = here || matches!(stopped, Some(Stop::Watchpoint(_)));
        session.mode = if step || over {
            Mode::Stepping { at, asked: step }
        } else {
            Mode::Running
        };
        self.set_step(step || over);
        self.unsettle_debug();
    }

    fn set_step(&mut self, on: bool) {
        let rest = self.sysregs().pstate() & !PSTATE_SS;
        self.sysregs_mut()
            .set_pstate(rest | if on { PSTATE_SS } else { 0 });
    }

    fn debug_mode(&self) -> Mode {
        let session = self.debug.session.as_ref();
        session.map_or(Mode::Running, |session| session.mode)
    }

    /// Goes on another way at once, with the vCPU loaded.
    fn change_mode(&mut self, mode: Mode) {
        if let Some(session) = &mut self.debug.session {
            session.mode = mode;
        }
        self.set_step(matches!(mode, Mode::Stepping { .. }));
        self.control_while_withheld();
    }

    fn stop_for(&mut self, why: Stop) -> Exit {
        self.set_step(false);
        if let Some(session) = &mut self.debug.session {
            session.stopped = Some(why);
            session.mode = Mode::Running;
        }
        Exit::Debug(why)
    }

    /// Takes a debug exception of the guest's that came to EL2. Returns why the vCPU stops, if it
    /// does.
    pub(in crate::vm) fn take_debug_exception(&mut self, esr: Esr) -> Option<Exit> {
        let pc = self.sysregs().pc();
        match (esr.class(), self.debug_mode()) {
            (class::SOFTWARE_STEP, Mode::Stepping { at, asked }) => {
                if self.was_diverted(at, pc) {
                    self.change_mode(Mode::Away { at, asked });
                    // The way back is one of the breakpoints.
                    self.forget_foreign();
                    self.load_debuggers();
                } else if asked {
                    return Some(self.stop_for(Stop::Step));
                } else {
                    self.change_mode(Mode::Running);
                }
            }
            (class::BREAKPOINT, Mode::Away { at, asked }) if at == pc => {
                self.change_mode(Mode::Stepping { at, asked });
                self.forget_foreign();
                self.load_debuggers();
            }
            (class::BREAKPOINT, _) => return Some(self.stop_for(Stop::Breakpoint)),
            (class::WATCHPOINT, _) => {
                let address = fault::address();
                return Some(self.stop_for(Stop::Watchpoint(address)));
            }
            // The guest's own.
            (class::BRK | class::BKPT, _) => self.inject_brk(esr),
            _ => {}
        }
        None
    }

    /// Returns whether the guest took an exception, other than by the instruction's own wish, where
    /// it should have done the instruction at `at`.
    fn was_diverted(&self, at: u64, pc: u64) -> bool {
        let base = self.read_sys_reg(SysReg::VBAR_EL1) & !0x7ff;
        let offset = pc.wrapping_sub(base);
        let is_vector = offset < 0x800 && field(offset, 0, 7) == 0;
        is_vector && self.read_sys_reg(SysReg::ELR_EL1) == at
    }
}
