//! FADT: how firmware turns CPUs and the machine on and off (ACPI 6.5, 5.2.9).

use super::bytes::Bytes;
use crate::machine::Conduit;

/// Returns the instruction that calls PSCI, if firmware has it (table 5.11, ARM_BOOT_ARCH).
pub(super) fn psci(table: &[u8]) -> Option<Conduit> {
    const PSCI_COMPLIANT: u16 = 1;
    const PSCI_USE_HVC: u16 = 2;
    let flags = table.u16_at(129)?;
    if flags & PSCI_COMPLIANT == 0 {
        None
    } else if flags & PSCI_USE_HVC == 0 {
        Some(Conduit::Smc)
    } else {
        Some(Conduit::Hvc)
    }
}
