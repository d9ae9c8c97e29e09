//! A machine for tests: registers in a map, and a log of what was done to it, one per thread.

use super::{
    fp::FpRegs,
    switch::{Frame, Next},
};
use crate::addr::PaRange;
use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};
use core::cell::RefCell;

/// One thing that was done to the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// An MRS of the register with this encoding.
    Read(u32),
    /// An MSR of this value to the register with this encoding.
    Write(u32, u64),
    /// TLB maintenance of EL2's own translation of this address, or of all for `u64::MAX`.
    TlbEl2(u64),
    /// TLB maintenance of everything of the VM with this VTTBR_EL2.
    TlbVm(u64),
    /// TLB maintenance on this CPU before a sibling of the VM with this VTTBR_EL2 runs.
    TlbSibling(u64),
    /// TLB maintenance of one IPA of the VM with this VTTBR_EL2.
    TlbIpa(u64, u64),
    /// Cleaning of the data cache: start and size in bytes.
    Clean(u64, u64),
    /// Invalidation of all instruction caches.
    InvalidateInstructions,
    /// An SMC with these x0 to x3.
    Smc([u64; 4]),
    /// An HVC with these x0 to x3.
    Hvc([u64; 4]),
}

/// What the guest does next: changes registers, then calls the handler of the exit it takes.
pub type Exit = Box<dyn FnOnce(*mut Frame) -> Next>;

/// What a register reads as, given the machine.
pub type Computed = fn(&Fake) -> u64;

/// The machine's state.
pub struct Fake {
    /// Registers by [`iss`](crate::isa::encoding::Encoding::iss); absent ones read as zero.
    pub regs: BTreeMap<u32, u64>,
    /// Registers that read as this whatever is written.
    pub stuck: BTreeMap<u32, u64>,
    /// Registers that read as what others make of them; this comes before the two above.
    pub computed: BTreeMap<u32, Computed>,
    /// Everything that was done, oldest first.
    pub log: Vec<Event>,
    /// What the firmware will answer to the next calls; with none left, NOT_SUPPORTED.
    pub answers: VecDeque<[u64; 4]>,
    /// The FP and SIMD registers.
    pub fp: FpRegs,
    /// Memory from physical address 0 up.
    pub ram: Vec<u8>,
    /// What the guest will do, next first.
    pub script: VecDeque<Exit>,
    /// Its serial port.
    pub port: Port,
}

/// The machine's serial port.
#[derive(Default)]
pub struct Port {
    /// What was typed and not yet read.
    pub typed: VecDeque<u8>,
    /// What was sent.
    pub sent: Vec<u8>,
    /// Whether input raises an interrupt.
    pub interrupts: bool,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            regs: BTreeMap::new(),
            stuck: BTreeMap::new(),
            computed: BTreeMap::new(),
            log: Vec::new(),
            answers: VecDeque::new(),
            fp: FpRegs::ZERO,
            ram: Vec::new(),
            script: VecDeque::new(),
            port: Port::default(),
        }
    }
}

impl Fake {
    /// Reads a register and logs it.
    pub fn read(&mut self, iss: u32) -> u64 {
        self.log.push(Event::Read(iss));
        if let Some(compute) = self.computed.get(&iss) {
            return compute(self);
        }
        let stuck = self.stuck.get(&iss);
        stuck.or(self.regs.get(&iss)).copied().unwrap_or(0)
    }

    /// Writes a register and logs it.
    pub fn write(&mut self, iss: u32, value: u64) {
        self.log.push(Event::Write(iss, value));
        self.regs.insert(iss, value);
    }

    /// Logs a call to the firmware and gives the next queued answer.
    pub fn firmware(&mut self, call: Event) -> [u64; 4] {
        self.log.push(call);
        self.answers.pop_front().unwrap_or([u64::MAX, 0, 0, 0])
    }
}

std::thread_local! {
    static MACHINE: RefCell<Fake> = RefCell::default();
}

/// Gives `f` this thread's machine.
pub fn with<R>(f: impl FnOnce(&mut Fake) -> R) -> R {
    MACHINE.with_borrow_mut(f)
}

/// Puts this thread's machine back to its reset state.
pub fn reset() {
    with(|cpu| *cpu = Fake::default());
}

/// Notes that something was done to this thread's machine.
pub fn log(event: Event) {
    with(|cpu| cpu.log.push(event));
}

/// Returns where this thread's machine keeps a range of its memory, if it has that much.
pub fn memory(range: PaRange) -> Option<*mut u8> {
    with(|cpu| {
        let start = usize::try_from(range.start().as_u64()).ok()?;
        let end = usize::try_from(range.end().as_u64()).ok()?;
        cpu.ram.get_mut(start..end).map(<[u8]>::as_mut_ptr)
    })
}

/// Plays the next exit of the script; a guest without a script has nothing to do and leaves.
pub fn next_exit(frame: *mut Frame) -> Next {
    match with(|cpu| cpu.script.pop_front()) {
        Some(exit) => exit(frame),
        None => Next::leave(),
    }
}
