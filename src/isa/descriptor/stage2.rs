//! Stage 2: what a descriptor allows a guest, the shape of its tree, VTCR_EL2 and VTTBR_EL2.
//!
//! Arm ARM, D8.2 "Address translation stages" for start levels and concatenation, D8.4 and D8.6 for
//! attributes. HCR_EL2.FWB is 0, so MemAttr combines with what the guest's stage 1 says.

use super::{AF, Attributes, Geometry, Level, PaSize, SH_INNER, SH_SHIFT};
use crate::addr::Pa;
use crate::bits::field;

/// Bits 5:2, MemAttr\[3:0\].
const MEM_ATTR_SHIFT: u32 = 2;
/// Normal, outer and inner write-back.
const MEM_NORMAL: u64 = 0b1111;
/// Device-nGnRE.
const MEM_DEVICE: u64 = 0b0001;
/// Bits 7:6, S2AP.
const S2AP_READ: u64 = 0b01 << 6;
const S2AP_READ_WRITE: u64 = 0b11 << 6;
/// Bits 54:53, XN: 0b10 forbids execution at EL1 and EL0, with FEAT_XNX and without.
const XN: u64 = 0b10 << 53;
const NORMAL: u64 = (MEM_NORMAL << MEM_ATTR_SHIFT) | (SH_INNER << SH_SHIFT) | AF;

impl Attributes {
    /// A guest's RAM: all rights, the guest's own stage 1 decides; Normal write-back.
    pub const GUEST_RAM: Self = Self(NORMAL | S2AP_READ_WRITE);
    /// Memory that a guest may read and execute, not write; Normal write-back.
    pub const GUEST_ROM: Self = Self(NORMAL | S2AP_READ);
    /// A device that a guest reaches directly: read and write; Device-nGnRE.
    pub const GUEST_DEVICE: Self = Self((MEM_DEVICE << MEM_ATTR_SHIFT) | S2AP_READ_WRITE | XN | AF);
}

/// What the CPUs can do for stage 2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Support {
    /// Physical address size.
    pub pa: PaSize,
    /// Whether VMIDs have 16 bits; 8 otherwise.
    pub wide_vmid: bool,
}

impl Support {
    /// Reads ID_AA64MMFR0_EL1.PARange and ID_AA64MMFR1_EL1.VMIDBits (bits 7:4, 0b0010 is 16 bits).
    pub const fn from_id(mmfr0: u64, mmfr1: u64) -> Self {
        Self {
            pa: PaSize::from_mmfr0(mmfr0),
            wide_vmid: field(mmfr1, 4, 4) == 0b0010,
        }
    }

    /// Returns what two CPUs can both do: a VM's tree is the same on all of them.
    pub fn common(self, other: Self) -> Self {
        Self {
            pa: self.pa.min(other.pa),
            wide_vmid: self.wide_vmid && other.wide_vmid,
        }
    }

    /// Returns whether the CPUs can tag with this VMID.
    pub const fn has_vmid(self, vmid: u16) -> bool {
        self.wide_vmid || vmid <= 0xff
    }
}

/// A table of 512 entries that starts at level 1 resolves 39 bits, one at level 0 resolves 48.
const LEVEL1_BITS: u32 = 39;
/// At most 16 tables are concatenated at the start level: 4 more bits.
const CONCATENATED_BITS: u32 = 4;

impl Geometry {
    /// Returns the stage-2 tree for IPAs of `bits` bits, 32 to 48; `None` for others.
    ///
    /// The walk starts at level 1 as long as concatenated root tables reach, 43 bits, which saves
    /// every TLB miss one access; above, at level 0. Level 2, which could serve up to 34 bits, is
    /// not used: it has no 1 GiB blocks.
    pub const fn for_ipa_bits(bits: u32) -> Option<Self> {
        match bits {
            32..=LEVEL1_BITS => Some(Self::rooted(bits, Level::L1, 1)),
            40..=43 => Some(Self::rooted(bits, Level::L1, 1 << (bits - LEVEL1_BITS))),
            44..=48 => Some(Self::rooted(bits, Level::L0, 1)),
            _ => None,
        }
    }

