//! IORT: SMMUs, and how devices of PCI reach them and the ITSs (Arm DEN 0049).

use alloc::vec;
use alloc::vec::Vec;

use super::bytes::Bytes;
use crate::machine::{Mapping, Place, Remapping, RootComplex, Smmu, Target};

const ITS_GROUP: u8 = 0;
const ROOT_COMPLEX: u8 = 2;
const SMMU_V3: u8 = 4;

const MAPPING: usize = 20;
/// How many nodes, and mappings of one, are looked at.
const MOST: u32 = 4096;

/// The register pages of an SMMUv3, in bytes.
const SMMU_SIZE: u64 = 0x2_0000;

/// A node: its place in the table, what it is, and all of it.
#[derive(Clone, Copy)]
struct Node<'t> {
    offset: u32,
    kind: u8,
    bytes: &'t [u8],
}

/// Returns what the table tells; what makes no sense in it is left out.
pub(super) fn read(table: &[u8]) -> Remapping {
    let nodes = nodes(table);
    let target = |reference| {
        let node = nodes.iter().find(|node| node.offset == reference)?;
        match node.kind {
            // One ITS is used of a group: the first.
            ITS_GROUP => node.bytes.u32_at(20).map(Target::Its),
            SMMU_V3 => Some(Target::Smmu(node.offset)),
            _ => None,
        }
    };
    let mut remapping = Remapping::default();
    for node in &nodes {
        let mappings = || mappings(node.bytes, &target);
        match node.kind {
            SMMU_V3 => remapping.smmus.extend(smmu(node, mappings())),
            ROOT_COMPLEX => {
                if let Some(segment) = node.bytes.u32_at(28) {
                    let mappings = mappings();
                    remapping.roots.push(RootComplex { segment, mappings });
                }
            }
            _ => {}
        }
    }
    remapping
}

fn nodes(table: &[u8]) -> Vec<Node<'_>> {
    let mut nodes = vec![];
    let mut offset = table.u32_at(40).unwrap_or(0);
    for _ in 0..table.u32_at(36).unwrap_or(0).min(MOST) {
        let Some(rest) = table.get(offset as usize..) else {
            break;
        };
        let length = rest.u16_at(1).unwrap_or(0);
        let (Some(kind), Some(bytes)) = (rest.u8_at(0), rest.get(..length.into())) else {
            break;
        };
        if length < 16 {
            break;
        }
        nodes.push(Node {
            offset,
            kind,
            bytes,
        });
        offset = offset.saturating_add(length.into());
    }
    nodes
}

fn smmu(node: &Node<'_>, mappings: Vec<Mapping>) -> Option<Smmu> {
    const COHERENT: u32 = 1;
    let interrupt = |at| node.bytes.u32_at(at).filter(|n| (32..1020).contains(n));
    Some(Smmu {
        id: node.offset,
        registers: Place::new(node.bytes.u64_at(16)?, SMMU_SIZE)?,
        coherent: node.bytes.u32_at(24)? & COHERENT != 0,
        event: interrupt(44),
        error: interrupt(52),
        mappings,
    })
}

/// Reads a node's mappings of device numbers.
fn mappings(node: &[u8], target: &dyn Fn(u32) -> Option<Target>) -> Vec<Mapping> {
    const SINGLE: u32 = 1;
    let count = node.u32_at(8).unwrap_or(0).min(MOST) as usize;
    let list = node.get(node.u32_at(12).unwrap_or(0) as usize..);
    let list = list.unwrap_or_default().chunks_exact(MAPPING).take(count);
    list.filter_map(|entry| {
        let single = entry.u32_at(16)? & SINGLE != 0;
        let size = if single {
            1
        } else {
            entry.u32_at(4)?.checked_add(1)?
        };
        Some(Mapping {
            from: if single { 0 } else { entry.u32_at(0)? },
            size,
            to: entry.u32_at(8)?,
            target: target(entry.u32_at(12)?)?,
        })
    })
    .collect()
}
