//! Translation tables of VMSAv8-64 with 4 KiB granule, as pure functions on words.
//!
//! This file knows the shape both stages share (Arm ARM, D8.3 "Translation table descriptor
//! formats"); [`stage1`] and [`stage2`] know the attributes and control registers of each.
//! Addresses have at most 48 bits: FEAT_LPA2's other layout (TCR_ELx.DS) is never used.

pub mod stage1;
pub mod stage2;

use crate::addr::{PAGE_SIZE, Pa};
use crate::bits::{bit, field, ones};

/// How many descriptors a table holds.
pub const ENTRIES: usize = 512;

/// How many bits an output address has at most.
pub const ADDRESS_BITS: u32 = 48;

/// Bit 0: a walk goes on or ends here; a clear bit makes the whole entry invalid.
const VALID: u64 = 1 << 0;
/// Bit 1: a table at levels 0 to 2, and required of a page at level 3.
const TABLE_OR_PAGE: u64 = 1 << 1;
/// Bit 10, access flag: clear, the first access would fault. Nothing here wants that fault.
const AF: u64 = 1 << 10;
/// Bits 9:8, shareability, at this shift in both stages.
const SH_SHIFT: u32 = 8;
/// Shareability of normal memory: all CPUs of one inner shareable domain.
const SH_INNER: u64 = 0b11;
/// Bits 47:12: where the next table, block or page is.
const OUTPUT_ADDRESS: u64 = ones(ADDRESS_BITS) & !(PAGE_SIZE - 1);
/// Bits 63:50 and 11:2: the upper and lower attributes of a block or page.
const ATTRIBUTES: u64 = !ones(50) | (ones(12) & !ones(2));

/// A level of lookup; a higher number is nearer to the page.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Level {
    /// An entry spans 512 GiB and can only be a table.
    L0,
    /// An entry spans 1 GiB.
    L1,
    /// An entry spans 2 MiB.
    L2,
    /// An entry spans 4 KiB and can only be a page.
    L3,
}

impl Level {
    /// Returns the lowest bit of an address that an index at this level is made of.
    pub const fn shift(self) -> u32 {
        39 - 9 * self as u32
    }

    /// Returns how many bytes one entry spans.
    pub const fn span(self) -> u64 {
        1 << self.shift()
    }

    /// Returns the index of an input address in a table of this level.
    pub const fn index(self, address: u64) -> usize {
        field(address, self.shift(), 9) as usize
    }

    /// Returns the level that a table entry of this level leads to; none from the last.
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::L0 => Some(Self::L1),
            Self::L1 => Some(Self::L2),
            Self::L2 => Some(Self::L3),
            Self::L3 => None,
        }
    }
}

/// The sizes of memory one descriptor can map, smallest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LeafSize {
    /// A page at level 3.
    Page4K,
    /// A block at level 2.
    Block2M,
    /// A block at level 1.
    Block1G,
}

impl LeafSize {
    /// All sizes, largest first.
    pub const ALL: [Self; 3] = [Self::Block1G, Self::Block2M, Self::Page4K];

    /// Returns the level at which such a leaf stands.
    pub const fn level(self) -> Level {
        match self {
            Self::Page4K => Level::L3,
            Self::Block2M => Level::L2,
            Self::Block1G => Level::L1,
        }
    }

    /// Returns what a leaf at `level` is; level 0 has none without FEAT_LPA2.
    pub const fn at(level: Level) -> Option<Self> {
        match level {
            Level::L0 => None,
            Level::L1 => Some(Self::Block1G),
            Level::L2 => Some(Self::Block2M),
            Level::L3 => Some(Self::Page4K),
        }
    }

    /// Returns the size in bytes.
    pub const fn bytes(self) -> u64 {
        self.level().span()
    }
}

/// The attribute bits of a leaf. They are made only in [`stage1`] and [`stage2`], so every value
/// is one that some stage defines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attributes(u64);

impl Attributes {
    /// Returns the bits as they stand in a descriptor.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

/// What a descriptor says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry {
    /// Nothing is mapped.
    Invalid,
    /// The walk goes on in the table at this address.
    Table(Pa),
    /// The walk ends: a block or page at this address.
    Leaf(Pa, Attributes),
}

impl Entry {
    /// The word of an entry that maps nothing.
    pub const INVALID: u64 = 0;

    /// Reads a descriptor met at `level`; encodings that are reserved there are invalid.
    #[inline(always)]
    pub const fn decode(word: u64, level: Level) -> Self {
        let address = Pa::new(word & OUTPUT_ADDRESS);
        let leaf = Self::Leaf(address, Attributes(word & ATTRIBUTES));
        match (bit(word, 0), bit(word, 1), level) {
            (true, true, Level::L3) | (true, false, Level::L1 | Level::L2) => leaf,
            (true, true, _) => Self::Table(address),
            _ => Self::Invalid,
        }
    }

    /// Makes the descriptor that leads to the table at `next`, which is page aligned.
    ///
    /// The hierarchical attributes stay zero: they would only restrict.
    pub const fn table(next: Pa) -> u64 {
        (next.as_u64() & OUTPUT_ADDRESS) | TABLE_OR_PAGE | VALID
    }

    /// Makes the descriptor of a block or page at `to`, whose low bits below `size` are dropped.
    pub const fn leaf(size: LeafSize, to: Pa, attributes: Attributes) -> u64 {
        let kind = match size {
            LeafSize::Page4K => TABLE_OR_PAGE | VALID,
            LeafSize::Block2M | LeafSize::Block1G => VALID,
        };
        (to.align_down(size.bytes()).as_u64() & OUTPUT_ADDRESS) | attributes.0 | kind
    }
}

