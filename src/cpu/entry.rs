//! Boot: from the boot loader's jump to Rust at the fixed address. The code is in `entry.S`.
//!
//! The MMU is on before the first Rust instruction, because atomics have no defined behaviour
//! on memory that isn't cacheable. It ends in one of two symbols that the binary defines:
//! `hypervisor_main(tree, image)` at EL2, `hypervisor_at_el1(tree, image)` when the machine was
//! started at EL1; both get physical addresses.

#![expect(unsafe_code, reason = "the first instructions")]

use super::local::BOOT_LOCAL;
use crate::isa::descriptor::{
    Attributes, PaSize,
    stage1::{self, Access, MemoryKind, Regime},
};
use core::arch::global_asm;

/// HCR_EL2 until the first guest: EL1 is AArch64, nothing trapped, E2H off.
pub(super) const HCR_EL2_BOOT: u64 = 1 << 31;

/// SCTLR_EL2's RES1 bits with E2H clear, EOS and EIS among them (Arm ARM, D24.2 "SCTLR_EL2"):
/// exception entry and return are context synchronising, which the exit path relies on.
///
/// With E2H set the rest of them become controls, and stay one: SPAN, so that an exception does
/// not set PSTATE.PAN; nTWI, nTWE, CP15BEN, SA0, LSMAOE and nTLSMD are about EL0 under EL2. The
/// others for EL0 (UCI, UCT, DZE, E0E) stay zero. HCR_EL2.TGE is never set, so there is no such EL0.
const SCTLR_RES1: u64 = 0x30c5_0830;
/// SCTLR_EL2 with the MMU off.
pub(super) const SCTLR_OFF: u64 = SCTLR_RES1;
/// M, A, C, SA, I, and WXN: what is writable is never executable.
const SCTLR_ON: u64 = 1 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 12 | 1 << 19;
/// SCTLR_EL1's RES1 bits of Armv8.0.
const SCTLR_EL1_RES1: u64 = 0x30d0_0800;

const fn page(regime: Regime, access: Access) -> u64 {
    const PAGE: u64 = 0b11;
    Attributes::stage1(regime, MemoryKind::Normal, access).bits() | PAGE
}

/// The translation control without the size of physical addresses, which `entry.S` adds.
const fn tcr(regime: Regime) -> u64 {
    stage1::tcr(regime, PaSize::from_mmfr0(0))
}

global_asm!(
    // A 64-bit constant, whatever its shape.
    ".macro mov_q reg, value",
    "movz \\reg, #((\\value) >> 48) & 0xffff, lsl #48",
    "movk \\reg, #((\\value) >> 32) & 0xffff, lsl #32",
    "movk \\reg, #((\\value) >> 16) & 0xffff, lsl #16",
    "movk \\reg, #(\\value) & 0xffff",
    ".endm",
    include_str!("entry.S"),
    sctlr_el2_off = const SCTLR_OFF,
    sctlr_el2_on = const SCTLR_RES1 | SCTLR_ON,
    sctlr_el1_on = const SCTLR_EL1_RES1 | SCTLR_ON,
    hcr_el2_boot = const HCR_EL2_BOOT,
    mair = const stage1::MAIR,
    tcr = const tcr(Regime::El2),
    tcr_two_ranges = const tcr(Regime::El2And0),
    text = const page(Regime::El2, Access::Execute),
    rodata = const page(Regime::El2, Access::ReadOnly),
    data = const page(Regime::El2, Access::ReadWrite),
    text_two_ranges = const page(Regime::El2And0, Access::Execute),
    rodata_two_ranges = const page(Regime::El2And0, Access::ReadOnly),
    data_two_ranges = const page(Regime::El2And0, Access::ReadWrite),
    boot_local = sym BOOT_LOCAL,
);
