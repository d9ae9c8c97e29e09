//! Work of EL2's own that takes long, such as filling a VM's memory: done a bit at a time, between the
//! turns of vCPUs, with a share of the CPU like theirs.

use super::{Cpu, Event};
use crate::{cpu::timer, sched::Share};
use alloc::{boxed::Box, vec::Vec};

/// Something to be done on a CPU.
pub trait Work: Send {
    /// Does the next bit: what takes a millisecond or so. Returns whether that was the last.
    fn step(&mut self) -> bool;

    /// Returns what it gets of the CPU in proportion.
    fn weight(&self) -> u32;

    /// Returns the physical count before which it shall not begin.
    fn begins(&self) -> u64;

    /// Does what comes of it: in the care of nobody any more, and where locks may be taken.
    fn finish(self: Box<Self>);
}

/// The work in the care of a CPU.
pub(super) struct Works(Vec<(Share, Box<dyn Work>)>);

impl Works {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes work into care.
    pub(super) fn add(&mut self, work: Box<dyn Work>) {
        self.0.push((Share::new(work.weight()), work));
    }

    /// Returns which comes now: before a turn of the vCPU that is next, if one could run, unless that
    /// had less of the CPU. `vcpus` are the shares of all.
    pub(super) fn next(&mut self, now: u64, vcpus: &[Share], vcpu: Option<usize>) -> Option<usize> {
        let base = Share::base(vcpus);
        for (share, work) in &mut self.0 {
            if !share.runnable && work.begins() <= now {
                share.runnable = true;
                share.used = base;
            }
        }
        let mut works = self.0.iter().enumerate();
        let (first, share) = works
            .by_ref()
            .filter(|(_, (share, _))| share.runnable)
            .map(|(n, (share, _))| (n, share))
            .min_by_key(|(_, share)| share.used)?;
        let rival = vcpu.and_then(|n| vcpus.get(n));
        rival
            .is_none_or(|rival| share.used <= rival.used)
            .then_some(first)
    }

    /// Notes that one of them had the CPU for so long. Time that no vCPU wanted is free.
    fn charge(&mut self, n: usize, counts: u64, vcpus: &[Share]) {
        if let Some((share, _)) = self.0.get_mut(n)
            && vcpus.iter().any(|vcpu| vcpu.runnable)
        {
            share.charge(counts);
        }
    }

    /// Returns when the first of those begins that have not yet.
    pub(super) fn first(&self) -> Option<u64> {
        let waiting = self.0.iter().filter(|(share, _)| !share.runnable);
        waiting.map(|(_, work)| work.begins()).min()
    }
}

impl Cpu {
    /// Does a bit of work; returns it when it is done. A vCPU that is resident stays so.
    pub(super) fn work(&mut self, n: usize) -> Option<Event> {
        let start = timer::count();
        self.pass_over_all(start);
        let (_, work) = self.works.0.get_mut(n)?;
        let done = work.step();
        // Whatever came meanwhile. It may let vCPUs run, which wanted none of this time.
        let end = timer::count();
        self.works.charge(n, end.wrapping_sub(start), &self.shares);
        self.left = end;
        self.take_interrupts();
        done.then(|| Event::Done(self.works.0.remove(n).1))
    }
}

#[cfg(test)]
mod tests;
