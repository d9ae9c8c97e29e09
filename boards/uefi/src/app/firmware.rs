//! What the firmware says of the machine.

#![expect(unsafe_code, reason = "firmware's tables are read by address")]

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::arch::asm;
use core::slice;

use entresol_uefi::acpi::{Memory, Tables};
use entresol_uefi::clock::Date;
use entresol_uefi::machine::{Machine, Segment};
use entresol_uefi::memory::{Entry, Mapped};
use entresol_uefi::tree::{self, Handover};
use entresol_uefi::{Refusal, adopt, refuse};
use uefi::boot::{self, MemoryType};
use uefi::mem::memory_map::{MemoryMap, MemoryMapOwned};
use uefi::proto::rng::Rng;
use uefi::runtime;
use uefi::system;
use uefi::table::cfg::ConfigTableEntry;
use uefi::{Guid, guid};

/// The table that is a device tree (Devicetree in EBBR and UEFI: EFI_DTB_TABLE_GUID).
const DEVICE_TREE: Guid = guid!("b1b621d5-f19c-41a5-830b-d9152c69aae0");

/// How the machine is described.
pub enum Description {
    /// By ACPI.
    Acpi(Box<Machine>),
    /// By a device tree, which is this.
    Tree(&'static [u8]),
}

impl Description {
    /// Finds ACPI's tables, or else a device tree.
    ///
    /// # Errors
    ///
    /// Refuses a machine without either, and what makes no sense in it.
    pub fn find() -> Result<Self, Refusal> {
        let memory = memory()?;
        if let Some(rsdp) = table(ConfigTableEntry::ACPI2_GUID) {
            let machine = Tables::find(&memory, rsdp)?.machine()?;
            return Ok(Self::Acpi(Box::new(machine)));
        }
        let start = table(DEVICE_TREE)
            .ok_or_else(|| refuse!("the firmware gives neither ACPI tables nor a device tree"))?;
        let header = memory.read(start, adopt::HEADER);
        let size = header
            .and_then(adopt::size)
            .filter(|&size| memory.read(start, size).is_some())
            .ok_or_else(|| refuse!("the firmware's device tree at {start:#x} makes no sense"))?;
        Ok(Self::Tree(bytes(start, size)))
    }

    /// Returns what was wrong and could be done without.
    pub fn notes(&self) -> &[alloc::string::String] {
        match self {
            Self::Acpi(machine) => &machine.notes,
            Self::Tree(_) => &[],
        }
    }

    /// Returns where PCI's configuration space is.
    pub fn segments(&self) -> &[Segment] {
        match self {
            Self::Acpi(machine) => &machine.segments,
            Self::Tree(_) => &[],
        }
    }

    /// Returns the device tree for the hypervisor.
    ///
    /// # Errors
    ///
    /// Refuses a device tree of the firmware's that is broken.
    pub fn tree(&self, handover: &Handover<'_>) -> Result<Vec<u8>, Refusal> {
        match self {
            Self::Acpi(machine) => Ok(tree::write(machine, handover)),
            Self::Tree(tree) => adopt::adopt(tree, handover),
        }
    }
}

/// Returns the address of one of the firmware's tables.
fn table(guid: Guid) -> Option<u64> {
    system::with_config_table(|tables| {
        let found = tables.iter().find(|table| table.guid == guid)?;
        Some(found.address.expose_provenance() as u64)
    })
}

/// Returns memory as the firmware maps it now.
fn memory() -> Result<impl Memory, Refusal> {
    let map = boot::memory_map(MemoryType::LOADER_DATA)
        .map_err(|error| refuse!("the firmware gives no memory map: {error}"))?;
    Ok(Mapped::new(entries(&map), bytes))
}

/// Returns memory that the map says is there.
fn bytes(start: u64, size: usize) -> &'static [u8] {
    let start = core::ptr::with_exposed_provenance(start as usize);
    // SAFETY: the caller, `Mapped`, asks for memory of the firmware's map only, all of which UEFI
    // maps at its own address (2.3.6); tables stay where they are and as they are.
    unsafe { slice::from_raw_parts(start, size) }
}

/// Returns the entries of a memory map.
pub fn entries(map: &MemoryMapOwned) -> Vec<Entry> {
    map.entries()
        .map(|entry| Entry {
            kind: entry.ty.0,
            start: entry.phys_start,
            pages: entry.page_count,
            attributes: entry.att.bits(),
        })
        .collect()
}

/// Returns the time of day when the counter was 0, in seconds since 1970, if there is a clock.
pub fn time_at_count_0() -> Option<u64> {
    let now = runtime::get_time().ok()?;
    let date = Date {
        year: now.year().into(),
        month: now.month().into(),
        day: now.day().into(),
        time: [now.hour(), now.minute(), now.second()].map(u64::from),
        zone: now.time_zone().unwrap_or(0).into(),
    };
    let (count, frequency): (u64, u64);
    // SAFETY: reads the counter and what says how fast it counts.
    unsafe {
        asm!(
            "mrs {0}, cntpct_el0",
            "mrs {1}, cntfrq_el0",
            out(reg) count, out(reg) frequency,
            options(nomem, nostack)
        );
    }
    date.seconds()?.checked_sub(count.checked_div(frequency)?)
}

/// Returns random bytes, if the firmware has any.
pub fn seed() -> Vec<u8> {
    let mut seed = [0; 64];
    let random = boot::get_handle_for_protocol::<Rng>()
        .and_then(boot::open_protocol_exclusive::<Rng>)
        .and_then(|mut rng| rng.get_rng(None, &mut seed));
    match random {
        Ok(()) => seed.to_vec(),
        Err(_) => Vec::new(),
    }
}