    /// Returns the smallest stage-2 tree that covers `top`, the last IPA in use.
    ///
    /// Only sizes that ID_AA64MMFR0_EL1.PARange can express are chosen, because the IPA size is
    /// what the guest reads there. `None` when `top` has more than 48 bits.
    pub fn covering(top: u64) -> Option<Self> {
        Self::for_ipa_bits(PaSize::at_least(u64::BITS - top.leading_zeros())?.bits())
    }

    /// Returns the physical address size a guest in this tree is told, where one says it exactly.
    pub fn guest_pa_size(self) -> Option<PaSize> {
        PaSize::at_least(self.input_bits).filter(|size| size.bits() == self.input_bits)
    }

    const fn rooted(input_bits: u32, start: Level, root_tables: usize) -> Self {
        Self {
            input_bits,
            start,
            root_tables,
        }
    }
}

const _: () = assert!(43 == LEVEL1_BITS + CONCATENATED_BITS);

/// Where the fields of VTCR_EL2 start (Arm ARM, D24.2 "VTCR_EL2").
const SL0_SHIFT: u32 = 6;
const IRGN0_WRITE_BACK: u64 = 0b01 << 8;
const ORGN0_WRITE_BACK: u64 = 0b01 << 10;
const SH0_SHIFT: u32 = 12;
/// TG0, bits 15:14: 0b00 is 4 KiB.
const TG0_4K: u64 = 0b00 << 14;
const PS_SHIFT: u32 = 16;
/// VS, bit 19: VMIDs of 16 bits.
const VS: u64 = 1 << 19;
/// Bit 31 is RES1.
const VTCR_RES1: u64 = 1 << 31;

/// Makes VTCR_EL2, or returns `None` when the CPUs have fewer physical address bits than
/// `geometry` translates: such a walk would fault on its first step.
pub const fn vtcr(geometry: Geometry, support: Support) -> Option<u64> {
    if geometry.input_bits > support.pa.bits() {
        return None;
    }
    // With 4 KiB granule 0b10 starts at level 0, 0b01 at level 1, 0b00 at level 2.
    let sl0 = match geometry.start {
        Level::L0 => 0b10,
        Level::L1 => 0b01,
        Level::L2 | Level::L3 => 0b00,
    };
    let walks = IRGN0_WRITE_BACK | ORGN0_WRITE_BACK | (SH_INNER << SH0_SHIFT) | TG0_4K;
    let vs = if support.wide_vmid { VS } else { 0 };
    let ps = support.pa.encoding() << PS_SHIFT;
    Some(VTCR_RES1 | vs | ps | walks | (sl0 << SL0_SHIFT) | geometry.t0sz())
}

