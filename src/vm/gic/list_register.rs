//! The fields of `ICH_LR<n>_EL2` (Arm IHI 0069, "`ICH_LR<n>_EL2`, Interrupt Controller List Registers").

/// State: pending.
pub const PENDING: u64 = 1 << 62;
/// State: active.
pub const ACTIVE: u64 = 1 << 63;
/// Both state bits: zero when the list register is free.
pub const STATE: u64 = PENDING | ACTIVE;
/// Linked to a physical interrupt, which the guest's deactivation deactivates too.
pub const HW: u64 = 1 << 61;
/// Where the group bit is.
pub const GROUP1: u32 = 60;
/// Where the eight priority bits start.
pub const PRIORITY: u32 = 48;
/// Where the physical INTID starts, with [`HW`] set.
pub const PINTID: u32 = 32;
/// Asks for a maintenance interrupt when the interrupt has ended, with [`HW`] clear.
pub const EOI: u64 = 1 << 41;

/// Returns the virtual INTID.
#[inline(always)]
pub const fn vintid(value: u64) -> u32 {
    value as u32
}
