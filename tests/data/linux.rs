//! What Linux programs of the tests need of the kernel, without a library.

use core::arch::asm;

/// Makes a system call of Linux for AArch64.
pub fn call(number: u64, [a, b, c, d, e]: [u64; 5]) -> i64 {
    let result;
    // SAFETY: the programs' calls hand the kernel pointers to their own memory only.
    unsafe {
        asm!("svc #0", in("x8") number, inlateout("x0") a => result, in("x1") b, in("x2") c,
            in("x3") d, in("x4") e, options(nostack));
    }
    result
}

/// write.
pub const WRITE: u64 = 64;
/// reboot.
pub const REBOOT: u64 = 142;
