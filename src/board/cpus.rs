//! The CPUs and how each is started.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::tree::{Node, Tree};
use crate::addr::{Pa, PaRange};
use crate::error::Refusal;
use crate::refuse;

/// The bits of MPIDR_EL1 that are affinity fields: what `reg` of a CPU may hold.
const AFFINITY: u64 = 0xff_00ff_ffff;

/// One CPU.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cpu {
    /// The affinity fields of its MPIDR_EL1.
    pub mpidr: u64,
    /// How it is started.
    pub start: Start,
    /// Whether the tree lets it be used; false also for one that is broken.
    pub is_usable: bool,
    /// The first name in `compatible`, such as "arm,cortex-a72".
    pub core: String,
}

/// How a CPU that waits is started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// By a call to the firmware.
    Psci,
    /// By a write of the address to start at to this place, aligned for it, and SEV.
    SpinTable(Pa),
    /// The tree does not say: good for the CPU we boot on only.
    Unknown,
}

/// Returns the CPUs of the tree.
pub(super) fn find(tree: &Tree<'_>) -> Result<Vec<Cpu>, Refusal> {
    let parent = tree
        .root()
        .child("cpus")
        .ok_or_else(|| refuse!("device tree: no /cpus"))?;
    let mut cpus: Vec<Cpu> = Vec::with_capacity(parent.children().count());
    for node in parent.children() {
        if node.base_name() != "cpu" {
            continue;
        }
        let cpu = read(node)?;
        if cpus.iter().any(|other| other.mpidr == cpu.mpidr) {
            return Err(refuse!(
                "device tree: {}: a second CPU {:#x}",
                node.path(),
                cpu.mpidr
            ));
        }
        cpus.push(cpu);
    }
    if !cpus.iter().any(|cpu| cpu.is_usable) {
        return Err(refuse!("device tree: /cpus has no usable CPU"));
    }
    Ok(cpus)
}

/// Returns the memory that spin tables are in: CPUs that wait read it for good.
pub(super) fn spin_tables(cpus: &[Cpu]) -> Vec<PaRange> {
    let place = |cpu: &Cpu| match cpu.start {
        Start::SpinTable(place) => PaRange::new(place, 8),
        Start::Psci | Start::Unknown => None,
    };
    cpus.iter().filter_map(place).collect()
}

fn read(node: Node<'_, '_>) -> Result<Cpu, Refusal> {
    let mpidr = match node.raw_reg()?.as_slice() {
        [(affinity, _)] if affinity & !AFFINITY == 0 => *affinity,
        _ => return Err(refuse!("device tree: {}: reg is no MPIDR", node.path())),
    };
    Ok(Cpu {
        mpidr,
        start: start(node)?,
        is_usable: node.is_okay(),
        core: node.text("compatible").unwrap_or_default().to_string(),
    })
}

fn start(node: Node<'_, '_>) -> Result<Start, Refusal> {
    match node.text("enable-method") {
        Some("psci") => Ok(Start::Psci),
        Some("spin-table") => match node.number("cpu-release-addr") {
            Some(address) if address % 8 != 0 => Err(refuse!(
                "device tree: {}: cpu-release-addr {address:#x} is no place for an address",
                node.path()
            )),
            Some(address) => Ok(Start::SpinTable(Pa::new(address))),
            None => Err(refuse!(
                "device tree: {} starts by spin-table but has no cpu-release-addr",
                node.path()
            )),
        },
        _ => Ok(Start::Unknown),
    }
}
