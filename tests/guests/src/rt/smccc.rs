//! Calls to whoever is below: SMCCC by HVC and by SMC, and PSCI's numbers.

use core::arch::asm;

/// The answer to what the callee does not know.
pub const NOT_SUPPORTED: i32 = -1;
/// PSCI: an argument is wrong.
pub const INVALID_PARAMETERS: i32 = -2;
/// PSCI: the CPU is on already.
pub const ALREADY_ON: i32 = -4;

/// PSCI_VERSION.
pub const PSCI_VERSION: u32 = 0x8400_0000;
/// CPU_SUSPEND, 64-bit.
pub const CPU_SUSPEND: u32 = 0xc400_0001;
/// CPU_OFF.
pub const CPU_OFF: u32 = 0x8400_0002;
/// CPU_ON, 64-bit.
pub const CPU_ON: u32 = 0xc400_0003;
/// AFFINITY_INFO, 64-bit.
pub const AFFINITY_INFO: u32 = 0xc400_0004;
/// MIGRATE_INFO_TYPE.
pub const MIGRATE_INFO_TYPE: u32 = 0x8400_0006;
/// SYSTEM_OFF.
pub const SYSTEM_OFF: u32 = 0x8400_0008;
/// SYSTEM_RESET.
pub const SYSTEM_RESET: u32 = 0x8400_0009;
/// PSCI_FEATURES.
pub const PSCI_FEATURES: u32 = 0x8400_000a;
/// SMCCC_VERSION.
pub const SMCCC_VERSION: u32 = 0x8000_0000;
/// SMCCC_ARCH_FEATURES.
pub const ARCH_FEATURES: u32 = 0x8000_0001;
/// The vendor-specific hypervisor services' UID.
pub const VENDOR_HYP_UID: u32 = 0x8600_ff01;

macro_rules! conduit {
    ($name:ident, $instruction:literal) => {
        #[doc = concat!("Calls by `", $instruction, "`; returns X0 to X3.")]
        pub fn $name(function: u32, arguments: [u64; 3]) -> [u64; 4] {
            let mut x = [u64::from(function), arguments[0], arguments[1], arguments[2]];
            // SAFETY: SMCCC keeps all but X0 to X17; the memory the callee may write is
            // not Rust's, and `asm` without `nomem` assumes nothing about it.
            unsafe {
                asm!(
                    $instruction,
                    inout("x0") x[0], inout("x1") x[1], inout("x2") x[2], inout("x3") x[3],
                    out("x4") _, out("x5") _, out("x6") _, out("x7") _, out("x8") _,
                    out("x9") _, out("x10") _, out("x11") _, out("x12") _, out("x13") _,
                    out("x14") _, out("x15") _, out("x16") _, out("x17") _,
                    options(nostack)
                );
            }
            x
        }
    };
}

conduit!(hvc, "hvc #0");
conduit!(smc, "smc #0");
conduit!(hvc_1, "hvc #1");
conduit!(smc_1, "smc #1");

/// Calls by HVC and returns the 32-bit status.
pub fn call(function: u32, arguments: [u64; 3]) -> i32 {
    hvc(function, arguments)[0] as i32
}

/// Turns the machine off; should that fail, waits for ever.
pub fn system_off() -> ! {
    call(SYSTEM_OFF, [0; 3]);
    loop {
        // SAFETY: waits.
        unsafe { asm!("wfi", options(nomem, nostack)) };
    }
}