/// Makes VTTBR_EL2: VMID in bits 63:48, the root in 47:1, CnP in bit 0 clear.
pub const fn vttbr(root: Pa, vmid: u16) -> u64 {
    ((vmid as u64) << 48) | root.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::{bit, ones};

    const BIG: Support = Support::from_id(5, 0x20);

    /// How many root entries and levels a size takes, counted from the page up instead of from a
    /// table of cases: each level takes nine bits, and four bits of the rest may be concatenated.
    fn counted(bits: u32) -> (Level, usize) {
        let mut resolved = Level::L3.shift();
        let mut start = Level::L3;
        for level in [Level::L3, Level::L2, Level::L1, Level::L0] {
            start = level;
            resolved += 9;
            if level <= Level::L1 && resolved + CONCATENATED_BITS >= bits {
                break;
            }
        }
        (start, 1 << bits.saturating_sub(resolved))
    }

    #[test]
    fn every_ipa_size_has_the_fewest_levels() {
        for bits in 32..=48 {
            let geometry = Geometry::for_ipa_bits(bits).unwrap();
            assert_eq!(
                (geometry.start(), geometry.root_tables()),
                counted(bits),
                "{bits} bits"
            );
            assert_eq!(geometry.input_bits(), bits);
            let roots = (geometry.input_end() - 1) >> geometry.start().shift();
            assert_eq!(
                roots as usize / super::super::ENTRIES + 1,
                geometry.root_tables()
            );
        }
        assert_eq!(Geometry::for_ipa_bits(31), None);
        assert_eq!(Geometry::for_ipa_bits(49), None);
    }

    #[test]
    fn forty_bits_take_two_tables_at_level_1() {
        let geometry = Geometry::for_ipa_bits(40).unwrap();
        assert_eq!((geometry.start(), geometry.root_tables()), (Level::L1, 2));
        let geometry = Geometry::for_ipa_bits(39).unwrap();
        assert_eq!((geometry.start(), geometry.root_tables()), (Level::L1, 1));
    }

    #[test]
    fn the_smallest_size_that_covers_is_one_a_guest_can_read() {
        for top in [0, 1, 0x5fff_ffff, 0xffff_ffff] {
            assert_eq!(Geometry::covering(top).unwrap().input_bits(), 32);
        }
        for (bits, size) in (33..=48).map(|b| (b, PaSize::at_least(b).unwrap())) {
            for top in [1 << (bits - 1), ones(bits)] {
                let geometry = Geometry::covering(top).unwrap();
                assert_eq!(geometry.guest_pa_size(), Some(size));
                assert!(geometry.input_end() > top);
            }
        }
        assert_eq!(Geometry::covering(1 << 48), None);
        assert_eq!(Geometry::for_ipa_bits(39).unwrap().guest_pa_size(), None);
    }

    #[test]
    fn vtcr_fields_for_every_size() {
        for bits in 32..=48 {
            let geometry = Geometry::for_ipa_bits(bits).unwrap();
            let vtcr = vtcr(geometry, BIG).unwrap();
            assert_eq!(field(vtcr, 0, 6), u64::from(64 - bits), "T0SZ");
            assert_eq!(field(vtcr, 6, 2), if bits < 44 { 1 } else { 2 }, "SL0");
            assert_eq!(field(vtcr, 8, 8), 0b0011_0101, "TG0 SH0 ORGN0 IRGN0");
            assert_eq!(field(vtcr, 16, 3), 5, "PS");
            assert_eq!(vtcr >> 19, 1 | 1 << 12, "VS and bit 31, nothing else");
        }
    }

    #[test]
    fn vtcr_never_promises_more_than_the_cpu_has() {
        for parange in 0..16 {
            let support = Support::from_id(parange, 0);
            for bits in 32..=48 {
                let made = vtcr(Geometry::for_ipa_bits(bits).unwrap(), support);
                assert_eq!(made.is_some(), bits <= support.pa.bits());
                assert!(made.is_none_or(|v| field(v, 16, 3) <= 5 && !bit(v, 19)));
            }
        }
    }

    #[test]
    fn support_is_the_common_part() {
        let (a, b) = (Support::from_id(4, 0x20), Support::from_id(5, 0x00));
        assert_eq!(a.common(b), Support::from_id(4, 0));
        assert!(a.has_vmid(256) && !b.has_vmid(256) && b.has_vmid(255));
    }

    #[test]
    fn attributes_bit_by_bit() {
        // AF, inner shareable, S2AP read-write, Normal write-back.
        assert_eq!(Attributes::GUEST_RAM.bits(), 0x7fc);
        assert_eq!(Attributes::GUEST_ROM.bits(), 0x77c);
        assert_eq!(Attributes::GUEST_DEVICE.bits(), (1 << 54) | 0x4c4);
    }

    #[test]
    fn vttbr_holds_vmid_and_root() {
        assert_eq!(vttbr(Pa::new(0x4_1234_5000), 0xabcd), 0xabcd_0004_1234_5000);
    }
}