/// How many physical address bits a CPU implements, as ID_AA64MMFR0_EL1.PARange says it.
///
/// Sizes above 48 bits are cut to 48: with 4 KiB granule they need descriptors in FEAT_LPA2's
/// layout, so copying PARange 6 or 7 into a control register makes every walk go wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PaSize(u8);

impl PaSize {
    /// The bits behind each encoding of PARange, and of PS in the control registers.
    const BITS: [u32; 6] = [32, 36, 40, 42, 44, 48];

    /// Reads the field out of ID_AA64MMFR0_EL1 (Arm ARM, D24.2; PARange is bits 3:0).
    pub const fn from_mmfr0(mmfr0: u64) -> Self {
        let parange = field(mmfr0, 0, 4) as u8;
        Self(if parange > 5 { 5 } else { parange })
    }

    /// Returns the smallest size of at least `bits` bits, or `None` above 48.
    pub fn at_least(bits: u32) -> Option<Self> {
        let place = Self::BITS.iter().position(|&have| have >= bits)?;
        u8::try_from(place).ok().map(Self)
    }

    /// Returns the number of address bits.
    pub const fn bits(self) -> u32 {
        Self::BITS[self.0 as usize]
    }

    /// Returns the encoding, as it stands in PARange, PS and IPS.
    pub const fn encoding(self) -> u64 {
        self.0 as u64
    }
}

/// The shape of a tree: how many input bits it translates and where a walk starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    input_bits: u32,
    start: Level,
    root_tables: usize,
}

impl Geometry {
    /// EL2's own: 48 bits from level 0.
    pub const EL2: Self = Self {
        input_bits: 48,
        start: Level::L0,
        root_tables: 1,
    };

    /// Returns how many bits of an input address are translated; the rest must be zero.
    pub const fn input_bits(self) -> u32 {
        self.input_bits
    }

    /// Returns the address after the last one that is translated.
    pub const fn input_end(self) -> u64 {
        1 << self.input_bits
    }

    /// Returns the level of the root.
    pub const fn start(self) -> Level {
        self.start
    }

    /// Returns how many tables stand side by side as the root: more than one only at stage 2.
    pub const fn root_tables(self) -> usize {
        self.root_tables
    }

    /// Returns the T0SZ that says `input_bits`.
    const fn t0sz(self) -> u64 {
        64 - self.input_bits as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: Attributes = Attributes(AF | 0x40 | 1 << 54);

    #[test]
    fn levels_cut_an_address_into_nines() {
        assert_eq!(Level::L0.span(), 512 << 30);
        assert_eq!(Level::L1.span(), 1 << 30);
        assert_eq!(Level::L2.span(), 2 << 20);
        assert_eq!(Level::L3.span(), PAGE_SIZE);
        let address = (3 << 39) | (5 << 30) | (7 << 21) | (511 << 12) | 0xfff;
        let indices = [Level::L0, Level::L1, Level::L2, Level::L3].map(|l| l.index(address));
        assert_eq!(indices, [3, 5, 7, 511]);
    }

    #[test]
    fn leaves_decode_to_what_they_were_made_of() {
        for size in LeafSize::ALL {
            let to = Pa::new(0x7fff_c000_0000);
            let word = Entry::leaf(size, to, SOME);
            assert_eq!(Entry::decode(word, size.level()), Entry::Leaf(to, SOME));
            assert_eq!(LeafSize::at(size.level()), Some(size));
        }
        assert_eq!(
            Entry::leaf(LeafSize::Block2M, Pa::new(0x4020_0000), SOME) & 3,
            0b01
        );
        assert_eq!(
            Entry::leaf(LeafSize::Page4K, Pa::new(0x4020_0000), SOME) & 3,
            0b11
        );
    }

    #[test]
    fn tables_decode_above_level_3_only() {
        let word = Entry::table(Pa::new(0x1234_5000));
        assert_eq!(word, 0x1234_5003);
        for level in [Level::L0, Level::L1, Level::L2] {
            assert_eq!(
                Entry::decode(word, level),
                Entry::Table(Pa::new(0x1234_5000))
            );
        }
        assert!(matches!(
            Entry::decode(word, Level::L3),
            Entry::Leaf(_, Attributes(0))
        ));
    }

    #[test]
    fn reserved_encodings_are_invalid() {
        assert_eq!(Entry::decode(0x1001, Level::L3), Entry::Invalid);
        assert_eq!(Entry::decode(0x1001, Level::L0), Entry::Invalid);
        assert_eq!(Entry::decode(0x1002, Level::L1), Entry::Invalid);
        assert_eq!(Entry::decode(Entry::INVALID, Level::L2), Entry::Invalid);
    }

    #[test]
    fn a_leaf_drops_low_address_bits() {
        let word = Entry::leaf(LeafSize::Block1G, Pa::new(0x7fff_ffff), Attributes(0));
        assert_eq!(word, 0x4000_0001);
    }

    #[test]
    fn physical_sizes_are_cut_at_48_bits() {
        let bits: std::vec::Vec<u32> = (0..16).map(|p| PaSize::from_mmfr0(p).bits()).collect();
        assert_eq!(bits[..6], [32, 36, 40, 42, 44, 48]);
        assert!(bits[6..].iter().all(|&b| b == 48));
        assert_eq!(PaSize::from_mmfr0(0xfff6).encoding(), 5);
        assert_eq!(PaSize::at_least(0).map(PaSize::bits), Some(32));
        assert_eq!(PaSize::at_least(33).map(PaSize::bits), Some(36));
        assert_eq!(PaSize::at_least(48).map(PaSize::bits), Some(48));
        assert_eq!(PaSize::at_least(49), None);
    }
}
