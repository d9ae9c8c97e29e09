//! What turns the machine off: the firmware's power interface, PSCI (Arm DEN 0022), or a device.

use super::tree::Tree;
use crate::addr::PaRange;
use crate::error::Refusal;
use crate::refuse;

/// How to reach PSCI and what it is at least.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Psci {
    /// The instruction that calls it.
    pub conduit: Conduit,
    /// The newest version the tree claims; PSCI_VERSION tells the truth from 0.2 on.
    pub version: Version,
}

/// The instruction that calls firmware.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conduit {
    /// HVC, to a hypervisor below.
    Hvc,
    /// SMC, to EL3.
    Smc,
}

/// The versions of PSCI that device trees tell apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Version {
    /// 0.1, whose function numbers are the firmware's own.
    V0_1 {
        /// The number of CPU_ON, if it has it.
        cpu_on: Option<u32>,
    },
    /// 0.2, with standard function numbers.
    V0_2,
    /// 1.0 and later.
    V1_0,
}

/// Returns the PSCI of the tree; `None` when it has none.
pub(super) fn find(tree: &Tree<'_>) -> Result<Option<Psci>, Refusal> {
    let Some(node) = tree.compatible(&["arm,psci-1.0", "arm,psci-0.2", "arm,psci"]) else {
        return Ok(None);
    };
    let conduit = match node.text("method") {
        Some("smc") => Conduit::Smc,
        Some("hvc") => Conduit::Hvc,
        other => {
            return Err(refuse!(
                "device tree: {}: method is {}, neither hvc nor smc",
                node.path(),
                other.unwrap_or("missing")
            ));
        }
    };
    let version = if node.is_compatible(&["arm,psci-1.0"]) {
        Version::V1_0
    } else if node.is_compatible(&["arm,psci-0.2"]) {
        Version::V0_2
    } else {
        Version::V0_1 {
            cpu_on: node.u32("cpu_on"),
        }
    };
    Ok(Some(Psci { conduit, version }))
}

/// Returns the registers of a BCM2835's power management block; `None` when there is none.
pub(super) fn find_power_management(tree: &Tree<'_>) -> Result<Option<PaRange>, Refusal> {
    const NAMES: [&str; 3] = ["brcm,bcm2711-pm", "brcm,bcm2835-pm", "brcm,bcm2835-pm-wdt"];
    /// Up to the last register that is used, and beyond.
    const SIZE: u64 = 0x28;
    let Some(node) = tree.compatible(&NAMES) else {
        return Ok(None);
    };
    match node.reg()?.first() {
        Some(registers) if registers.size() >= SIZE => Ok(Some(*registers)),
        _ => Err(refuse!(
            "device tree: {}: less than {SIZE:#x} bytes of registers",
            node.path()
        )),
    }
}
