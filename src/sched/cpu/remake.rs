//! vCPUs that are moved by export and import while they run, for tests. Compiled in with the feature
//! `selftest` only.

use super::Cpu;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

static ASKED: AtomicBool = AtomicBool::new(false);
static TURNS: AtomicU32 = AtomicU32::new(0);
static DONE: AtomicU32 = AtomicU32::new(0);

/// Turns between two, each of which may take longer than a turn does.
const PERIOD: u32 = 7;
/// How often to say how many there were.
const NEWS: u32 = 100;

/// Makes a new vCPU of the one that ran, again and again from now on.
pub fn ask() {
    ASKED.store(true, Relaxed);
}

impl Cpu {
    /// Makes a new vCPU of the one that ran last.
    pub(super) fn remake(&mut self) {
        let n = self.last;
        if !ASKED.load(Relaxed) || n >= self.vcpus.len() || !self.vcpus[n].is_registers_alone() {
            return;
        }
        if !TURNS.fetch_add(1, Relaxed).is_multiple_of(PERIOD) {
            return;
        }
        if self.resident == Some(n) {
            self.put();
        }
        let vcpu = &mut self.vcpus[n];
        vcpu.evict_debug();
        match vcpu.remade() {
            Ok(fresh) => *vcpu = fresh,
            Err(why) => return log::error!("{}: not moved: {why}", vcpu.vm().name),
        }
        let done = DONE.fetch_add(1, Relaxed) + 1;
        if done.is_multiple_of(NEWS) {
            log::info!("{done} vCPUs were moved by export and import");
        }
    }
}
