//! What each physical CPU has of its own, behind TPIDR_EL2.

#![expect(unsafe_code, reason = "TPIDR_EL2 holds a pointer")]

use crate::addr::PAGE_SIZE;
use core::sync::atomic::{AtomicU32, Ordering};

/// The block of one physical CPU.
#[repr(C)]
pub struct Local {
    /// Where a fault of EL2 itself goes on; the vectors read it.
    pub(super) emergency_stack: *const u8,
    /// Which CPU, counted from 0 in the order of the device tree.
    pub index: usize,
    /// The stacks, each from its lowest address to its highest.
    stacks: [(*const u8, *const u8); 2],
    /// How many faults of EL2 this CPU is reporting.
    faults: AtomicU32,
    /// The locks it holds, a bit for each rank.
    #[cfg(debug_assertions)]
    locks: AtomicU32,
}

// SAFETY: the pointer is an address that only the vectors use; `faults` is atomic, the rest constant.
unsafe impl Sync for Local {}

impl Local {
    /// Makes the block of CPU `index`, with its ordinary and its emergency stack, each from its
    /// lowest address to its highest.
    pub const fn new(
        index: usize,
        stack: (*const u8, *const u8),
        emergency: (*const u8, *const u8),
    ) -> Self {
        Self {
            emergency_stack: emergency.1,
            index,
            stacks: [stack, emergency],
            faults: AtomicU32::new(0),
            #[cfg(debug_assertions)]
            locks: AtomicU32::new(0),
        }
    }

    /// Returns whether all 16 bytes from `address` up lie on a stack of this CPU.
    pub fn is_on_stack(&self, address: u64) -> bool {
        self.stacks.iter().any(|&(bottom, top)| {
            let (bottom, top) = (bottom as u64, top as u64);
            bottom <= address && address.checked_add(16).is_some_and(|end| end <= top)
        })
    }

    /// Returns whether an address is in the unmapped page that lies below each stack.
    pub fn is_below_stack(&self, address: u64) -> bool {
        self.stacks.iter().any(|&(bottom, _)| {
            let bottom = bottom as u64;
            (bottom.saturating_sub(PAGE_SIZE)..bottom).contains(&address)
        })
    }

    /// Counts a fault of EL2 and returns how many came before it.
    pub fn count_fault(&self) -> u32 {
        self.faults.fetch_add(1, Ordering::Relaxed)
    }
}

/// Returns where it is noted which locks this CPU holds, for those who check their order; `None` at
/// EL1, where there is no block.
#[cfg(debug_assertions)]
pub fn locks() -> Option<&'static AtomicU32> {
    #[cfg(target_os = "none")]
    {
        let level: u64;
        // SAFETY: reads a register.
        unsafe {
            core::arch::asm!("mrs {}, currentel", out(reg) level,
                options(pure, nomem, nostack, preserves_flags));
        }
        if level >> 2 != 2 {
            return None;
        }
    }
    Some(&this().locks)
}

#[cfg(target_os = "none")]
mod imp {
    use super::Local;

    unsafe extern "C" {
        static __boot_stack_bottom: u8;
        static __boot_stack_top: u8;
        static __emergency_stack_bottom: u8;
        static __emergency_stack_top: u8;
    }

    /// The block of the CPU that boots; `entry.S` puts its address into TPIDR_EL2.
    pub static BOOT_LOCAL: Local = Local::new(
        0,
        (&raw const __boot_stack_bottom, &raw const __boot_stack_top),
        (
            &raw const __emergency_stack_bottom,
            &raw const __emergency_stack_top,
        ),
    );

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
        static LOCAL: &'static Local = Box::leak(Box::new(Local::new(
            0,
            (core::ptr::null(), core::ptr::null()),
            (core::ptr::null(), core::ptr::null()),
        )));
    }

    /// Returns this thread's block.
    pub fn this() -> &'static Local {
        LOCAL.with(|local| *local)
    }
}

pub use imp::*;
