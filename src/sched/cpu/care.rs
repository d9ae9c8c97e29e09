//! What comes into a CPU's care and leaves it, and what others want of it: looked at when somebody
//! called.

use super::{Cpu, Event, is_on, work::Work};
use crate::{
    cpu::{local, timer},
    sched::{Share, first_deadline},
    sync::{Rank, SpinLock},
    vm::{Vm, debug::control, vcpu::Vcpu},
};
use alloc::{boxed::Box, sync::Arc, vec::Vec};

/// What is on its way into the care of a CPU.
pub struct Inbox(SpinLock<Vec<Handed>>);

enum Handed {
    Vcpu(Box<Vcpu>),
    Work(Box<dyn Work>),
}

impl Inbox {
    /// Makes an empty one.
    pub const fn new() -> Self {
        Self(SpinLock::new(Rank::Inbox, Vec::new()))
    }

    /// Hands a vCPU over; its CPU has still to be kicked.
    pub fn send(&self, vcpu: Box<Vcpu>) {
        self.0.lock().push(Handed::Vcpu(vcpu));
    }

    /// Hands work over; its CPU has still to be kicked.
    pub fn send_work(&self, work: Box<dyn Work>) {
        self.0.lock().push(Handed::Work(work));
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Cpu {
    /// Looks who wants what, until nothing is left or something concerns others too.
    #[inline(never)]
    pub(super) fn answer(&mut self) -> Option<Event> {
        self.admit();
        self.answer_rings();
        if let Some(vm) = self.dismiss() {
            return Some(Event::Left(vm));
        }
        if let Some(vm) = self.park() {
            return Some(Event::Halted(vm));
        }
        if let Some((vcpu, cpu)) = self.let_go() {
            return Some(Event::Moved(vcpu, cpu));
        }
        self.is_called = false;
        None
    }

    /// Takes new vCPUs into care.
    fn admit(&mut self) {
        let known = self.vcpus.len();
        for handed in self.inbox.0.lock().drain(..) {
            let vcpu = match handed {
                Handed::Vcpu(vcpu) => vcpu,
                Handed::Work(work) => {
                    self.works.add(work);
                    continue;
                }
            };
            vcpu.vm().set_home(vcpu.index(), local::this().index);
            self.shares.push(Share::new(vcpu.vm().weight));
            self.vcpus.push(vcpu);
            // One for this vCPU may be among those seen.
            self.halts = usize::MAX;
        }
        // Whatever was rung for them before they had a home.
        for newest in known..self.vcpus.len() {
            self.look_up(newest);
        }
    }

    /// Lets the vCPUs for which somebody rang look what there is.
    fn answer_rings(&mut self) {
        for n in 0..self.vcpus.len() {
            let vcpu = self.vcpu(n);
            if vcpu.vm().take_ring(vcpu.index()) {
                self.look_up(n);
            }
        }
    }

    /// Gives up a vCPU whose VM has ended; returns the VM when it was the last of it anywhere.
    fn dismiss(&mut self) -> Option<Arc<Vm>> {
        loop {
            let n = self
                .vcpus
                .iter()
                .position(|vcpu| vcpu.vm().ending().is_some())?;
            let vm = self.give_up(n).vm().clone();
            // Those that stand still leave as all do.
            for parked in vm.unpark(None) {
                self.inbox.send(parked.vcpu);
                self.host.cpus[local::this().index].attention.call();
            }
            if vm.lose_vcpu() {
                return Some(vm);
            }
        }
    }

    /// Hands over a vCPU that shall stand still; returns its VM when all of it does.
    fn park(&mut self) -> Option<Arc<Vm>> {
        let halts = control::requests();
        while self.halts != halts {
            let mut vcpus = self.vcpus.iter();
            let Some(n) = vcpus.position(|vcpu| vcpu.vm().shall_park(vcpu.index())) else {
                self.halts = halts;
                break;
            };
            let vcpu = self.give_up(n);
            let vm = vcpu.vm().clone();
            if vm.park(local::this().index, vcpu) {
                return Some(vm);
            }
        }
        None
    }

    /// Gives up a vCPU that was asked to move: it is put first, and carries its state in memory.
    fn let_go(&mut self) -> Option<(Box<Vcpu>, usize)> {
        let here = local::this().index;
        let mut vcpus = self.vcpus.iter().enumerate();
        let (n, cpu) = vcpus.find_map(|(n, vcpu)| {
            let cpu = vcpu.vm().take_move(vcpu.index())?;
            (cpu != here).then_some((n, cpu))
        })?;
        Some((self.give_up(n), cpu))
    }

    /// Takes a vCPU out of care, its registers in memory.
    fn give_up(&mut self, n: usize) -> Box<Vcpu> {
        if self.resident == Some(n) {
            self.put();
        }
        self.resident = self.resident.map(|r| if r > n { r - 1 } else { r });
        self.last -= usize::from(self.last > n);
        self.shares.remove(n);
        self.alarm = first_deadline(&self.shares);
        let mut vcpu = self.vcpus.remove(n);
        vcpu.evict_debug();
        vcpu.end_wait(timer::count());
        vcpu
    }

    /// Lets a vCPU see what others did: it may have been turned on, or has an interrupt.
    fn look_up(&mut self, n: usize) {
        let vcpu = &mut self.vcpus[n];
        let vm = vcpu.vm().clone();
        if let Some(start) = vm.switches.get(vcpu.index()).and_then(|s| s.arrive()) {
            vcpu.start_at(start);
        } else if !is_on(vcpu) {
            return;
        } else if self.resident == Some(n) {
            vcpu.sync_interrupts();
        }
        self.wake(n, timer::count());
    }
}
