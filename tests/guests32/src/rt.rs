//! What checks use: registers, the UART, PSCI, and the notes of exceptions.

use core::arch::asm;
use core::fmt;

/// Reads a register of a coprocessor: `mrc!("p15, 0", "c1, c0, 0")`.
#[macro_export]
macro_rules! mrc {
    ($front:literal, $back:literal) => {{
        let value: u32;
        // SAFETY: reading has no effect.
        unsafe {
            core::arch::asm!(concat!("mrc ", $front, ", {}, ", $back), out(reg) value, options(nostack));
        }
        value
    }};
}

/// Writes one.
#[macro_export]
macro_rules! mcr {
    ($front:literal, $back:literal, $value:expr) => {{
        let value: u32 = $value;
        // SAFETY: the check that does it knows what it changes.
        unsafe {
            core::arch::asm!(concat!("mcr ", $front, ", {}, ", $back), "isb", in(reg) value, options(nostack));
        }
    }};
}

/// Reads one of 64 bits: `mrrc!("p15, 0", "c2")`.
#[macro_export]
macro_rules! mrrc {
    ($front:literal, $back:literal) => {{
        let (low, high): (u32, u32);
        // SAFETY: reading has no effect.
        unsafe {
            core::arch::asm!(concat!("mrrc ", $front, ", {}, {}, ", $back), out(reg) low, out(reg) high, options(nostack));
        }
        u64::from(high) << 32 | u64::from(low)
    }};
}

/// Writes one of 64 bits.
#[macro_export]
macro_rules! mcrr {
    ($front:literal, $back:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: the check that does it knows what it changes.
        unsafe {
            core::arch::asm!(concat!("mcrr ", $front, ", {}, {}, ", $back), "isb", in(reg) value as u32, in(reg) (value >> 32) as u32, options(nostack));
        }
    }};
}

/// Why a check failed: where, what was there and what should be.
pub struct Failed(pub u32, pub u64, pub u64);

/// Fails the check unless two values are the same.
#[macro_export]
macro_rules! same {
    ($found:expr, $expected:expr) => {{
        let (found, expected) = ($found as u64, $expected as u64);
        if found != expected {
            return Err($crate::rt::Failed(line!(), found, expected));
        }
    }};
}

/// The PL011.
pub const UART: usize = 0x0900_0000;
/// A register of it that holds 16 bits and does nothing: the divisor of the rate.
pub const SCRATCH: usize = UART + 0x24;
/// Where nothing is.
pub const HOLE: usize = 0x0a00_0000;

/// The console.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: it is the UART's data register.
            unsafe { core::ptr::write_volatile(UART as *mut u32, byte.into()) }
        }
        Ok(())
    }
}

/// Prints a line.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {{
        use core::fmt::Write as _;
        let _ = writeln!($crate::rt::Console, $($text)*);
    }};
}

/// Calls the hypervisor: r0 to r3, and r0 of the answer.
pub fn hvc(r: [u32; 4]) -> u32 {
    let answer;
    // SAFETY: nothing but r0 to r3 changes.
    unsafe {
        asm!(".inst 0xe1400070", inlateout("r0") r[0] => answer, inlateout("r1") r[1] => _,
            inlateout("r2") r[2] => _, inlateout("r3") r[3] => _);
    }
    answer
}

/// The same by SMC.
pub fn smc(function: u32) -> u32 {
    let answer;
    // SAFETY: nothing but r0 to r3 changes.
    unsafe {
        asm!(".inst 0xe1600070", inlateout("r0") function => answer, out("r1") _, out("r2") _,
            out("r3") _);
    }
    answer
}

/// What `start.s` notes of an exception.
#[repr(C)]
pub struct Record {
    /// The offset of its vector; zero for none.
    pub vector: u32,
    /// LR of its mode.
    pub link: u32,
    /// SPSR of its mode.
    pub spsr: u32,
    /// CPSR on entry.
    pub cpsr: u32,
    /// Where it goes on.
    pub resume: u32,
}

// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
static mut record: Record = Record {
    vector: 0,
    link: 0,
    spsr: 0,
    cpsr: 0,
    resume: 0,
};

/// Forgets the last exception.
pub fn forget() {
    // SAFETY: one CPU, and exceptions come only where a check makes them.
    unsafe { (&raw mut record.vector).write_volatile(0) }
}

/// Returns what was noted of the last exception; another is not waited for.
pub fn noted() -> Record {
    // SAFETY: as above.
    unsafe {
        (&raw mut record.resume).write_volatile(0);
        (&raw const record).read_volatile()
    }
}

/// Runs one instruction that ends in an exception, or not, with r0 given; returns its address. Other
/// instructions may be put before it.
#[macro_export]
macro_rules! attempt {
    ($before:literal, $instruction:literal, $r0:expr) => {{
        $crate::rt::forget();
        let at: u32;
        let r0 = $r0;
        // SAFETY: the exception goes on behind the instruction, in Supervisor mode.
        unsafe {
            core::arch::asm!(
                "adr {at}, 9f",
                "ldr {scratch}, =record",
                "str {at}, [{scratch}, #16]",
                "adr {at}, 8f",
                $before,
                "8:",
                $instruction,
                "9:",
                at = out(reg) at,
                scratch = out(reg) _,
                inout("r0") r0 => _,
                out("r1") _, out("r2") _, out("r3") _, out("lr") _,
            );
        }
        at
    }};
}

/// Returns the virtual count.
pub fn count() -> u64 {
    mrrc!("p15, 1", "c14")
}
