//! The CPUs but the first: what one needs to come from the firmware to Rust. The code is in
//! `secondary.S`; it ends in the symbol `hypervisor_secondary`, which the binary defines.

#![expect(unsafe_code, reason = "the first instructions")]

use super::{
    cache,
    entry::{HCR_EL2_BOOT, SCTLR_OFF},
    local::Local,
};
use core::arch::global_asm;

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

unsafe extern "C" {
    /// Where the firmware is to start a CPU; only its address means something.
    pub safe static secondary_entry: u8;
}

global_asm!(
    include_str!("secondary.S"),
    root = const core::mem::offset_of!(StartBlock, root),
    stack = const core::mem::offset_of!(StartBlock, stack),
    sctlr_el2_off = const SCTLR_OFF,
    hcr_el2_boot = const HCR_EL2_BOOT,
);
