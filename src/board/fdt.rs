//! The check every host device tree passes before anything reads it.
//!
//! The `fdt` package trusts its input: a wrong offset or an unbalanced node
//! panics inside it. So the blob is walked here once, with checked arithmetic,
//! against the flattened format of the Devicetree Specification v0.4, chapter 5,
//! and only a [`CheckedTree`] is handed on. Firmware is trusted to tell the truth,
//! not to be free of mistakes: a bad tree ends in a line for a person.

mod lenient;
mod token;

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::ops::Range;

use crate::error::Refusal;
use crate::refuse;

pub use lenient::find_uart_leniently;
use token::{Token, Tokens, be32, c_str};

/// The number every flattened device tree begins with.
const MAGIC: u32 = 0xd00d_feed;
/// The format's version since 2006; what it says is all that is relied on.
const VERSION: u32 = 17;
/// The largest tree the boot protocol allows: 2 MiB.
pub const MAX_SIZE: usize = 2 << 20;
/// How deep nodes may nest. The `fdt` package keeps 64 levels and recurses; real trees have 8.
pub const MAX_DEPTH: usize = 32;

/// A device tree that can be read without a panic.
#[derive(Clone, Debug)]
pub struct CheckedTree<'a> {
    blob: Cow<'a, [u8]>,
}

impl CheckedTree<'_> {
    /// Returns the flattened tree, cut to its own size.
    pub fn bytes(&self) -> &[u8] {
        &self.blob
    }
}

/// Returns the size in bytes that the tree's header claims.
///
/// For the caller that has an address only: eight readable bytes are enough to learn
/// how many to hand to [`check`].
///
/// # Errors
///
/// Refuses a wrong magic number and sizes the boot protocol does not allow.
pub fn total_size(start: &[u8]) -> Result<usize, Refusal> {
    match be32(start, 0) {
        Some(MAGIC) => (),
        Some(other) => {
            return Err(refuse!(
                "device tree: begins with {other:#010x}, not {MAGIC:#010x}"
            ));
        }
        None => return Err(refuse!("device tree: {} bytes only", start.len())),
    }
    let size = be32(start, 4).unwrap_or(0) as usize;
    if !(Header::SIZE..=MAX_SIZE).contains(&size) {
        return Err(refuse!("device tree: a size of {size} bytes is not sane"));
    }
    Ok(size)
}

/// Checks a flattened tree from its header to its last token.
///
/// Bytes past the size in the header are ignored. A tree with FDT_NOP tokens is
/// copied without them, since `fdt` loses its way at one between two properties.
///
/// # Errors
///
/// Refuses whatever departs from the format, saying what and where.
pub fn check(blob: &[u8]) -> Result<CheckedTree<'_>, Refusal> {
    let header = Header::read(blob)?;
    let blob = blob.get(..header.total_size).unwrap_or_default();
    header.check_reservations(blob)?;
    let nops = check_structure(
        blob.get(header.structure.clone()).unwrap_or_default(),
        blob.get(header.strings.clone()).unwrap_or_default(),
    )?;
    let blob = if nops {
        Cow::Owned(without_nops(header.used(blob), header.structure))
    } else {
        Cow::Borrowed(blob)
    };
    Ok(CheckedTree { blob })
}

/// Where the parts of a blob lie; every range is inside it.
struct Header {
    total_size: usize,
    reservations: usize,
    structure: Range<usize>,
    strings: Range<usize>,
}

impl Header {
    const SIZE: usize = 40;

    fn read(blob: &[u8]) -> Result<Self, Refusal> {
        let total_size = total_size(blob)?;
        if blob.len() < total_size {
            return Err(refuse!(
                "device tree: {} of {total_size} bytes are there",
                blob.len()
            ));
        }
        let word = |at| be32(blob, at).unwrap_or(0);
        let (version, compatible) = (word(20), word(24));
        if version < VERSION || compatible > VERSION {
            return Err(refuse!(
                "device tree: version {version}, readable as {compatible}; {VERSION} is needed"
            ));
        }
        let block = |name, start: u32, size: u32, align: usize| {
            let (start, size) = (start as usize, size as usize);
            let end = start.checked_add(size).filter(|&end| end <= total_size);
            match end {
                Some(end) if start >= Self::SIZE && start.is_multiple_of(align) => Ok(start..end),
                _ => Err(refuse!(
                    "device tree: its {name} block, {size} bytes at {start:#x}, is misplaced"
                )),
            }
        };
        Ok(Self {
            total_size,
            reservations: block("memory reservation", word(16), 16, 8)?.start,
            structure: block("structure", word(8), word(36), 4)?,
            strings: block("strings", word(12), word(32), 1)?,
        })
    }

