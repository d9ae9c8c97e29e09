//! The host's device tree as an array of nodes, and how its properties are read.

mod address;
mod interrupt;

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use fdt::Fdt;
use fdt::node::{FdtNode, NodeProperty};

use super::fdt::CheckedTree;
use crate::addr::{Pa, PaRange};
use crate::error::Refusal;
use crate::refuse;

/// All nodes of a tree, parents before their children.
pub(super) struct Tree<'a> {
    nodes: Vec<Entry<'a>>,
    /// The properties of all nodes, those of one side by side: read once, since each is looked for
    /// many times.
    properties: Vec<NodeProperty<'a>>,
    reservations: Vec<PaRange>,
}

struct Entry<'a> {
    name: &'a str,
    parent: usize,
    properties: Range<usize>,
}

/// Finds the parts of a checked tree.
pub(super) fn parse<'a>(tree: &'a CheckedTree<'_>) -> Result<Fdt<'a>, Refusal> {
    Fdt::new(tree.bytes()).map_err(|error| refuse!("device tree: {error}"))
}

impl<'a> Tree<'a> {
    /// Reads a checked tree, [`parse`]d.
    ///
    /// Of the `fdt` package only the node and property iterators are used: its look-ups by
    /// path recurse without end on an alias of itself, its named accessors panic.
    pub(super) fn read(fdt: &'a Fdt<'a>) -> Result<Self, Refusal> {
        let mut tree = Self {
            nodes: Vec::new(),
            properties: Vec::new(),
            reservations: Vec::new(),
        };
        match fdt.all_nodes().next() {
            Some(root) => tree.gather(root, 0),
            None => return Err(refuse!("device tree: no root node")),
        }
        tree.reservations = fdt
            .memory_reservations()
            .map(|entry| (entry.address() as usize as u64, entry.size() as u64))
            .map(|(start, size)| (Pa::new(start), Pa::new(start.saturating_add(size))))
            .map(|(start, end)| PaRange::between(start, end))
            .collect();
        Ok(tree)
    }

    fn gather(&mut self, node: FdtNode<'_, 'a>, parent: usize) {
        let (index, first) = (self.nodes.len(), self.properties.len());
        self.properties.extend(node.properties());
        self.nodes.push(Entry {
            name: node.name,
            parent,
            properties: first..self.properties.len(),
        });
        for child in node.children() {
            self.gather(child, index);
        }
    }

    /// Returns the memory reservation block.
    pub(super) fn reservations(&self) -> &[PaRange] {
        &self.reservations
    }

    /// Returns the root.
    pub(super) fn root(&self) -> Node<'_, 'a> {
        Node {
            tree: self,
            index: 0,
        }
    }

    /// Returns all nodes in the order of the blob.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node<'_, 'a>> {
        (0..self.nodes.len()).map(|index| Node { tree: self, index })
    }

    /// Returns the first usable node compatible with one of `names`.
    pub(super) fn compatible(&self, names: &[&str]) -> Option<Node<'_, 'a>> {
        self.nodes()
            .find(|node| node.is_okay() && node.is_compatible(names))
    }

    /// Returns the node at an absolute path, whose components may lack unit addresses.
    pub(super) fn at_path(&self, path: &str) -> Option<Node<'_, 'a>> {
        let components = path.strip_prefix('/')?.split('/');
        components
            .filter(|component| !component.is_empty())
            .try_fold(self.root(), |node, component| node.child(component))
    }
}

/// A node in its tree.
#[derive(Clone, Copy)]
pub(super) struct Node<'t, 'a> {
    tree: &'t Tree<'a>,
    index: usize,
}

impl<'t, 'a> Node<'t, 'a> {
    fn entry(self) -> &'t Entry<'a> {
        // A `Node` is only made for an index below the length, and the array never shrinks.
        &self.tree.nodes[self.index]
    }

