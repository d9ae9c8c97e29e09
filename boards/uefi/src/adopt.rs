//! The device tree that firmware gives, with what UEFI knows better: memory, and `/chosen`.

use alloc::format;
use alloc::vec::Vec;

use crate::token::{Token, Tokens, be32, c_str};
use crate::tree::Handover;
use crate::writer::Writer;
use crate::{Refusal, refuse};

/// How many bytes tell how long a tree is.
pub const HEADER: usize = 8;

const MAGIC: u32 = 0xd00d_feed;
/// The largest tree that the boot protocol allows, in bytes.
const LARGEST: usize = 2 << 20;

/// What `/chosen` may hold that is the loader's to say, or speaks of boot services.
const OURS: [&[u8]; 5] = [
    b"bootargs",
    b"linux,initrd-start",
    b"linux,initrd-end",
    b"rng-seed",
    b"entresol,time-at-count-0",
];

/// Returns how long the tree is that begins with these bytes; `None` where none does.
pub fn size(header: &[u8]) -> Option<usize> {
    let size = be32(header, 4)? as usize;
    (be32(header, 0)? == MAGIC && size <= LARGEST).then_some(size)
}

/// Returns the tree with its nodes of memory and the loader's part of `/chosen` replaced.
///
/// # Errors
///
/// Refuses a tree that is no tree, or whose root has no 64-bit addresses.
pub fn adopt(blob: &[u8], handover: &Handover<'_>) -> Result<Vec<u8>, Refusal> {
    let bad = |what: &str| refuse!("the firmware's device tree {what}");
    let part = |at| {
        let start = be32(blob, at)? as usize;
        blob.get(start..)
    };
    let (Some(structure), Some(strings)) = (part(8), part(12)) else {
        return Err(bad("is cut short"));
    };
    let mut tokens = Tokens::new(structure);
    let mut copy = Copy::default();
    loop {
        let at = tokens.position();
        let token = tokens.next();
        match token.ok_or_else(|| bad(&format!("has a broken token at {at:#x}")))? {
            Token::BeginNode(name) => copy.begin(name),
            Token::EndNode => copy.end(handover),
            Token::Property { name, value } => {
                let name = c_str(strings, name).ok_or_else(|| bad("has a nameless property"))?;
                copy.property(name, value);
            }
            Token::Nop => (),
            Token::End => break,
        }
    }
    if copy.depth != 0 || !copy.complete {
        return Err(bad("ends within a node"));
    }
    if copy.wide_cells != 2 {
        return Err(bad("has no 64-bit addresses at its root"));
    }
    Ok(copy.tree.finish())
}

/// A copy being made.
#[derive(Default)]
struct Copy<'a> {
    tree: Writer,
    depth: usize,
    /// The root began and ended.
    complete: bool,
    /// How deep the node is that is left out with all in it.
    skipped: Option<usize>,
    in_chosen: bool,
    /// What of `/chosen` stays.
    chosen: Vec<(&'a str, &'a [u8])>,
    /// How many of the root's counts of cells are 2.
    wide_cells: u32,
}

impl<'a> Copy<'a> {
    fn begin(&mut self, name: &[u8]) {
        self.depth += 1;
        if self.skipped.is_some() {
            return;
        }
        let base = name.split(|&byte| byte == b'@').next();
        self.in_chosen = self.depth == 2 && base == Some(b"chosen");
        if self.depth == 2 && matches!(base, Some(b"memory" | b"chosen")) {
            self.skipped = Some(self.depth);
        } else {
            self.tree.begin_node(str::from_utf8(name).unwrap_or("?"));
        }
    }

    fn end(&mut self, handover: &Handover<'_>) {
        if self.depth == 1 {
            self.finish(handover);
        }
        if self.skipped.is_none() {
            self.tree.end_node();
        }
        if self.skipped == Some(self.depth) {
            self.skipped = None;
        }
        self.depth = self.depth.saturating_sub(1);
    }

    fn property(&mut self, name: &'a [u8], value: &'a [u8]) {
        let Ok(text) = str::from_utf8(name) else {
            return;
        };
        if self.depth == 1 && matches!(text, "#address-cells" | "#size-cells") {
            self.wide_cells += u32::from(value == [0, 0, 0, 2]);
        }
        if self.skipped.is_none() {
            self.tree.bytes(text, value);
        } else if self.in_chosen && self.depth == 2 && !OURS.contains(&name) {
            self.chosen.push((text, value));
        }
    }

    /// Writes what is the loader's, at the end of the root.
    fn finish(&mut self, handover: &Handover<'_>) {
        self.complete = true;
        self.tree.begin_node("chosen");
        for (name, value) in core::mem::take(&mut self.chosen) {
            self.tree.bytes(name, value);
        }
        handover.write_chosen(&mut self.tree);
        self.tree.end_node();
        handover.write_memory(&mut self.tree);
    }
}

#[cfg(test)]
mod tests;
