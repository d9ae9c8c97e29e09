//! The SMC Calling Convention as data: how a function identifier is built, and the identifiers
//! of the architecture and hypervisor services (Arm DEN 0028).

use crate::bits::bit;

/// SMCCC_VERSION.
pub const VERSION: u32 = 0x8000_0000;
/// SMCCC_ARCH_FEATURES.
pub const ARCH_FEATURES: u32 = 0x8000_0001;
/// SMCCC_ARCH_WORKAROUND_1: branch predictor, Spectre variant 2.
pub const ARCH_WORKAROUND_1: u32 = 0x8000_8000;
/// SMCCC_ARCH_WORKAROUND_2: speculative store bypass.
pub const ARCH_WORKAROUND_2: u32 = 0x8000_7fff;
/// SMCCC_ARCH_WORKAROUND_3: branch history.
pub const ARCH_WORKAROUND_3: u32 = 0x8000_3fff;
/// The vendor hypervisor service's "who are you".
pub const VENDOR_HYP_UID: u32 = 0x8600_ff01;
/// The vendor hypervisor service's revision.
pub const VENDOR_HYP_REVISION: u32 = 0x8600_ff03;

/// The answer to a function that is not there.
pub const NOT_SUPPORTED: i64 = -1;

/// Returns whether a function identifier names a call that is not preempted (bit 31).
pub const fn is_fast(function: u32) -> bool {
    bit(function as u64, 31)
}

/// Returns whether a function takes and gives 64-bit values (bit 30), which only an AArch64 caller
/// may ask for.
pub const fn is_64_bit(function: u32) -> bool {
    bit(function as u64, 30)
}
