//! ACPI's tables (ACPI specification 6.5, chapter 5), each checked before it is read.

pub mod bytes;
mod fadt;
mod gtdt;
mod iort;
mod madt;
mod mcfg;
mod spcr;

#[cfg(test)]
pub(crate) mod tests;

use alloc::string::String;
use alloc::vec::Vec;

use crate::machine::Machine;
use crate::{Refusal, refuse};
use bytes::Bytes;

/// Memory that tables are read from, by physical address.
pub trait Memory {
    /// Returns `length` bytes at `address`, or `None` where they are not all memory.
    fn read(&self, address: u64, length: usize) -> Option<&[u8]>;
}

/// The size of the header that all tables have, in bytes.
const HEADER: usize = 36;
/// No table that is read here comes near this size, in bytes.
const LARGEST_TABLE: usize = 16 << 20;
/// How many tables are looked at.
const MOST_TABLES: usize = 1024;

/// A table whose length and checksum are right.
#[derive(Clone, Copy, Debug)]
pub struct Table<'m> {
    /// What it is, such as `b"APIC"`.
    pub signature: [u8; 4],
    /// All of it, header included.
    pub bytes: &'m [u8],
}

/// All tables of a machine.
#[derive(Debug)]
pub struct Tables<'m> {
    tables: Vec<Table<'m>>,
    /// Who made the machine, as the root table says.
    pub maker: String,
    /// What could not be read, each a line for a person.
    pub notes: Vec<String>,
}

impl<'m> Tables<'m> {
    /// Finds the tables, from the root pointer at `rsdp` on.
    ///
    /// A table that is broken is left out with a note; whoever needs it says that it is missing.
    ///
    /// # Errors
    ///
    /// Refuses a broken root pointer or root table.
    pub fn find(memory: &'m impl Memory, rsdp: u64) -> Result<Self, Refusal> {
        let (root, entry_size) = root(memory, rsdp)?;
        let entries = root.bytes.get(HEADER..).unwrap_or_default();
        let mut tables = Self {
            tables: Vec::new(),
            maker: maker(root.bytes),
            notes: Vec::new(),
        };
        for entry in entries.chunks_exact(entry_size).take(MOST_TABLES) {
            let address = if entry_size == 8 {
                entry.u64_at(0)
            } else {
                entry.u32_at(0).map(u64::from)
            };
            match table(memory, address.unwrap_or(0)) {
                Ok(table) => tables.tables.push(table),
                Err(refusal) => tables.notes.push(refusal.0),
            }
        }
        Ok(tables)
    }

    /// Returns the first table of this kind.
    pub fn get(&self, signature: &[u8; 4]) -> Option<&'m [u8]> {
        let found = self.tables.iter().find(|t| t.signature == *signature)?;
        Some(found.bytes)
    }

    /// Returns a table that there is no doing without.
    fn need(&self, signature: &[u8; 4], what: &str) -> Result<&'m [u8], Refusal> {
        self.get(signature).ok_or_else(|| {
            refuse!(
                "ACPI: no usable {} table, which tells of {what}",
                name(signature)
            )
        })
    }

    /// Reads what the hypervisor has to know of the machine.
    ///
    /// # Errors
    ///
    /// Refuses a machine without a CPU, a GIC that can serve guests, or timers.
    pub fn machine(&self) -> Result<Machine, Refusal> {
        let mut notes = self.notes.clone();
        let psci = fadt::psci(self.need(b"FACP", "the firmware's power interface")?);
        let madt = madt::read(self.need(b"APIC", "CPUs and the interrupt controller")?)?;
        let timer = gtdt::read(self.need(b"GTDT", "timers")?)?;
        let mut optional = |found: Result<Option<_>, Refusal>| match found {
            Ok(found) => found,
            Err(refusal) => {
                notes.push(refusal.0);
                None
            }
        };
        let console = optional(self.get(b"SPCR").map_or(Ok(None), spcr::console));
        let debug = || self.get(b"DBG2").map_or(Ok(None), spcr::debug_port);
        let uart = match console {
            Some(uart) => Some(uart),
            None => optional(debug()),
        };
        let segments = self.get(b"MCFG").map(mcfg::read).unwrap_or_default();
        let remapping = self.get(b"IORT").map(iort::read).unwrap_or_default();
        Ok(Machine {
            model: self.maker.clone(),
            cpus: madt.cpus,
            psci,
            gic: madt.gic,
            timer,
            uart,
            segments,
            remapping,
            notes,
        })
    }
}

