//! The interrupt controller and its virtual interface.

use alloc::vec::Vec;

use super::tree::{Node, Tree};
use crate::addr::PaRange;
use crate::error::Refusal;
use crate::refuse;

const V3: [&str; 1] = ["arm,gic-v3"];
const V2: [&str; 5] = [
    "arm,gic-400",
    "arm,cortex-a15-gic",
    "arm,cortex-a7-gic",
    "arm,cortex-a57-gic",
    "arm,cortex-a53-gic",
];

/// A GIC that can interrupt guests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Gic {
    /// GICv2, by memory-mapped interfaces.
    V2 {
        /// GICD.
        distributor: PaRange,
        /// GICC, the physical CPU interface.
        cpu_interface: PaRange,
        /// GICH, the hypervisor's control of the virtual CPU interface.
        hypervisor_interface: PaRange,
        /// GICV, the virtual CPU interface that guests are given as theirs.
        virtual_cpu_interface: PaRange,
        /// INTID of the maintenance interrupt.
        maintenance: u32,
    },
    /// GICv3 and GICv4, by system registers.
    V3 {
        /// GICD.
        distributor: PaRange,
        /// GICR, one or more regions of redistributors.
        redistributors: Vec<PaRange>,
        /// The distance of redistributors in bytes where it isn't what GICR_TYPER implies.
        redistributor_stride: Option<u64>,
        /// INTID of the maintenance interrupt.
        maintenance: u32,
    },
}

/// Returns the GIC and its node.
pub(super) fn find<'t, 'a>(tree: &'t Tree<'a>) -> Result<(Gic, Node<'t, 'a>), Refusal> {
    if let Some(node) = tree.compatible(&V3) {
        return Ok((read_v3(node)?, node));
    }
    match tree.compatible(&V2) {
        Some(node) => Ok((read_v2(node)?, node)),
        None => Err(refuse!(
            "device tree: no usable GIC: nothing is compatible with {} or {}",
            V3.join(", "),
            V2.join(", ")
        )),
    }
}

fn read_v2(node: Node<'_, '_>) -> Result<Gic, Refusal> {
    match node.reg()?.as_slice() {
        &[
            distributor,
            cpu_interface,
            hypervisor_interface,
            virtual_cpu_interface,
            ..,
        ] => Ok(Gic::V2 {
            distributor,
            cpu_interface,
            hypervisor_interface,
            virtual_cpu_interface,
            maintenance: maintenance(node)?,
        }),
        some => Err(refuse!(
            "device tree: {}: reg has {} of 4 regions; without GICH and GICV it can't serve guests",
            node.path(),
            some.len()
        )),
    }
}

fn read_v3(node: Node<'_, '_>) -> Result<Gic, Refusal> {
    let regions = node.u32("#redistributor-regions").unwrap_or(1) as usize;
    let reg = node.reg()?;
    match reg.split_first() {
        // GICC, GICH and GICV may follow: for GICv2 guests, which we have none of.
        Some((&distributor, rest)) if regions > 0 && rest.len() >= regions => Ok(Gic::V3 {
            distributor,
            redistributors: rest.iter().take(regions).copied().collect(),
            redistributor_stride: node
                .number("redistributor-stride")
                .filter(|&stride| stride != 0),
            maintenance: maintenance(node)?,
        }),
        _ => Err(refuse!(
            "device tree: {}: reg has {} regions, a distributor and {regions} of redistributors are needed",
            node.path(),
            reg.len()
        )),
    }
}

fn maintenance(node: Node<'_, '_>) -> Result<u32, Refusal> {
    node.interrupts(node)?
        .first()
        .copied()
        .ok_or_else(|| refuse!("device tree: {} has no maintenance interrupt", node.path()))
}
