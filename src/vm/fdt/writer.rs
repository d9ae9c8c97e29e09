//! A writer of flattened device trees (Devicetree Specification v0.4, chapter 5).

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

const MAGIC: u32 = 0xd00d_feed;
const VERSION: u32 = 17;
const LAST_COMPATIBLE_VERSION: u32 = 16;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const END: u32 = 9;

const HEADER_SIZE: usize = 40;
/// How large the strings block is when sharing the tails of its strings no longer pays.
const SHARING_SIZE: usize = 4096;

/// A tree being written: nodes in order, each with its properties before its children.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    structure: Vec<u8>,
    strings: Vec<u8>,
    names: BTreeMap<String, u32>,
    reservations: Vec<u8>,
}

impl Writer {
    /// Begins a tree; its first node is the root, named "".
    pub fn new() -> Self {
        Self::default()
    }

    /// Reserves memory: `size` bytes from `start` up.
    pub fn reserve(&mut self, start: u64, size: u64) {
        self.reservations.extend(start.to_be_bytes());
        self.reservations.extend(size.to_be_bytes());
    }

    /// Begins a node below the current one.
    pub fn begin_node(&mut self, name: &str) {
        self.word(BEGIN_NODE);
        self.structure.extend(name.as_bytes());
        self.structure.push(0);
        self.pad();
    }

    /// Ends the current node.
    pub fn end_node(&mut self) {
        self.word(END_NODE);
    }

    /// Writes a property without a value.
    pub fn empty(&mut self, name: &str) {
        self.bytes(name, &[]);
    }

    /// Writes a property of 32-bit words.
    pub fn cells(&mut self, name: &str, words: &[u32]) {
        let value: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        self.bytes(name, &value);
    }

    /// Writes a property of one 64-bit number.
    pub fn number(&mut self, name: &str, number: u64) {
        self.numbers(name, &[number]);
    }

    /// Writes a property of 64-bit numbers.
    pub fn numbers(&mut self, name: &str, numbers: &[u64]) {
        let value: Vec<u8> = numbers
            .iter()
            .flat_map(|number| number.to_be_bytes())
            .collect();
        self.bytes(name, &value);
    }

    /// Writes a property of strings.
    pub fn strings(&mut self, name: &str, strings: &[&str]) {
        let mut value = vec![];
        for string in strings {
            value.extend(string.as_bytes());
            value.push(0);
        }
        self.bytes(name, &value);
    }

    /// Writes a property of bytes.
    pub fn bytes(&mut self, name: &str, value: &[u8]) {
        let name = self.name(name);
        self.word(PROPERTY);
        self.word(value.len() as u32);
        self.word(name);
        self.structure.extend(value);
        self.pad();
    }

    /// Ends the tree and returns its flat form.
    pub fn finish(mut self) -> Vec<u8> {
        self.word(END);
        // The last entry of the memory reservation block is a pair of zeroes.
        self.reserve(0, 0);
        let structure = HEADER_SIZE + self.reservations.len();
        let strings = structure + self.structure.len();
        let header = [
            MAGIC,
            (strings + self.strings.len()) as u32,
            structure as u32,
            strings as u32,
            HEADER_SIZE as u32,
            VERSION,
            LAST_COMPATIBLE_VERSION,
            0, // the CPU that boots: the first
            self.strings.len() as u32,
            self.structure.len() as u32,
        ];
        let mut tree: Vec<u8> = header.iter().flat_map(|word| word.to_be_bytes()).collect();
        tree.extend(self.reservations);
        tree.extend(self.structure);
        tree.extend(self.strings);
        tree
    }

    /// Returns where a property's name is in the strings block, each there once.
    fn name(&mut self, name: &str) -> u32 {
        if let Some(&at) = self.names.get(name) {
            return at;
        }
        let wanted = [name.as_bytes(), &[0]].concat();
        let shared = (self.strings.len() <= SHARING_SIZE)
            .then(|| find(&self.strings, &wanted))
            .flatten();
        let at = shared.unwrap_or(self.strings.len()) as u32;
        if shared.is_none() {
            self.strings.extend(wanted);
        }
        self.names.insert(name.into(), at);
        at
    }

    fn word(&mut self, word: u32) {
        self.structure.extend(word.to_be_bytes());
    }

    fn pad(&mut self) {
        self.structure
            .resize(self.structure.len().next_multiple_of(4), 0);
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_reads_back() {
        let mut tree = Writer::new();
        tree.begin_node("");
        tree.cells("a", &[1, 2]);
        tree.empty("bb");
        tree.begin_node("node@1");
        tree.strings("s", &["x", "yz"]);
        tree.number("a", 0x0123_4567_89ab_cdef);
        tree.bytes("b", &[9]);
        tree.end_node();
        tree.end_node();
        // "b" is the tail of "bb": one string serves both.
        assert_eq!(tree.strings, b"a\0bb\0s\0");

        let tree = tree.finish();
        let fdt = fdt::Fdt::new(&tree).unwrap();
        let nodes: Vec<_> = fdt.all_nodes().collect();
        let names: Vec<_> = nodes.iter().map(|node| node.name).collect();
        assert_eq!(names, ["/", "node@1"]);
        let properties = |at: usize| -> Vec<_> {
            let all = nodes[at].properties();
            all.map(|p| (p.name, p.value)).collect()
        };
        assert_eq!(
            properties(0),
            [("a", &b"\0\0\0\x01\0\0\0\x02"[..]), ("bb", &b""[..])]
        );
        assert_eq!(
            properties(1),
            [
                ("s", &b"x\0yz\0"[..]),
                ("a", b"\x01\x23\x45\x67\x89\xab\xcd\xef"),
                ("b", b"\x09")
            ]
        );
        assert_eq!(fdt.memory_reservations().count(), 0);
        assert_eq!(fdt.total_size(), tree.len());
    }
}
