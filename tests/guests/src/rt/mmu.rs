//! The program's own address space: identity, RAM cached, everything else device memory.

use core::arch::asm;
use core::cell::UnsafeCell;

use super::entry;

/// Where RAM starts on the machine.
pub const RAM_BASE: u64 = 0x4000_0000;

/// Attribute 0: Device-nGnRE; attribute 1: normal, write-back, read and write allocate.
pub const MAIR: u64 = 0xff04;
/// 39 bits of address, 4 KiB granule, inner shareable write-back walks, no upper half.
pub const TCR: u64 = 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23;
/// MMU, data and instruction cache on; stack alignment checked; the RES1 bits of Armv8.0.
pub const SCTLR: u64 = 0x30d0_0800 | 1 | 1 << 2 | 1 << 3 | 1 << 12;

const BLOCK: u64 = 2 << 20;

/// A translation table of 512 descriptors.
#[repr(C, align(4096))]
pub struct Table(UnsafeCell<[u64; 512]>);

// SAFETY: descriptors are written whole, by volatile stores of the one CPU there is.
unsafe impl Sync for Table {}

/// The table the walk starts at: 1 GiB an entry.
pub static LEVEL1: Table = Table::new();
/// The second GiB: 2 MiB an entry.
pub static LEVEL2: Table = Table::new();

impl Table {
    /// A block of device memory, never executed.
    pub const DEVICE_BLOCK: u64 = 0x0060_0000_0000_0401;
    /// A page of device memory, never executed.
    pub const DEVICE_PAGE: u64 = 0x0060_0000_0000_0403;
    /// A block of normal, inner shareable memory.
    pub const RAM_BLOCK: u64 = 0x705;
    /// A page of normal, inner shareable memory.
    pub const RAM_PAGE: u64 = 0x707;

    /// Makes an empty table.
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; 512]))
    }

    /// Returns the table's address.
    pub fn address(&self) -> u64 {
        self.0.get() as u64
    }

    /// Writes a descriptor and lets the walker see it; old entries stay in the TLB.
    pub fn set(&self, index: usize, descriptor: u64) {
        assert!(index < 512);
        // SAFETY: inside the table; the caller of a program under test answers for what
        // the descriptor maps.
        unsafe {
            self.0
                .get()
                .cast::<u64>()
                .add(index)
                .write_volatile(descriptor)
        };
        super::sysreg::sync();
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

/// Turns the blocks beyond the end of RAM from normal into device memory.
pub fn shape_ram() {
    let (_, end) = entry::ram();
    for index in 0..512 {
        let address = RAM_BASE + index * BLOCK;
        if end > RAM_BASE && address >= end {
            LEVEL2.set(index as usize, 0);
        }
    }
    flush();
    for index in 0..512 {
        let address = RAM_BASE + index * BLOCK;
        if end > RAM_BASE && address >= end {
            LEVEL2.set(index as usize, address | Table::DEVICE_BLOCK);
        }
    }
}

/// Forgets every cached translation.
pub fn flush() {
    // SAFETY: invalidating the TLB loses nothing but time.
    unsafe {
        asm!(
            "dsb ishst",
            "tlbi vmalle1",
            "dsb nsh",
            "isb",
            options(nostack)
        )
    };
}
