//! One physical CPU and the vCPUs in its care.
//!
//! At most one vCPU is *resident*: its registers are on the CPU, whether it runs or waits. Going
//! idle and coming back to it switches nothing. Another is loaded only after it was put.

mod care;
#[cfg(feature = "selftest")]
pub mod remake;
pub mod work;

pub use care::Inbox;

use super::{Choice, NEVER, Share, first_deadline, pick, wake};
use crate::{
    cpu::{barrier, local, timer, tlb},
    dev::gic::{CpuInterface, Interface, Taken},
    vm::{
        Ending, Vm, debug,
        host::{Host, KICK, NUDGE},
        input,
        vcpu::{Exit, Vcpu},
    },
};
use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use work::{Work, Works};

/// How long a vCPU runs before another has its turn, in parts of a second.
const SLICES_PER_SECOND: u64 = 250;

/// What a CPU's turn ended with, for those who know more than one CPU.
pub enum Event {
    /// The last of a VM's vCPUs left this CPU: the VM has ended, as it says.
    Left(Arc<Vm>),
    /// A vCPU left this CPU for another.
    Moved(Box<Vcpu>, usize),
    /// A command was entered on the hypervisor's console.
    Command(String),
    /// The last of the vCPUs of a VM that shall stand still does.
    Halted(Arc<Vm>),
    /// Work of EL2's own is done.
    Done(Box<dyn Work>),
}

/// A physical CPU's part in running guests.
pub struct Cpu {
    host: Arc<Host>,
    inbox: &'static Inbox,
    vcpus: Vec<Box<Vcpu>>,
    /// One for each of `vcpus`.
    shares: Vec<Share>,
    works: Works,
    resident: Option<usize>,
    last: usize,
    slice: u64,
    /// Somebody called, and not all of what was wanted has been done.
    is_called: bool,
    /// The first deadline of those that wait.
    alarm: u64,
    /// How many requests to stand still were seen.
    halts: usize,
    /// The count at which the turn before ended, or the sleep since.
    left: u64,
}

impl Cpu {
    /// Makes the part of the CPU this runs on.
    pub fn new(host: &Arc<Host>, inbox: &'static Inbox) -> Self {
        Self {
            host: host.clone(),
            inbox,
            vcpus: Vec::new(),
            shares: Vec::new(),
            works: Works::new(),
            resident: None,
            last: 0,
            is_called: true,
            alarm: NEVER,
            halts: 0,
            slice: (host.frequency / SLICES_PER_SECOND).max(1),
            left: timer::count(),
        }
    }

    /// Runs guests until something concerns others too.
    pub fn run(&mut self) -> Event {
        loop {
            self.is_called |= self.host.cpus[local::this().index].attention.take();
            if self.is_called
                && let Some(event) = self.answer()
            {
                return event;
            }
            if let Some(command) = input::take_command() {
                return Event::Command(command);
            }
            #[cfg(feature = "selftest")]
            self.remake();
            let now = timer::count();
            if now >= self.alarm {
                self.wake_by_timers(now);
            }
            let next = pick(&self.shares, self.last);
            if !self.works.is_empty()
                && let Some(n) = self
                    .works
                    .next(now, &self.shares, next.map(|next| next.who))
            {
                match self.work(n) {
                    Some(event) => return event,
                    None => continue,
                }
            }
            match next {
                Some(choice) => self.take_turn(choice, now),
                None => self.idle(),
            }
        }
    }

    /// Runs a vCPU for a slice or until it has nothing to do.
    fn take_turn(&mut self, choice: Choice, start: u64) {
        let n = choice.who;
        self.make_resident(n);
        self.note_choice(n, start);
        let due = debug::settle(&mut self.vcpus, n, start);
        let contended = choice.contended || !self.works.is_empty();
        let mut alarm = self.alarm.min(due.unwrap_or(NEVER));
        if contended {
            alarm = alarm.min(start.saturating_add(self.slice));
        }
        set_alarm(alarm);
        let exit = self.vcpu(n).run();
        let el2 = start.wrapping_sub(self.left);
        self.left = timer::count();
        let ran = self.left.wrapping_sub(start);
        self.vcpu(n).publish_stats(ran, el2);
        self.shares[n].charge(ran);
        match exit {
            Exit::Interrupted => {}
            Exit::Wait => self.shares[n].runnable = false,
            Exit::Off => self.turn_off(n),
            Exit::SystemOff => drop(self.vcpu(n).vm().end(Ending::Off)),
            Exit::SystemReset => drop(self.vcpu(n).vm().end(Ending::Reset)),
            Exit::Stopped(reason) => self.crash(n, reason),
            Exit::Debug(_) => self.vcpu(n).vm().halt(),
        }
    }

    /// Counts from whom time is stolen: who ran until now and still could.
    fn note_choice(&mut self, chosen: usize, now: u64) {
        let before = core::mem::replace(&mut self.last, chosen);
        if before != chosen
            && let Some(share) = self.shares.get(before)
            && share.runnable
        {
            self.vcpu(before).pass_over(now);
        }
        self.vcpu(chosen).end_wait(now);
    }

    /// Counts that time is stolen from all that could run.
    fn pass_over_all(&mut self, now: u64) {
        for (vcpu, share) in self.vcpus.iter_mut().zip(&self.shares) {
            if share.runnable {
                vcpu.pass_over(now);
            }
        }
    }

