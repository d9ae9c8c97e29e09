//! The generic timers' interrupts.

use super::tree::{Node, Tree};
use crate::error::Refusal;
use crate::refuse;

/// The INTIDs of the generic timers (binding `arm,arch_timer`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timer {
    /// The secure physical timer, which is EL3's.
    pub secure_physical: Option<u32>,
    /// The EL1 physical timer.
    pub physical: Option<u32>,
    /// The EL1 virtual timer.
    pub virtual_: u32,
    /// The EL2 physical timer.
    pub hypervisor_physical: u32,
    /// The EL2 virtual timer of FEAT_VHE.
    pub hypervisor_virtual: Option<u32>,
    /// The counter's frequency in Hz, given only where firmware leaves CNTFRQ_EL0 wrong.
    pub frequency: Option<u32>,
}

/// The order of `interrupts` where `interrupt-names` does not tell another.
const NAMES: [&str; 5] = ["sec-phys", "phys", "virt", "hyp-phys", "hyp-virt"];

/// Returns the timers of the tree.
pub(super) fn find(tree: &Tree<'_>, gic: Node<'_, '_>) -> Result<Timer, Refusal> {
    let node = tree.compatible(&["arm,armv8-timer"]).ok_or_else(|| {
        refuse!("device tree: no timer: nothing is compatible with arm,armv8-timer")
    })?;
    let intids = node.interrupts(gic)?;
    let interrupt = |name: &str| {
        let named = node.property("interrupt-names").is_some();
        let position = if named {
            node.strings("interrupt-names").position(|n| n == name)
        } else {
            NAMES.iter().position(|n| *n == name)
        };
        intids.get(position?).copied()
    };
    let needed = |name: &str| {
        interrupt(name)
            .ok_or_else(|| refuse!("device tree: {} has no {name} interrupt", node.path()))
    };
    Ok(Timer {
        secure_physical: interrupt("sec-phys"),
        physical: interrupt("phys"),
        virtual_: needed("virt")?,
        hypervisor_physical: needed("hyp-phys")?,
        hypervisor_virtual: interrupt("hyp-virt"),
        frequency: node.u32("clock-frequency").filter(|&hz| hz != 0),
    })
}
