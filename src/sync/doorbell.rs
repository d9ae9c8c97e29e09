//! A vCPU's doorbell: how other CPUs make the one that cares for it look what there is.
//!
//! The CPU that runs a vCPU owns it. Everybody else changes what is shared, presses the bell, and
//! interrupts the CPU that [`press`](Doorbell::press) names.
//!
//! Who presses writes `rung` and then reads `home`; who takes the vCPU into its care writes `home`
//! and then reads `rung`. The fence between the two on either side makes sure that one of them
//! sees the other: a vCPU that moves while somebody rings is either looked after by its new CPU at
//! once, or its new CPU is interrupted.

use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

/// A vCPU's doorbell.
pub struct Doorbell {
    /// The CPU that has the vCPU in its care.
    home: AtomicUsize,
    /// Whether it should look up.
    rung: AtomicBool,
    /// The CPU that the vCPU is asked to move to, plus 1; 0 for none.
    goal: AtomicUsize,
}

impl Default for Doorbell {
    fn default() -> Self {
        Self::new()
    }
}

impl Doorbell {
    /// Makes the doorbell of a vCPU in the care of CPU 0.
    pub fn new() -> Self {
        Self {
            home: AtomicUsize::new(0),
            rung: AtomicBool::new(false),
            goal: AtomicUsize::new(0),
        }
    }

    /// Notes that the vCPU should look up, and returns the CPU to be called and interrupted.
    #[inline(always)]
    pub fn press(&self) -> usize {
        // Release: what there is to see is written before. A swap and no store: of two who ring at
        // once the later one passes on what the earlier one wrote.
        self.rung.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        self.home.load(Ordering::Relaxed)
    }

    /// Puts the vCPU into the care of a CPU, which has to look at the bell next.
    pub fn set_home(&self, cpu: usize) {
        self.home.store(cpu, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Returns the CPU that has the vCPU in its care.
    pub fn home(&self) -> usize {
        self.home.load(Ordering::Relaxed)
    }

    /// Returns whether somebody rang since the last call.
    #[inline(always)]
    pub fn take(&self) -> bool {
        self.rung.load(Ordering::Relaxed) && self.rung.swap(false, Ordering::Acquire)
    }

    /// Asks for a move to another CPU. The bell has to be pressed next.
    pub fn ask_move(&self, cpu: usize) {
        self.goal.store(cpu.wrapping_add(1), Ordering::Release);
    }

    /// Returns where the vCPU was asked to move since the last call.
    pub fn take_move(&self) -> Option<usize> {
        match self.goal.load(Ordering::Relaxed) {
            0 => None,
            _ => self.goal.swap(0, Ordering::Acquire).checked_sub(1),
        }
    }
}

/// Whether somebody rang for one of the vCPUs in a CPU's care, or wants something of that CPU itself:
/// until then it need not ask each of its vCPUs.
pub struct Attention(AtomicBool);

impl Default for Attention {
    fn default() -> Self {
        Self::new()
    }
}

impl Attention {
    /// Makes that of a CPU which nobody wants anything of.
    pub fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Asks for it, after the bell was pressed. The CPU has then to be interrupted, if it is another.
    #[inline(always)]
    pub fn call(&self) {
        // Release and a swap, for the reasons that `Doorbell::press` has.
        self.0.swap(true, Ordering::AcqRel);
    }

    /// Returns whether somebody called since the last time.
    #[inline(always)]
    pub fn take(&self) -> bool {
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_answered_once() {
        let attention = Attention::new();
        assert!(!attention.take());
        attention.call();
        attention.call();
        assert!(attention.take());
        assert!(!attention.take());
    }

    #[test]
    fn a_ring_is_answered_once() {
        let bell = Doorbell::new();
        bell.set_home(3);
        assert!(!bell.take());
        assert_eq!(bell.press(), 3);
        assert_eq!(bell.press(), 3);
        assert!(bell.take());
        assert!(!bell.take());
    }

    #[test]
    fn the_last_wish_to_move_counts() {
        let bell = Doorbell::new();
        assert_eq!(bell.take_move(), None);
        bell.ask_move(2);
        bell.ask_move(0);
        assert_eq!(bell.take_move(), Some(0));
        assert_eq!(bell.take_move(), None);
    }
}