    /// Borrows a vCPU in the CPU's care. (Indexing the vector itself is a call where code shall be
    /// small.)
    #[inline(always)]
    fn vcpu(&mut self, n: usize) -> &mut Vcpu {
        &mut self.vcpus.as_mut_slice()[n]
    }

    fn crash(&self, n: usize, reason: &str) {
        let vcpu = &self.vcpus[n];
        log::error!(
            "{}: stopped: {reason}; vCPU {}:",
            vcpu.vm().name,
            vcpu.index()
        );
        vcpu.print_registers();
        vcpu.vm().end(Ending::Crash);
    }

    /// Turns a vCPU off, on its own request.
    fn turn_off(&mut self, n: usize) {
        if self.resident == Some(n) {
            self.put();
        }
        self.shares[n].runnable = false;
        let vm = self.vcpu(n).vm().clone();
        if let Some(switch) = vm.switches.get(self.vcpus[n].index()) {
            switch.turn_off();
        }
        if crate::vm::psci::all_off(&vm.switches) {
            vm.end(Ending::Off);
        }
    }

    fn make_resident(&mut self, n: usize) {
        let shared = self.vcpus.len() > 1 || !self.works.is_empty();
        if self.resident != Some(n) {
            self.put();
            let vcpu = self.vcpu(n);
            if vcpu.vm().note_run(local::this().index, vcpu.index()) {
                tlb::invalidate_sibling(vcpu.vm().vttbr());
            }
            vcpu.load();
            self.resident = Some(n);
        }
        self.vcpu(n).share_cpu(shared);
    }

    fn put(&mut self) {
        let Some(n) = self.resident.take() else {
            return;
        };
        let (Some(vcpu), Some(share)) = (self.vcpus.get_mut(n), self.shares.get_mut(n)) else {
            return;
        };
        vcpu.put();
        // Its timers are off from now on. If it waits for them, EL2 has to.
        if !share.runnable && is_on(vcpu) {
            share.deadline = vcpu.deadline().unwrap_or(NEVER);
            self.alarm = self.alarm.min(share.deadline);
        }
    }

    /// Lets a vCPU run from now on.
    fn wake(&mut self, n: usize, now: u64) {
        if !wake(&mut self.shares, n) {
            return;
        }
        self.vcpu(n).pass_over(now);
        let deadline = core::mem::replace(&mut self.shares[n].deadline, NEVER);
        if deadline == self.alarm {
            self.alarm = first_deadline(&self.shares);
        }
    }

    /// Wakes the vCPUs whose timers want them by now. Their interrupts come by themselves once
    /// they are loaded.
    #[inline(never)]
    fn wake_by_timers(&mut self, now: u64) {
        for n in 0..self.shares.len() {
            if self.shares[n].deadline <= now {
                self.wake(n, now);
            }
        }
        self.alarm = first_deadline(&self.shares);
    }

    /// Sleeps until there is something to do.
    fn idle(&mut self) {
        set_alarm(
            self.works
                .first()
                .map_or(self.alarm, |work| work.min(self.alarm)),
        );
        // The interrupts it sends are on their way.
        barrier::isb();
        barrier::dsb_sy();
        barrier::wfi();
        self.left = timer::count();
        self.take_interrupts();
    }

    /// Takes the interrupts that ended the sleep. One of the resident vCPU's timers stays pending:
    /// that vCPU takes it on its way back into the guest.
    fn take_interrupts(&mut self) {
        let known = self.host.interrupts;
        let gic = self.host.gic;
        loop {
            let intid = gic.highest_pending();
            if intid == known.virtual_timer || intid == known.physical_timer {
                match self.resident {
                    Some(n) if is_on(&self.vcpus[n]) => self.wake(n, self.left),
                    // Nobody's: a timer that was left on.
                    _ => end_interrupt(gic, gic.acknowledge()),
                }
                return;
            }
            if intid >= FIRST_SPECIAL {
                return;
            }
            let taken = gic.acknowledge();
            let intid = taken.intid();
            if intid == known.hypervisor_timer {
                timer::stop();
            } else if known.console == Some(intid) {
                self.receive_input();
            } else if intid == known.maintenance
                && let Some(n) = self.resident
            {
                self.vcpu(n).maintain_interrupts();
            } else if intid != KICK && intid != NUDGE {
                log::warn!("interrupt {intid} came while idle, and is nobody's");
            }
            end_interrupt(gic, taken);
        }
    }

    fn receive_input(&mut self) {
        let here = self.resident.map(|n| &mut *self.vcpus[n]);
        input::receive(here);
    }
}

/// INTIDs from here on say that nothing is pending.
const FIRST_SPECIAL: u32 = 1020;

fn end_interrupt(gic: Interface, taken: Taken) {
    if taken.intid() < FIRST_SPECIAL {
        gic.priority_drop(taken);
        gic.deactivate(taken);
    }
}

fn is_on(vcpu: &Vcpu) -> bool {
    let switch = vcpu.vm().switches.get(vcpu.index());
    switch.is_some_and(|switch| switch.power() == crate::vm::psci::Power::On)
}

/// Sets EL2's timer; [`NEVER`] stops it.
fn set_alarm(when: u64) {
    match when {
        NEVER => timer::stop(),
        when => timer::start(when),
    }
}

#[cfg(test)]
mod tests;