    /// Cuts off the room that loaders leave at the end: a copy of it would be for nothing.
    fn used<'a>(&self, blob: &'a [u8]) -> &'a [u8] {
        let reservations = blob.get(self.reservations..).unwrap_or_default();
        let (entries, _) = reservations.as_chunks::<16>();
        let last = entries.iter().position(|entry| *entry == [0; 16]);
        let reservations_end = self.reservations + 16 * (last.unwrap_or(entries.len()) + 1);
        let end = reservations_end
            .max(self.structure.end)
            .max(self.strings.end);
        blob.get(..end).unwrap_or(blob)
    }

    /// Checks that the list of reserved memory ends, as it must, with a pair of zeros.
    fn check_reservations(&self, blob: &[u8]) -> Result<(), Refusal> {
        let (entries, _) = blob
            .get(self.reservations..)
            .unwrap_or_default()
            .as_chunks::<16>();
        if entries.contains(&[0; 16]) {
            Ok(())
        } else {
            Err(refuse!(
                "device tree: the memory reservation block does not end"
            ))
        }
    }
}

/// Walks the structure block; returns whether it holds FDT_NOP tokens.
fn check_structure(structure: &[u8], strings: &[u8]) -> Result<bool, Refusal> {
    let mut tokens = Tokens::new(structure);
    let mut shape = Shape::default();
    let mut nops = false;
    loop {
        let at = tokens.position();
        let bad = |what: &str| refuse!("device tree: {what} at {at:#x} of the structure block");
        let token = tokens.next().ok_or_else(|| bad("a broken token"))?;
        match token {
            Token::BeginNode(name) => shape.begin(name).map_err(bad)?,
            Token::EndNode => shape.end().map_err(bad)?,
            Token::Property { name, value } => {
                shape.property().map_err(bad)?;
                check_property(c_str(strings, name), value).map_err(bad)?;
            }
            Token::Nop => nops = true,
            Token::End => return shape.finish().map_err(bad).map(|()| nops),
        }
    }
}

/// Checks a property's name and, for the ones all address decoding leans on, its value.
fn check_property(name: Option<&[u8]>, value: &[u8]) -> Result<(), &'static str> {
    let name = name.ok_or("a property whose name is not in the strings block")?;
    let name = core::str::from_utf8(name).map_err(|_| "a property name that is not UTF-8")?;
    if !matches!(name, "#address-cells" | "#size-cells") {
        return Ok(());
    }
    match (value.len(), be32(value, 0)) {
        (4, Some(0..=4)) => Ok(()),
        _ => Err("a cell count that is not sane"),
    }
}

/// How nodes and properties may follow each other.
#[derive(Default)]
struct Shape {
    depth: usize,
    /// A child node has ended, so the current node's properties are over.
    properties_over: bool,
    root_seen: bool,
}

impl Shape {
    fn begin(&mut self, name: &[u8]) -> Result<(), &'static str> {
        core::str::from_utf8(name).map_err(|_| "a node name that is not UTF-8")?;
        match (self.depth, self.root_seen) {
            (0, true) => return Err("a second root node"),
            (0, false) if !name.is_empty() => return Err("a root node with a name"),
            (0, false) => self.root_seen = true,
            (MAX_DEPTH.., _) => return Err("a node too deep"),
            _ if name.is_empty() => return Err("a node without a name"),
            _ => (),
        }
        self.depth += 1;
        self.properties_over = false;
        Ok(())
    }

    fn end(&mut self) -> Result<(), &'static str> {
        self.depth = self
            .depth
            .checked_sub(1)
            .ok_or("an end of a node that never began")?;
        self.properties_over = true;
        Ok(())
    }

    fn property(&self) -> Result<(), &'static str> {
        if self.depth == 0 {
            Err("a property outside any node")
        } else if self.properties_over {
            Err("a property after a child node")
        } else {
            Ok(())
        }
    }

    fn finish(&self) -> Result<(), &'static str> {
        match (self.depth, self.root_seen) {
            (0, true) => Ok(()),
            (0, false) => Err("an end without a root node"),
            _ => Err("an end inside a node"),
        }
    }
}

/// Copies a checked tree with the FDT_NOP tokens of its structure block closed up.
fn without_nops(blob: &[u8], structure: Range<usize>) -> Vec<u8> {
    let mut copy = blob.to_vec();
    if let Some(total_size) = copy.get_mut(4..8) {
        total_size.copy_from_slice(&(blob.len() as u32).to_be_bytes());
    }
    let block = blob.get(structure.clone()).unwrap_or_default();
    let mut tokens = Tokens::new(block);
    let mut to = structure.start;
    loop {
        let from = tokens.position();
        let token = tokens.next();
        let bytes = block.get(from..tokens.position()).unwrap_or_default();
        if token == Some(Token::Nop) {
            continue;
        }
        if let Some(place) = copy.get_mut(to..to + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        to += bytes.len();
        if matches!(token, Some(Token::End) | None) {
            return copy;
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
