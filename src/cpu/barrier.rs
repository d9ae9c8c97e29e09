//! Barriers, by what they order.

#![cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "barriers are instructions")
)]

#[cfg(target_os = "none")]
mod imp {
    use core::arch::asm;

    /// Makes earlier changes of system registers count for what follows (ISB).
    #[inline(always)]
    pub fn isb() {
        // SAFETY: a barrier changes no state. No `nomem`: the compiler keeps its order too.
        unsafe { asm!("isb", options(nostack, preserves_flags)) }
    }

    /// Waits until all earlier memory accesses are complete (DSB SY).
    #[inline(always)]
    pub fn dsb_sy() {
        // SAFETY: as for `isb`.
        unsafe { asm!("dsb sy", options(nostack, preserves_flags)) }
    }

    /// Waits until earlier stores are seen by every CPU (DSB ISHST).
    #[inline(always)]
    pub fn dsb_ishst() {
        // SAFETY: as for `isb`.
        unsafe { asm!("dsb ishst", options(nostack, preserves_flags)) }
    }
}

#[cfg(not(target_os = "none"))]
mod imp {
    use core::sync::atomic::{Ordering, compiler_fence};

    /// Makes earlier changes of system registers count for what follows (ISB).
    pub fn isb() {
        compiler_fence(Ordering::SeqCst);
    }

    /// Waits until all earlier memory accesses are complete (DSB SY).
    pub fn dsb_sy() {
        compiler_fence(Ordering::SeqCst);
    }

    /// Waits until earlier stores are seen by every CPU (DSB ISHST).
    pub fn dsb_ishst() {
        compiler_fence(Ordering::SeqCst);
    }
}

pub use imp::{dsb_ishst, dsb_sy, isb};
