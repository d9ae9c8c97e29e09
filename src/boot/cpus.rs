//! The machine's CPUs: all of them brought to where they run guests.

#![expect(unsafe_code, reason = "hands CPUs to our own entry code")]

use super::{devices, guests};
use crate::{
    board::{Board, cpus::Start},
    cpu::{
        barrier,
        local::{self, Local},
        secondary::{StartBlock, secondary_entry},
        timer,
    },
    error::Refusal,
    isa::affinity::Affinity,
    mem::stage1,
    refuse,
    sched::cpu::{Cpu, Event, Inbox},
    sync::Once,
    vm::{host::Host, traps},
};
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicUsize, Ordering};

/// How many CPUs are used at most.
pub const MAX_CPUS: usize = 256;

/// What all CPUs share once they run.
static HOST: Once<Arc<Host>> = Once::new();

/// The vCPUs handed to each CPU.
static INBOXES: [Inbox; MAX_CPUS] = [const { Inbox::new() }; MAX_CPUS];

/// How many CPUs have come so far.
static ONLINE: AtomicUsize = AtomicUsize::new(1);

/// Returns the CPUs to use, this one first.
pub fn affinities(board: &Board) -> Vec<Affinity> {
    let this = devices::this_cpu();
    let usable = board.cpus.iter().filter(|cpu| cpu.is_usable);
    let others = usable
        .map(|cpu| Affinity::from_mpidr(cpu.mpidr))
        .filter(|&cpu| cpu != this);
    core::iter::once(this)
        .chain(others)
        .take(MAX_CPUS)
        .collect()
}

/// Starts all CPUs but this one; those that don't come are not used.
pub fn start(board: &Board, host: &Arc<Host>) -> Result<(), Refusal> {
    HOST.call_once(|| host.clone());
    for (index, cpu) in host.cpus.iter().enumerate().skip(1) {
        if let Err(refusal) = start_one(board, host, index, cpu.affinity) {
            log::warn!("CPU {index} is not used: {refusal}");
        }
    }
    Ok(())
}

fn start_one(board: &Board, host: &Host, index: usize, affinity: Affinity) -> Result<(), Refusal> {
    let mut cpus = board.cpus.iter();
    let described = cpus.find(|cpu| Affinity::from_mpidr(cpu.mpidr) == affinity);
    let psci = devices::psci(board)
        .filter(|_| described.is_some_and(|cpu| cpu.start == Start::Psci))
        .ok_or_else(|| refuse!("it isn't started by PSCI"))?;
    let (stack, emergency) = stage1::map_stacks(index).map_err(super::memory::refusal)?;
    let local: &'static Local = Box::leak(Box::new(Local::new(index, stack, emergency)));
    let block = StartBlock::new(stage1::root(), host.mode.vhe, stack.1, local);
    let pa = |pointer| stage1::to_pa(pointer).ok_or_else(|| refuse!("it has no physical address"));
    let entry = pa(&raw const secondary_entry)?;
    let context = pa(core::ptr::from_ref(block).cast())?.as_u64();
    let before = ONLINE.load(Ordering::Acquire);
    // SAFETY: the entry code runs with the MMU off, identity mapped as it turns it on, on a stack
    // and a block of its own, which are in memory.
    unsafe { psci.cpu_on(affinity, entry, context) }
        .map_err(|error| refuse!("the firmware says {error:?}"))?;
    // One second is ages for a CPU that is there.
    let patience = timer::count().saturating_add(timer::frequency());
    while ONLINE.load(Ordering::Acquire) == before {
        if timer::count() > patience {
            return Err(refuse!("it did not come within a second"));
        }
        core::hint::spin_loop();
    }
    Ok(())
}

/// Where the entry code brings every CPU but the first.
pub fn secondary() -> ! {
    let host = HOST.get().expect("it is set before any CPU starts");
    if let Err(refusal) = devices::start_cpu_interface(host) {
        log::error!("CPU {}: {refusal}", local::this().index);
        barrier::halt()
    }
    ONLINE.fetch_add(1, Ordering::AcqRel);
    run(host)
}

/// Runs guests on this CPU for good.
pub fn run(host: &Arc<Host>) -> ! {
    traps::configure_cpu(host.mode);
    let mut cpu = Cpu::new(host, &INBOXES[local::this().index]);
    loop {
        match cpu.run() {
            Event::Left(vm) => guests::ended(&vm),
            Event::Moved(vcpu, cpu) => hand_over(host, cpu, vcpu),
            Event::Command(line) => crate::console::run(&line),
            Event::Halted(vm) => crate::debugger::halted(&vm),
        }
    }
}

/// Returns how many CPUs run guests.
pub fn online() -> usize {
    ONLINE.load(Ordering::Acquire)
}

/// Hands a vCPU to a CPU.
pub fn hand_over(host: &Host, cpu: usize, vcpu: Box<crate::vm::vcpu::Vcpu>) {
    vcpu.vm().set_home(vcpu.index(), cpu);
    INBOXES[cpu].send(vcpu);
    host.kick(cpu);
}
