//! What the loader left in `/chosen`.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::tree::{Node, Tree};
use crate::addr::{Pa, PaRange};
use crate::error::Refusal;
use crate::refuse;

/// The loader's words to us.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Chosen {
    /// Our own arguments.
    pub bootargs: String,
    /// The bundle, in the place of Linux's initial ramdisk.
    pub initrd: Option<PaRange>,
    /// Random bytes from the firmware; empty if it gave none.
    pub rng_seed: Vec<u8>,
    /// Whether there is a seed for address randomisation that isn't zero.
    pub has_kaslr_seed: bool,
    /// The time of day when the counter was 0, in seconds since 1970, if the loader read a clock.
    pub time_at_count_0: Option<u64>,
}

/// Reads `/chosen`, which may be missing.
pub(super) fn read(tree: &Tree<'_>) -> Result<Chosen, Refusal> {
    let Some(node) = tree.root().child("chosen") else {
        return Ok(Chosen::default());
    };
    Ok(Chosen {
        bootargs: node.text("bootargs").unwrap_or_default().to_string(),
        initrd: initrd(node)?,
        rng_seed: node.property("rng-seed").unwrap_or_default().to_vec(),
        has_kaslr_seed: node.number("kaslr-seed").is_some_and(|seed| seed != 0),
        time_at_count_0: node.number("entresol,time-at-count-0"),
    })
}

fn initrd(node: Node<'_, '_>) -> Result<Option<PaRange>, Refusal> {
    let names = ["linux,initrd-start", "linux,initrd-end"];
    if names.iter().all(|name| node.property(name).is_none()) {
        return Ok(None);
    }
    match names.map(|name| node.number(name)) {
        [Some(start), Some(end)] if start < end => {
            Ok(Some(PaRange::between(Pa::new(start), Pa::new(end))))
        }
        [start, end] => {
            let text = |number: Option<u64>| match number {
                Some(number) => alloc::format!("{number:#x}"),
                None => String::from("missing"),
            };
            Err(refuse!(
                "device tree: {}: the bundle's place makes no sense: start {}, end {}",
                node.path(),
                text(start),
                text(end)
            ))
        }
    }
}
