//! The CPUs but the first: what one needs to come from the firmware to Rust. The code is in
//! `secondary.S`; it ends in the symbol `hypervisor_secondary`, which the binary defines.

#![expect(unsafe_code, reason = "the first instructions")]

use super::{
    barrier, cache,
    entry::{HCR_EL2_BOOT, SCTLR_OFF},
    local::Local,
};
use crate::{addr::Pa, isa::affinity::Affinity};
use core::{
    arch::global_asm,
    sync::atomic::{AtomicU64, Ordering},
};

/// What a CPU is told when it starts; it reads this with its MMU off.
#[repr(C, align(64))]
pub struct StartBlock {
    /// TTBR0_EL2.
    root: u64,
    /// HCR_EL2.E2H.
    e2h: u64,
    /// The top of its stack.
    stack: *const u8,
    /// Its per-CPU block.
    local: *const Local,
}

impl StartBlock {
    /// Makes a block, in memory where a CPU without caches reads it.
    pub fn new(root: u64, vhe: bool, stack: *const u8, local: &'static Local) -> &'static Self {
        let block = alloc::boxed::Box::leak(alloc::boxed::Box::new(Self {
            root,
            e2h: u64::from(vhe),
            stack,
            local,
        }));
        cache::clean_invalidate(core::ptr::from_ref(block).cast(), size_of::<Self>());
        block
    }
}

/// What the CPUs that a spin table let go read with their MMUs off: who is meant, and its block.
#[repr(C, align(128))]
struct Call {
    affinity: AtomicU64,
    block: AtomicU64,
}

/// No CPU: these bits are no affinity.
const NOBODY: u64 = u64::MAX;

static CALL: Call = Call {
    affinity: AtomicU64::new(NOBODY),
    block: AtomicU64::new(0),
};

/// Names the CPU that may come by [`spinning_entry`], and the physical address of its block;
/// `None` is for nobody. One at a time, and only the CPU that booted says so.
pub fn call(cpu: Option<(Affinity, Pa)>) {
    let (affinity, block) = cpu.map_or((NOBODY, 0), |(cpu, block)| (cpu.mpidr(), block.as_u64()));
    // The name goes first and comes last: nobody reads it with another's block.
    CALL.affinity.store(NOBODY, Ordering::Relaxed);
    publish_call();
    CALL.block.store(block, Ordering::Relaxed);
    publish_call();
    CALL.affinity.store(affinity, Ordering::Relaxed);
    publish_call();
    barrier::sev();
}

/// Puts the call into memory, where a CPU without caches reads it.
fn publish_call() {
    cache::clean_invalidate(core::ptr::from_ref(&CALL).cast(), size_of::<Call>());
}

unsafe extern "C" {
    /// Where the firmware is to start a CPU; only its address means something.
    pub safe static secondary_entry: u8;
    /// Where a spin table is to send a CPU; only its address means something.
    pub safe static spinning_entry: u8;
}

global_asm!(
    include_str!("secondary.S"),
    root = const core::mem::offset_of!(StartBlock, root),
    stack = const core::mem::offset_of!(StartBlock, stack),
    sctlr_el2_off = const SCTLR_OFF,
    hcr_el2_boot = const HCR_EL2_BOOT,
    affinity = const Affinity::MPIDR_MASK,
    call = sym CALL,
    call_affinity = const core::mem::offset_of!(Call, affinity),
    call_block = const core::mem::offset_of!(Call, block),
);
