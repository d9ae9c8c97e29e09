//! The machine's CPUs: all of them brought to where they run guests.

#![expect(unsafe_code, reason = "hands CPUs to our own entry code")]

use super::{devices, guests};
use crate::{
    addr::{Pa, PaRange},
    board::{Board, cpus::Start},
    cpu::{
        barrier, cache,
        local::{self, Local},
        secondary::{self, StartBlock, secondary_entry, spinning_entry},
        timer,
    },
    error::Refusal,
    isa::affinity::Affinity,
    mem::stage1,
    refuse,
    sched::cpu::{Cpu, Event, Inbox, work::Work},
    sync::Once,
    vm::{host::Host, traps},
};
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicUsize, Ordering};

/// How many CPUs are used at most.
pub const MAX_CPUS: usize = 256;

/// What all CPUs share once they run.
static HOST: Once<Arc<Host>> = Once::new();

/// What is handed to each CPU.
static INBOXES: Once<Box<[Inbox]>> = Once::new();

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
    INBOXES.call_once(|| host.cpus.iter().map(|_| Inbox::new()).collect());
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
    let method = described.map_or(Start::Unknown, |cpu| cpu.start);
    let (stack, emergency) = stage1::map_stacks(index).map_err(super::memory::refusal)?;
    stage1::map_window(index).map_err(super::memory::refusal)?;
    let local: &'static Local = Box::leak(Box::new(Local::new(index, stack, emergency)));
    let block = StartBlock::new(stage1::root(), host.mode.vhe, stack.1, local);
    let block = to_pa(core::ptr::from_ref(block).cast())?;
    let before = ONLINE.load(Ordering::Acquire);
    match method {
        Start::Psci => turn_on(board, affinity, block)?,
        Start::SpinTable(place) => release(place, affinity, block)?,
        Start::Unknown => return Err(refuse!("the device tree does not say how to start it")),
    }
    let came = wait_for_more_than(before);
    secondary::call(None);
    came
}

/// Has the firmware turn a CPU on.
fn turn_on(board: &Board, affinity: Affinity, block: Pa) -> Result<(), Refusal> {
    let psci = devices::psci(board).ok_or_else(|| refuse!("there is no PSCI to start it by"))?;
    let entry = to_pa(&raw const secondary_entry)?;
    // SAFETY: the entry code runs with the MMU off, identity mapped as it turns it on, on a stack
    // and a block of its own, which are in memory.
    unsafe { psci.cpu_on(affinity, entry, block.as_u64()) }
        .map_err(|error| refuse!("the firmware says {error:?}"))
}

/// Lets a CPU go that spins until there is an address at `place`.
fn release(place: Pa, affinity: Affinity, block: Pa) -> Result<(), Refusal> {
    let entry = to_pa(&raw const spinning_entry)?.as_u64();
    secondary::call(Some((affinity, block)));
    let word = PaRange::new(place, size_of::<u64>() as u64)
        .ok_or_else(|| refuse!("its place in the spin table is no address"))?;
    stage1::with_window(word, |bytes, size| {
        // SAFETY: the window is the word of the spin table, aligned as the board has checked: it
        // is there for this to be written. The CPU reads it past the caches.
        unsafe { bytes.cast::<u64>().write_volatile(entry.to_le()) };
        cache::clean_invalidate(bytes, size);
    })
    .map_err(super::memory::refusal)?;
    barrier::sev();
    Ok(())
}

fn to_pa(pointer: *const u8) -> Result<Pa, Refusal> {
    stage1::to_pa(pointer).ok_or_else(|| refuse!("it has no physical address"))
}

/// Waits until more CPUs than this have come. One second is ages for one that is there.
fn wait_for_more_than(before: usize) -> Result<(), Refusal> {
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
    host.join();
    ONLINE.fetch_add(1, Ordering::AcqRel);
    run(host)
}

/// Runs guests on this CPU for good.
pub fn run(host: &Arc<Host>) -> ! {
    traps::configure_cpu(host.mode);
    let mut cpu = Cpu::new(host, inbox(local::this().index));
    loop {
        match cpu.run() {
            Event::Left(vm) => guests::ended(&vm),
            Event::Moved(vcpu, cpu) => hand_over(host, cpu, vcpu),
            Event::Command(line) => crate::console::run(&line),
            Event::Halted(vm) => crate::debugger::halted(&vm),
            Event::Done(work) => work.finish(),
        }
    }
}

/// Returns how many CPUs run guests.
pub fn online() -> usize {
    ONLINE.load(Ordering::Acquire)
}

fn inbox(cpu: usize) -> &'static Inbox {
    &INBOXES.get().expect("it is set before any CPU starts")[cpu]
}

/// Hands work to a CPU.
pub fn hand_over_work(host: &Host, cpu: usize, work: Box<dyn Work>) {
    inbox(cpu).send_work(work);
    host.kick(cpu);
}

/// Hands a vCPU to a CPU.
pub fn hand_over(host: &Host, cpu: usize, vcpu: Box<crate::vm::vcpu::Vcpu>) {
    vcpu.vm().set_home(vcpu.index(), cpu);
    inbox(cpu).send(vcpu);
    host.kick(cpu);
}
