//! One physical CPU and the vCPUs in its care.
//!
//! At most one vCPU is *resident*: its registers are on the CPU, whether it runs or waits. Going
//! idle and coming back to it switches nothing. Another is loaded only after it was put.

#[cfg(feature = "selftest")]
pub mod remake;
pub mod work;

use super::{Choice, NEVER, Share, first_deadline, pick, wake};
use crate::{
    cpu::{barrier, local, timer, tlb},
    dev::gic::{CpuInterface, Interface, Taken},
    sync::{Rank, SpinLock},
    vm::{
        Ending, Vm,
        debug::{self, control},
        host::{Host, KICK, NUDGE},
        input,
        vcpu::{Exit, Vcpu},
    },
};
use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use work::{Work, Works};

/// How long a vCPU runs before another has its turn, in parts of a second.
const SLICES_PER_SECOND: u64 = 250;

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
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

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

    /// Looks who wants what, until nothing is left or something concerns others too.
    #[inline(never)]
    fn answer(&mut self) -> Option<Event> {
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
            if self.vcpus[n].vm().take_ring(self.vcpus[n].index()) {
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

    /// Runs a vCPU for a slice or until it has nothing to do.
    fn take_turn(&mut self, choice: Choice, start: u64) {
        let n = choice.who;
        self.make_resident(n);
        self.note_choice(n, start);
        let due = debug::settle(&mut self.vcpus, n, start);
        let contended = choice.contended || !self.works.is_empty();
        let end = contended.then(|| start.saturating_add(self.slice));
        set_alarm(due.into_iter().chain(end).fold(self.alarm, u64::min));
        let vcpu = &mut self.vcpus[n];
        let exit = vcpu.run();
        let el2 = start.wrapping_sub(self.left);
        self.left = timer::count();
        let ran = self.left.wrapping_sub(start);
        vcpu.publish_stats(ran, el2);
        self.shares[n].charge(ran);
        match exit {
            Exit::Interrupted => {}
            Exit::Wait => self.shares[n].runnable = false,
            Exit::Off => self.turn_off(n),
            Exit::SystemOff => drop(self.vcpus[n].vm().end(Ending::Off)),
            Exit::SystemReset => drop(self.vcpus[n].vm().end(Ending::Reset)),
            Exit::Stopped(reason) => self.crash(n, reason),
            Exit::Debug(_) => self.vcpus[n].vm().halt(),
        }
    }

    /// Counts from whom time is stolen: who ran until now and still could.
    fn note_choice(&mut self, chosen: usize, now: u64) {
        let before = core::mem::replace(&mut self.last, chosen);
        if before != chosen
            && let Some(share) = self.shares.get(before)
            && share.runnable
        {
            self.vcpus[before].pass_over(now);
        }
        self.vcpus[chosen].end_wait(now);
    }

    /// Counts that time is stolen from all that could run.
    fn pass_over_all(&mut self, now: u64) {
        for (vcpu, share) in self.vcpus.iter_mut().zip(&self.shares) {
            if share.runnable {
                vcpu.pass_over(now);
            }
        }
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
        let vm = self.vcpus[n].vm().clone();
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
            let vcpu = &mut self.vcpus[n];
            if vcpu.vm().note_run(local::this().index, vcpu.index()) {
                tlb::invalidate_sibling(vcpu.vm().vttbr());
            }
            vcpu.load();
            self.resident = Some(n);
        }
        self.vcpus[n].share_cpu(shared);
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
        self.vcpus[n].pass_over(now);
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
                self.vcpus[n].maintain_interrupts();
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