    /// Returns the name with its unit address.
    pub(super) fn name(self) -> &'a str {
        self.entry().name
    }

    /// Returns the name without its unit address.
    pub(super) fn base_name(self) -> &'a str {
        self.name().split('@').next().unwrap_or_default()
    }

    /// Returns the absolute path, for messages.
    pub(super) fn path(self) -> String {
        match self.parent() {
            None => String::from("/"),
            Some(parent) if parent.is_root() => alloc::format!("/{}", self.name()),
            Some(parent) => alloc::format!("{}/{}", parent.path(), self.name()),
        }
    }

    /// Returns whether this is the root.
    pub(super) fn is_root(self) -> bool {
        self.index == 0
    }

    /// Returns the parent; `None` for the root.
    pub(super) fn parent(self) -> Option<Self> {
        let tree = self.tree;
        (!self.is_root()).then(|| Self {
            tree,
            index: self.entry().parent,
        })
    }

    /// Returns the children in order.
    pub(super) fn children(self) -> impl Iterator<Item = Self> {
        self.tree
            .nodes()
            .filter(move |node| !node.is_root() && node.entry().parent == self.index)
    }

    /// Returns the first child of that name, with or without its unit address.
    pub(super) fn child(self, name: &str) -> Option<Self> {
        let exact = name.contains('@');
        self.children().find(|node| {
            if exact {
                node.name() == name
            } else {
                node.base_name() == name
            }
        })
    }

    /// Returns the value of a property.
    pub(super) fn property(self, name: &str) -> Option<&'a [u8]> {
        let found = self.properties().iter().find(|p| p.name == name)?;
        Some(found.value)
    }

    fn properties(self) -> &'t [NodeProperty<'a>] {
        // The range was made of the array's length, and the array never shrinks.
        &self.tree.properties[self.entry().properties.clone()]
    }

    /// Returns the names of all properties, in order.
    pub(super) fn property_names(self) -> impl Iterator<Item = &'a str> {
        self.properties().iter().map(|property| property.name)
    }

    /// Returns a property that is one word.
    pub(super) fn u32(self, name: &str) -> Option<u32> {
        let word = self.property(name)?.try_into().ok()?;
        Some(u32::from_be_bytes(word))
    }

    /// Returns a property that is one number of one or two words.
    pub(super) fn number(self, name: &str) -> Option<u64> {
        let value = self.property(name)?;
        matches!(value.len(), 4 | 8).then(|| number(value))
    }

    /// Returns a property that is a list of words; a rest that is no word is dropped.
    pub(super) fn words(self, name: &str) -> Option<Vec<u32>> {
        let (words, _) = self.property(name)?.as_chunks();
        Some(words.iter().map(|word| u32::from_be_bytes(*word)).collect())
    }

    /// Returns a property that is a list of strings; those that are not UTF-8 are left out.
    pub(super) fn strings(self, name: &str) -> impl Iterator<Item = &'a str> {
        self.property(name)
            .unwrap_or_default()
            .split(|&byte| byte == 0)
            .filter_map(|string| core::str::from_utf8(string).ok())
            .filter(|string| !string.is_empty())
    }

    /// Returns a property that is one string.
    pub(super) fn text(self, name: &str) -> Option<&'a str> {
        self.strings(name).next()
    }

    /// Returns whether the node's `compatible` list has one of `names`.
    pub(super) fn is_compatible(self, names: &[&str]) -> bool {
        self.strings("compatible").any(|name| names.contains(&name))
    }

    /// Returns whether the device and every bus above it may be used.
    ///
    /// That is: their `status` is absent, "okay" or "ok" (specification v0.4, 2.3.4).
    pub(super) fn is_okay(self) -> bool {
        let okay = matches!(self.text("status"), Some("okay" | "ok"));
        (okay || self.property("status").is_none()) && self.parent().is_none_or(Self::is_okay)
    }
}

/// Returns the big-endian number that the last eight bytes of `bytes` spell.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}
