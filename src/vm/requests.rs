//! What other CPUs may ask of a vCPU: to look up.
//!
//! The CPU that runs a vCPU owns it. Everybody else changes what the VM's vCPUs share, says so
//! here, and interrupts that CPU; it then looks what concerns it.

use super::{Vm, gic::Kicks};
use crate::sync::doorbell::Doorbell;
use core::sync::atomic::{AtomicU8, Ordering};

/// How a VM ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Ending {
    /// It turned itself off.
    Off = 1,
    /// It asked to be started anew.
    Reset = 2,
    /// It could not go on.
    Crash = 3,
    /// The machine's owner asked for it to be started anew.
    Restart = 4,
}

/// Whether a VM goes on, for all its vCPUs to see.
pub(super) struct Course(AtomicU8);

const GOES_ON: u8 = 0;

impl Course {
    pub(super) const fn new() -> Self {
        Self(AtomicU8::new(GOES_ON))
    }
}

impl Vm {
    /// Tells the CPUs of these vCPUs that there is something for them.
    #[inline(always)]
    pub(super) fn kick(&self, kicks: Kicks) {
        if !kicks.is_empty() {
            self.ring_all(kicks);
        }
    }

    #[inline(never)]
    fn ring_all(&self, kicks: Kicks) {
        self.ring_each(kicks, |cpu| self.host.nudge(cpu));
    }

    /// Tells the CPUs of these vCPUs, at least one, that there is something for them. Returns
    /// whether one of them is this CPU: no interrupt was sent for that one, so that the caller has
    /// to see to it that its turn ends.
    #[inline(always)]
    pub(super) fn kick_or_end_turn(&self, kicks: Kicks) -> bool {
        let mut ends = false;
        self.ring_each(kicks, |cpu| ends |= self.host.nudge_other(cpu));
        ends
    }

    #[inline(always)]
    fn ring_each(&self, kicks: Kicks, mut notify: impl FnMut(usize)) {
        for index in kicks.iter() {
            if let Some(bell) = self.bells.get(index) {
                notify(bell.press());
            }
        }
    }

    /// Makes the CPU that has this vCPU in its care look what there is for it.
    pub fn ring(&self, index: usize) {
        if let Some(bell) = self.bells.get(index) {
            self.host.kick(bell.press());
        }
    }

    /// Puts a vCPU into the care of a CPU.
    pub fn set_home(&self, index: usize, cpu: usize) {
        if let Some(bell) = self.bells.get(index) {
            bell.set_home(cpu);
        }
    }

    /// Returns the CPU in whose care this vCPU is.
    pub fn home(&self, index: usize) -> Option<usize> {
        self.bells.get(index).map(Doorbell::home)
    }

    /// Returns whether somebody rang for this vCPU since the last call.
    #[inline(always)]
    pub fn take_ring(&self, index: usize) -> bool {
        self.bells.get(index).is_some_and(Doorbell::take)
    }

    /// Asks for a vCPU to be moved to another CPU, which there must be.
    pub fn ask_move(&self, index: usize, cpu: usize) {
        if let Some(bell) = self.bells.get(index) {
            bell.ask_move(cpu);
            self.ring(index);
        }
    }

    /// Returns where this vCPU was asked to move since the last call.
    pub fn take_move(&self, index: usize) -> Option<usize> {
        self.bells.get(index).and_then(Doorbell::take_move)
    }

    /// Ends the VM: all its vCPUs stop. Only the first ending counts; returns whether this was it.
    pub fn end(&self, ending: Ending) -> bool {
        let first = self
            .course
            .0
            .compare_exchange(GOES_ON, ending as u8, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok();
        if first {
            (0..self.bells.len()).for_each(|index| self.ring(index));
        }
        first
    }

    /// Returns how the VM ended, if it did.
    pub fn ending(&self) -> Option<Ending> {
        match self.course.0.load(Ordering::Acquire) {
            GOES_ON => None,
            1 => Some(Ending::Off),
            2 => Some(Ending::Reset),
            4 => Some(Ending::Restart),
            _ => Some(Ending::Crash),
        }
    }
}