/// Returns the root table and the size of its entries in bytes (5.2.5.3, 5.2.7, 5.2.8).
fn root<'m>(memory: &'m impl Memory, rsdp: u64) -> Result<(Table<'m>, usize), Refusal> {
    const FIRST_PART: usize = 20;
    const WHOLE: usize = 36;
    let bad = |what: &str| refuse!("ACPI: the root pointer at {rsdp:#x} {what}");
    let first = memory
        .read(rsdp, FIRST_PART)
        .filter(|bytes| bytes.starts_with(b"RSD PTR "))
        .ok_or_else(|| bad("isn't there"))?;
    if sum(first) != 0 {
        return Err(bad("has a wrong checksum"));
    }
    let revision = first.u8_at(15).unwrap_or(0);
    if revision >= 2 {
        let length = memory.read(rsdp, WHOLE).and_then(|all| all.u32_at(20));
        let whole = length
            .map(|length| length as usize)
            .filter(|length| (WHOLE..=HEADER + 64).contains(length))
            .and_then(|length| memory.read(rsdp, length))
            .ok_or_else(|| bad("is cut short"))?;
        if sum(whole) != 0 {
            return Err(bad("has a wrong extended checksum"));
        }
        if let Some(xsdt) = whole.u64_at(24).filter(|&address| address != 0) {
            return Ok((expect(table(memory, xsdt)?, b"XSDT")?, 8));
        }
    }
    let rsdt = first.u32_at(16).unwrap_or(0);
    Ok((expect(table(memory, rsdt.into())?, b"RSDT")?, 4))
}

fn expect<'m>(table: Table<'m>, signature: &[u8; 4]) -> Result<Table<'m>, Refusal> {
    if table.signature == *signature {
        return Ok(table);
    }
    Err(refuse!(
        "ACPI: the root pointer leads to {}, not to {}",
        name(&table.signature),
        name(signature)
    ))
}

/// Returns the table at `address`.
fn table<'m>(memory: &'m impl Memory, address: u64) -> Result<Table<'m>, Refusal> {
    let header = memory
        .read(address, HEADER)
        .ok_or_else(|| refuse!("ACPI: no memory for a table at {address:#x}"))?;
    let signature = *header.first_chunk().unwrap_or(b"????");
    let bad = |what: &str| refuse!("ACPI: {} at {address:#x} {what}", name(&signature));
    let length = header.u32_at(4).unwrap_or(0) as usize;
    if !(HEADER..=LARGEST_TABLE).contains(&length) {
        return Err(bad("has a length that is not sane"));
    }
    let bytes = memory
        .read(address, length)
        .ok_or_else(|| bad("reaches beyond memory"))?;
    if sum(bytes) != 0 {
        return Err(bad("has a wrong checksum"));
    }
    Ok(Table { signature, bytes })
}

/// Returns the sum of all bytes, which is 0 where a checksum among them is right.
fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, &byte| sum.wrapping_add(byte))
}

/// Returns what a signature spells, for messages.
fn name(signature: &[u8; 4]) -> String {
    signature.escape_ascii().map(char::from).collect()
}

/// Returns the maker's name and the machine's (OEMID, OEM Table ID), as the header has them.
fn maker(table: &[u8]) -> String {
    let text = |from, to| {
        let field = table.get(from..to).unwrap_or_default();
        let printable = field.iter().filter(|byte| byte.is_ascii_graphic());
        printable.map(|&byte| char::from(byte)).collect::<String>()
    };
    let words = [text(10, 16), text(16, 24)];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    alloc::format!("{} (ACPI)", words.join(" ").trim())
}

/// Yields a table's list of structures, which begin with a type and a length of a byte each; ends
/// at the first that is cut short or has no length.
fn structures(list: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = list;
    core::iter::from_fn(move || {
        let kind = rest.u8_at(0)?;
        let length = usize::from(rest.u8_at(1)?).max(2);
        let (structure, after) = rest.split_at_checked(length)?;
        rest = after;
        Some((kind, structure))
    })
}
