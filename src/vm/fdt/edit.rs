//! A device tree that can be changed: read from its flat form, and written back to it.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use fdt::Fdt;
use fdt::node::FdtNode;

use super::Writer;
use crate::board::fdt::CheckedTree;
use crate::error::Refusal;
use crate::refuse;

/// A node with everything in and below it, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Node<'a> {
    pub(super) name: Cow<'a, str>,
    properties: Vec<(Cow<'a, str>, Cow<'a, [u8]>)>,
    pub(super) children: Vec<Node<'a>>,
}

/// Reads a checked tree; it nests no deeper than [`crate::board::fdt::MAX_DEPTH`].
pub(super) fn read<'a>(tree: &'a CheckedTree<'_>) -> Result<Node<'a>, Refusal> {
    let fdt = Fdt::new(tree.bytes()).map_err(|error| refuse!("device tree: {error}"))?;
    let root = fdt.all_nodes().next();
    let root = root.map(Node::gather);
    let mut root = root.ok_or_else(|| refuse!("device tree: no root node"))?;
    root.name = "".into();
    Ok(root)
}

/// Returns the memory reservations of a checked tree: pairs of start and size in bytes.
pub(super) fn reservations(tree: &CheckedTree<'_>) -> Vec<(u64, u64)> {
    let Ok(fdt) = Fdt::new(tree.bytes()) else {
        return Vec::new();
    };
    fdt.memory_reservations()
        .map(|entry| (entry.address() as usize as u64, entry.size() as u64))
        .collect()
}

impl<'a> Node<'a> {
    /// Makes a node without anything in it.
    pub(super) fn new(name: impl Into<Cow<'a, str>>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    fn gather(node: FdtNode<'_, 'a>) -> Self {
        Self {
            name: node.name.into(),
            properties: node
                .properties()
                .map(|property| (property.name.into(), property.value.into()))
                .collect(),
            children: node.children().map(Self::gather).collect(),
        }
    }

    /// Writes the node and all below it.
    pub(super) fn write(&self, tree: &mut Writer) {
        tree.begin_node(&self.name);
        for (name, value) in &self.properties {
            tree.bytes(name, value);
        }
        self.children.iter().for_each(|child| child.write(tree));
        tree.end_node();
    }

    /// Returns the name without its unit address.
    pub(super) fn base_name(&self) -> &str {
        self.name.split('@').next().unwrap_or_default()
    }

    /// Returns the value of a property.
    pub(super) fn property(&self, name: &str) -> Option<&[u8]> {
        let found = self.properties.iter().find(|(known, _)| known == name)?;
        Some(&found.1)
    }

    /// Returns a property that is one word.
    pub(super) fn u32(&self, name: &str) -> Option<u32> {
        let word = self.property(name)?.try_into().ok()?;
        Some(u32::from_be_bytes(word))
    }

    /// Returns whether a property that is a list of strings has one that `wanted` likes.
    pub(super) fn has_string(&self, name: &str, wanted: impl Fn(&str) -> bool) -> bool {
        self.property(name)
            .unwrap_or_default()
            .split(|&byte| byte == 0)
            .filter_map(|string| core::str::from_utf8(string).ok())
            .any(wanted)
    }

    /// Returns whether the node's `compatible` list has one of `names`.
    pub(super) fn is_compatible(&self, names: &[&str]) -> bool {
        self.has_string("compatible", |name| names.contains(&name))
    }

    /// Gives a property a value, in its place if there is one.
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<Cow<'a, [u8]>>) {
        let value = value.into();
        match self.properties.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.properties.push((name.into(), value)),
        }
    }

    /// Gives a property a value of 32-bit words.
    pub(super) fn set_cells(&mut self, name: &'static str, words: &[u32]) {
        let value: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        self.set(name, value);
    }

    /// Gives a property a value of strings.
    pub(super) fn set_strings(&mut self, name: &'static str, strings: &[&str]) {
        let ended = |string: &&str| [string.as_bytes(), &[0]].concat();
        let value: Vec<u8> = strings.iter().flat_map(ended).collect();
        self.set(name, value);
    }

    /// Removes properties, if they are there.
    pub(super) fn remove(&mut self, names: &[&str]) {
        self.properties
            .retain(|(name, _)| !names.contains(&name.as_ref()));
    }

    /// Returns the child of that name, without a unit address; makes it if need be.
    pub(super) fn child(&mut self, name: &'static str) -> &mut Self {
        let known = |child: &Self| child.base_name() == name;
        let index = self.children.iter().position(known).unwrap_or_else(|| {
            self.children.push(Self::new(name));
            self.children.len() - 1
        });
        &mut self.children[index]
    }

    /// Returns the first node below this one that `wanted` likes.
    pub(super) fn find(&mut self, wanted: &dyn Fn(&Self) -> bool) -> Option<&mut Self> {
        for child in &mut self.children {
            if wanted(child) {
                return Some(child);
            }
            if let Some(found) = child.find(wanted) {
                return Some(found);
            }
        }
        None
    }

    /// Takes the first node below this one that `wanted` likes out of the tree. Tells its
    /// place among the children, if it is one.
    pub(super) fn take(&mut self, wanted: &dyn Fn(&Self) -> bool) -> Option<(Self, Option<usize>)> {
        for index in 0..self.children.len() {
            if wanted(&self.children[index]) {
                return Some((self.children.remove(index), Some(index)));
            }
            if let Some((found, _)) = self.children[index].take(wanted) {
                return Some((found, None));
            }
        }
        None
    }

    /// Returns the path of the first node below this one that `wanted`, given its parent as
    /// well, likes.
    pub(super) fn path_of(&self, wanted: &dyn Fn(&Self, &Self) -> bool) -> Option<String> {
        self.children.iter().find_map(|child| {
            let below = if wanted(self, child) {
                String::new()
            } else {
                child.path_of(wanted)?
            };
            Some(alloc::format!("/{}{below}", child.name))
        })
    }

    /// Returns how many words an address and a size take in this node's children
    /// (Devicetree Specification v0.4, 2.3.5).
    pub(super) fn cells(&self) -> (u32, u32) {
        let or = |name, default| self.u32(name).unwrap_or(default);
        (or("#address-cells", 2), or("#size-cells", 1))
    }

    /// Returns pairs of address and size as a child's `reg`.
    ///
    /// # Errors
    ///
    /// Refuses numbers that the node's cells have no room for.
    pub(super) fn reg(&self, pairs: &[(u64, u64)]) -> Result<Vec<u8>, Refusal> {
        let (address_cells, size_cells) = self.cells();
        let mut reg = Vec::new();
        for &(address, size) in pairs {
            number(&mut reg, address, address_cells)?;
            number(&mut reg, size, size_cells)?;
        }
        Ok(reg)
    }

    /// Returns the highest phandle below and in this node.
    pub(super) fn highest_phandle(&self) -> u32 {
        let own = self.u32("phandle").or(self.u32("linux,phandle"));
        let below = self.children.iter().map(Self::highest_phandle).max();
        own.unwrap_or(0).max(below.unwrap_or(0))
    }
}

/// Appends a number of so many words.
fn number(to: &mut Vec<u8>, number: u64, words: u32) -> Result<(), Refusal> {
    match (words, u32::try_from(number)) {
        (2, _) => to.extend(number.to_be_bytes()),
        (1, Ok(word)) => to.extend(word.to_be_bytes()),
        _ => {
            return Err(refuse!(
                "device tree: {number:#x} does not fit the {words} cells it has in the root"
            ));
        }
    }
    Ok(())
}
