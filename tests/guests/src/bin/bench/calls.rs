//! Hypercalls and trapped registers.

use crate::row;
use guests::mrs;

/// Runs the rows.
pub fn run() {
    row!("psci_version_hvc", 2000, own 1, "mov w0, #0x84000000", "hvc #0");
    row!("psci_version_smc", 2000, own 1, "mov w0, #0x84000000", "smc #0");
    row!("smccc_version_hvc", 2000, own 1, "mov w0, #0x80000000", "hvc #0");
    row!("smccc_unknown_hvc", 2000, own 2, "mov w0, #0x80000000", "movk w0, #0x1234", "hvc #0");
    row!("smccc_workaround1_hvc", 2000, own 2, "mov w0, #0x80000000", "movk w0, #0x8000", "hvc #0");
    row!("smccc_workaround3_hvc", 2000, own 2, "mov w0, #0x80000000", "movk w0, #0x3fff", "hvc #0");

    row!("sysreg_r_id_aa64pfr0", 2000, own 0, "mrs x0, ID_AA64PFR0_EL1");
    row!("sysreg_r_id_aa64mmfr0", 2000, own 0, "mrs x0, ID_AA64MMFR0_EL1");
    row!("sysreg_r_actlr", 2000, own 0, "mrs x0, ACTLR_EL1");
    row!("sysreg_w_actlr", 2000, own 0, "msr ACTLR_EL1, x10"; x10 = mrs!("ACTLR_EL1"));
    row!("sysreg_w_oslar", 2000, own 0, "msr OSLAR_EL1, xzr");
    row!("sysreg_w_dcisw", 2000, own 0, "dc isw, xzr");
    row!("sysreg_w_sctlr", 2000, own 0, "msr SCTLR_EL1, x10"; x10 = mrs!("SCTLR_EL1"));
    row!("sysreg_r_cntpct", 2000, own 0, "mrs x0, CNTPCT_EL0");
    row!("tlbi_vmalle1is", 2000, own 0, "tlbi vmalle1is");
}
