//! A last look at a device tree that failed its check, for somewhere to say so.

use super::token::{Token, Tokens, be32, c_str};
use super::{Header, MAGIC, MAX_DEPTH};
use crate::addr::{Pa, PaRange};
use crate::board::uart::{Uart, UartKind};

/// The registers of a PL011 (Arm DDI 0183): one page.
const PL011_SIZE: u64 = 0x1000;

/// Finds the first PL011 in a tree that may be cut short or broken.
///
/// Reads tokens up to the first that makes no sense and believes what came before. Where
/// the strings block is lost, so that properties have no names, the node's unit address
/// stands in for `reg`; only below the root, where it is a physical address.
pub fn find_uart_leniently(blob: &[u8]) -> Option<Uart> {
    if be32(blob, 0)? != MAGIC {
        return None;
    }
    let structure = blob.get((be32(blob, 8)? as usize).max(Header::SIZE)..)?;
    let strings = blob.get(be32(blob, 12)? as usize..).unwrap_or_default();
    let mut tokens = Tokens::new(structure);
    let mut path = Path::default();
    loop {
        match tokens.next() {
            Some(Token::Property { name, value }) => {
                if let Some(node) = path.current() {
                    node.note(c_str(strings, name).unwrap_or_default(), value);
                }
            }
            Some(Token::Nop) => (),
            // The properties of the current node are over: judge it.
            other => {
                if let Some(base) = path.pl011() {
                    return Some(Uart {
                        kind: UartKind::Pl011,
                        registers: PaRange::new(base, PL011_SIZE)?,
                        shift: 2,
                        width: 4,
                        interrupt: None,
                        enables: None,
                    });
                }
                match other? {
                    Token::BeginNode(name) => path.begin(name)?,
                    _ => path.end()?,
                }
            }
        }
    }
}

/// What is known of a node whose properties are being read.
#[derive(Clone, Copy)]
struct Seen<'a> {
    name: &'a [u8],
    is_pl011: bool,
    /// The node can't be used by us.
    is_off: bool,
    reg: Option<&'a [u8]>,
    ranges: Option<&'a [u8]>,
    address_cells: usize,
    size_cells: usize,
}

impl<'a> Seen<'a> {
    const NOTHING: Self = Self {
        name: &[],
        is_pl011: false,
        is_off: false,
        reg: None,
        ranges: None,
        address_cells: 2,
        size_cells: 1,
    };

    fn note(&mut self, name: &[u8], value: &'a [u8]) {
        let cells = be32(value, 0).unwrap_or(0) as usize;
        match name {
            b"reg" => self.reg = Some(value),
            b"ranges" => self.ranges = Some(value),
            b"#address-cells" => self.address_cells = cells,
            b"#size-cells" => self.size_cells = cells,
            b"status" => self.is_off = !value.starts_with(b"ok"),
            // By value, not by name: the name may be what is lost.
            _ => self.is_pl011 |= value.split(|&byte| byte == 0).any(|s| s == b"arm,pl011"),
        }
    }

    /// Returns the number after the `@` of the node's name.
    fn unit_address(&self) -> Option<u64> {
        let name = core::str::from_utf8(self.name).ok()?;
        u64::from_str_radix(name.split_once('@')?.1, 16).ok()
    }

    /// Translates an address behind this bus to one in front of it.
    fn translate(&self, address: u64, parent: &Seen<'_>) -> Option<u64> {
        let (own, parents) = (self.address_cells, parent.address_cells);
        let ranges = self.ranges?;
        if ranges.is_empty() {
            return Some(address);
        }
        let mut words = Words(ranges);
        loop {
            let (from, to) = (words.take(own)?, words.take(parents)?);
            let size = words.take(self.size_cells)?;
            match address.checked_sub(from) {
                Some(offset) if offset < size => return to.checked_add(offset),
                _ => (),
            }
        }
    }
}

/// The nodes from the root to the current one.
struct Path<'a> {
    nodes: [Seen<'a>; MAX_DEPTH],
    depth: usize,
}

impl Default for Path<'_> {
    fn default() -> Self {
        Self {
            nodes: [Seen::NOTHING; MAX_DEPTH],
            depth: 0,
        }
    }
}

impl<'a> Path<'a> {
    fn begin(&mut self, name: &'a [u8]) -> Option<()> {
        let node = self.nodes.get_mut(self.depth)?;
        *node = Seen {
            name,
            ..Seen::NOTHING
        };
        self.depth += 1;
        Some(())
    }

    fn end(&mut self) -> Option<()> {
        self.depth = self.depth.checked_sub(1)?;
        // Judged already; what follows its children must not judge it again.
        if let Some(node) = self.current() {
            node.is_pl011 = false;
        }
        Some(())
    }

    fn current(&mut self) -> Option<&mut Seen<'a>> {
        self.nodes.get_mut(self.depth.checked_sub(1)?)
    }

    /// Returns the physical address of the current node if it is a usable PL011.
    fn pl011(&self) -> Option<Pa> {
        let (node, buses) = self.nodes.get(..self.depth)?.split_last()?;
        if !node.is_pl011 || node.is_off {
            return None;
        }
        let parent = buses.last()?;
        let mut address = match node.reg {
            Some(reg) => Words(reg).take(parent.address_cells)?,
            None if buses.len() == 1 => node.unit_address()?,
            None => return None,
        };
        for pair in buses.windows(2).rev() {
            let [parent, bus] = pair else { return None };
            address = bus.translate(address, parent)?;
        }
        Some(Pa::new(address))
    }
}

/// A run of big-endian words taken from the front.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    /// Takes a number of `cells` words, at most two.
    fn take(&mut self, cells: usize) -> Option<u64> {
        let mut number = 0;
        for _ in 0..(cells <= 2).then_some(cells)? {
            number = number << 32 | u64::from(be32(self.0, 0)?);
            self.0 = self.0.get(4..)?;
        }
        Some(number)
    }
}
