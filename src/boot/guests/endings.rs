//! How VMs end, and what follows: they start anew or stay stopped, another comes to the front, and with
//! the last that counts the machine ends.

use super::{Guests, Running};
use crate::{
    config::vms::Reaction,
    cpu::timer,
    dev::power::Last,
    refuse,
    vm::{Ending, Vm, input},
};
use alloc::{sync::Arc, vec::Vec};

impl Guests {
    /// Clears up after a VM whose last vCPU stopped.
    pub(super) fn ended(&mut self, vm: &Arc<Vm>) {
        let Some(place) = self.running.iter().position(|r| Arc::ptr_eq(&r.vm, vm)) else {
            return;
        };
        crate::debugger::forget(vm);
        let was_in_front = input::reader().is_some_and(|front| Arc::ptr_eq(&front, vm));
        let Running {
            number,
            stage2,
            memory,
            since,
            ..
        } = self.running.remove(place);
        // The tables go first: until then a CPU could still reach the frames.
        drop(stage2);
        self.give_back(&memory);
        self.react(number, vm.ending(), timer::count().saturating_sub(since));
        if was_in_front {
            self.choose_front(number);
        }
        self.show_names();
        self.is_over();
    }

    /// Does what the owner wants done after a VM that ran for so many counts ended in this way.
    fn react(&mut self, number: usize, ending: Option<Ending>, ran: u64) {
        let config = &self.config.vms[number];
        let now = timer::count();
        let reaction = match ending {
            _ if self.is_ending => Reaction::Stop,
            Some(Ending::Restart) => Reaction::Restart,
            Some(Ending::Reset) => config.on_reboot,
            Some(Ending::Crash) => match self.restarts.note_crash(number, now) {
                true => config.on_crash,
                false => {
                    log::error!("{}: it keeps crashing", config.name);
                    Reaction::Stop
                }
            },
            _ => Reaction::Stop,
        };
        match (reaction, ending) {
            (Reaction::Stop, Some(Ending::Off) | None) => {
                return log::info!("{}: powered off", config.name);
            }
            (Reaction::Stop, _) => return log::info!("{}: stays stopped", config.name),
            (Reaction::Restart, _) => log::info!("{}: starts anew", config.name),
        }
        let pause = match ending {
            Some(Ending::Restart) => 0,
            _ => self.restarts.pause(number, ran),
        };
        if let Err(refusal) = self.begin(number, now.saturating_add(pause)) {
            log::error!("{refusal}");
        }
    }

    /// Brings a VM to the front after the one that was there ended: the same started anew, or the
    /// first.
    pub(super) fn choose_front(&mut self, before: usize) {
        self.awaited = None;
        let mut starting = self.starting.iter().map(|starting| starting.number);
        if starting.clone().any(|number| number == before) {
            self.awaited = Some(before);
        } else if let Some(next) = self.running.first() {
            let alone = self.front.as_ref() == Some(&next.vm.name);
            input::give_to(&next.vm, alone);
        } else {
            self.awaited = starting.next();
        }
    }

    /// Ends the machine if no VM is left that keeps it on; returns whether none ever ran, so that
    /// its owner should see why.
    pub(super) fn is_over(&mut self) -> bool {
        let config = &self.config.vms;
        let keeps_on = |number: usize| config.get(number).is_some_and(|vm| !vm.background);
        let running = self.running.iter().map(|vm| vm.number);
        let starting = self.starting.iter().map(|vm| vm.number);
        let left: Vec<_> = running.chain(starting).collect();
        if left.is_empty() {
            if self.any_ran {
                self.end_machine();
            }
            return !self.any_ran;
        }
        let any_ever = config.iter().any(|vm| !vm.background);
        if !self.is_ending && any_ever && !left.iter().any(|&number| keeps_on(number)) {
            log::info!("only VMs in the background are left: stopping them");
            self.stop_all();
        }
        false
    }

    /// Stops all VMs, and whatever is being made.
    pub(super) fn stop_all(&mut self) {
        self.is_ending = true;
        for starting in &self.starting {
            starting.news.cancel();
        }
        for running in &self.running {
            running.vm.end(Ending::Off);
            crate::debugger::forget(&running.vm);
        }
    }

    fn end_machine(&self) {
        log::info!(
            "no guest is left: {}",
            match self.last {
                Last::Off => "powering off",
                Last::Reset => "starting the machine anew",
            }
        );
        let why = self.power.as_ref().map_or_else(
            || refuse!("nothing is known that turns this machine off"),
            |power| power.end(self.last),
        );
        log::error!("{why}");
    }
}
