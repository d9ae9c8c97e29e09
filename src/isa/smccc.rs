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
/// PV_TIME_FEATURES (Arm DEN 0057).
pub const PV_TIME_FEATURES: u32 = 0xc500_0020;
/// PV_TIME_ST: where a vCPU's stolen time is.
pub const PV_TIME_ST: u32 = 0xc500_0021;
/// TRNG_VERSION (Arm DEN 0098).
pub const TRNG_VERSION: u32 = 0x8400_0050;
/// TRNG_FEATURES.
pub const TRNG_FEATURES: u32 = 0x8400_0051;
/// TRNG_GET_UUID.
pub const TRNG_GET_UUID: u32 = 0x8400_0052;
/// TRNG_RND, 32-bit.
pub const TRNG_RND: u32 = 0x8400_0053;
/// TRNG_RND, 64-bit.
pub const TRNG_RND_64: u32 = 0xc400_0053;
/// The vendor hypervisor service's "who are you".
pub const VENDOR_HYP_UID: u32 = 0x8600_ff01;
/// The vendor hypervisor service's revision.
pub const VENDOR_HYP_REVISION: u32 = 0x8600_ff03;

/// The answer to a function that is not there.
pub const NOT_SUPPORTED: i64 = -1;
/// SMCCC_ARCH_WORKAROUND_2's "no CPU needs it".
pub const NOT_REQUIRED: i64 = -2;
/// TRNG's "an argument is wrong".
pub const TRNG_INVALID_PARAMETERS: i64 = -2;
/// TRNG's "not enough entropy now".
pub const TRNG_NO_ENTROPY: i64 = -3;

/// Returns whether a function identifier names a call that is not preempted (bit 31).
pub const fn is_fast(function: u32) -> bool {
    bit(function as u64, 31)
}

/// Returns whether a function takes and gives 64-bit values (bit 30), which only an AArch64 caller
/// may ask for.
pub const fn is_64_bit(function: u32) -> bool {
    bit(function as u64, 30)
}

/// Returns whether a call only asks which functions there are: "no" is then no mistake.
pub const fn is_query(function: u32) -> bool {
    matches!(
        function,
        ARCH_FEATURES | super::psci::FEATURES | PV_TIME_FEATURES | TRNG_FEATURES
    )
}
