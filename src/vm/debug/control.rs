//! A VM that stands still, to be looked at.
//!
//! Stopping it is a request: the CPUs that have its vCPUs in their care put them, and hand them over
//! here, all of a vCPU's state in memory. Whoever debugs then has them to itself, and gives them back.

use crate::{
    sync::{Rank, SpinLock},
    vm::{Vm, vcpu::Vcpu},
};
use alloc::{boxed::Box, vec::Vec};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A vCPU that stands still.
pub struct Parked {
    /// The CPU that had it in its care.
    pub home: usize,
    /// The vCPU, put.
    pub vcpu: Box<Vcpu>,
}

/// Which of a VM's vCPUs are wanted, and those that have come.
///
/// A parked vCPU holds its VM, which holds the vCPU: they go together when it is given back.
pub(in crate::vm) struct Control {
    /// A bit for each vCPU that shall stand still.
    wanted: AtomicU64,
    parked: SpinLock<Vec<Parked>>,
}

impl Control {
    pub(in crate::vm) const fn new() -> Self {
        Self {
            wanted: AtomicU64::new(0),
            parked: SpinLock::new(Rank::Parked, Vec::new()),
        }
    }
}

/// How often some VM was asked to stand still.
static REQUESTS: AtomicUsize = AtomicUsize::new(0);

/// Returns a number that changes when a VM is asked to stand still: then vCPUs may have to be parked.
#[inline(always)]
pub fn requests() -> usize {
    // Acquire: with it comes which are wanted.
    REQUESTS.load(Ordering::Acquire)
}

const fn bit_of(index: usize) -> u64 {
    1 << (index & 63)
}

impl Vm {
    /// Asks for all vCPUs to stand still.
    pub fn halt(&self) {
        self.control.wanted.store(u64::MAX, Ordering::Relaxed);
        REQUESTS.fetch_add(1, Ordering::Release);
        (0..self.bells.len()).for_each(|index| self.ring(index));
    }

    /// Returns whether a vCPU should be handed over by [`Vm::park`].
    pub fn shall_park(&self, index: usize) -> bool {
        self.control.wanted.load(Ordering::Relaxed) & bit_of(index) != 0
    }

    /// Hands over a vCPU, which was put; returns whether it was the last of all.
    pub fn park(&self, home: usize, vcpu: Box<Vcpu>) -> bool {
        let mut parked = self.control.parked.lock();
        parked.push(Parked { home, vcpu });
        parked.len() == self.switches.len()
    }

    /// Returns whether all vCPUs stand still.
    pub fn is_halted(&self) -> bool {
        self.control.parked.lock().len() == self.switches.len()
    }

    /// Lets `f` look at a vCPU that stands still, or change it.
    pub fn with_parked<R>(&self, index: usize, f: impl FnOnce(&mut Vcpu) -> R) -> Option<R> {
        let mut parked = self.control.parked.lock();
        let mut all = parked.iter_mut();
        let found = all.find(|parked| parked.vcpu.index() == index)?;
        Some(f(&mut found.vcpu))
    }

    /// Gives back a vCPU that stands still, or all of them, to be handed to their CPUs.
    pub fn unpark(&self, which: Option<usize>) -> Vec<Parked> {
        let mut parked = self.control.parked.lock();
        let still = which.map_or(0, |index| !bit_of(index));
        self.control.wanted.store(still, Ordering::Relaxed);
        let (gone, stay) = core::mem::take(&mut *parked)
            .into_iter()
            .partition(|it| which.is_none_or(|index| it.vcpu.index() == index));
        *parked = stay;
        gone
    }
}
