//! What each physical CPU has of its own, behind TPIDR_EL2.

#![expect(unsafe_code, reason = "TPIDR_EL2 holds a pointer")]

use core::{
    cell::Cell,
    sync::atomic::{AtomicU32, Ordering},
};

/// The block of one physical CPU.
#[repr(C)]
pub struct Local {
    /// Where a fault of EL2 itself goes on; the vectors read it.
    pub(super) emergency_stack: *const u8,
    /// Which CPU, counted from 0 in the order of the device tree.
    pub index: usize,
    /// How many faults of EL2 this CPU is reporting.
    faults: AtomicU32,
    /// Identity of the vCPU whose registers are on this CPU, 0 for none.
    pub resident: Cell<usize>,
    /// Identity of the vCPU whose FP registers are on this CPU, 0 for none.
    pub fp_owner: Cell<usize>,
}

// SAFETY: only the CPU whose block it is uses the cells: `this` is the only way to them, and EL2
// runs with interrupts masked. `faults` is atomic, the rest is constant.
unsafe impl Sync for Local {}

impl Local {
    const fn new(emergency_stack: *const u8, index: usize) -> Self {
        Self {
            emergency_stack,
            index,
            faults: AtomicU32::new(0),
            resident: Cell::new(0),
            fp_owner: Cell::new(0),
        }
    }

    /// Counts a fault of EL2 and returns how many came before it.
    pub fn count_fault(&self) -> u32 {
        self.faults.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(target_os = "none")]
mod imp {
    use super::Local;

    unsafe extern "C" {
        #[link_name = "__emergency_stack_top"]
        static EMERGENCY_STACK_TOP: u8;
    }

    /// The block of the CPU that boots; `entry.S` puts its address into TPIDR_EL2.
    pub static BOOT_LOCAL: Local = Local::new(&raw const EMERGENCY_STACK_TOP, 0);

    /// Returns this CPU's block.
    #[inline(always)]
    pub fn this() -> &'static Local {
        let local: *const Local;
        // SAFETY: reads a register.
        unsafe {
            core::arch::asm!("mrs {}, tpidr_el2", out(reg) local,
                options(pure, nomem, nostack, preserves_flags));
        }
        // SAFETY: entry code points TPIDR_EL2 at a block that is never freed, before any Rust.
        unsafe { &*local }
    }
}

#[cfg(not(target_os = "none"))]
mod imp {
    use super::Local;
    use alloc::boxed::Box;

    std::thread_local! {
        static LOCAL: &'static Local = Box::leak(Box::new(Local::new(core::ptr::null(), 0)));
    }

    /// Returns this thread's block.
    pub fn this() -> &'static Local {
        LOCAL.with(|local| *local)
    }
}

pub use imp::*;
