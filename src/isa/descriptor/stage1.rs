//! Stage 1 at EL2: what a descriptor allows, MAIR_EL2 and TCR_EL2, with and without VHE.
//!
//! With HCR_EL2.E2H=0 EL2 has a regime of its own, with one privilege level; with E2H=1 it has
//! EL2&0, laid out like EL1&0 (Arm ARM, D8.4 "Memory access control" and D24.2 "TCR_EL2").

use super::{AF, Attributes, Geometry, PaSize, SH_INNER, SH_SHIFT};

/// Which translation regime EL2 runs in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Regime {
    /// HCR_EL2.E2H=0: EL2 alone.
    El2,
    /// HCR_EL2.E2H=1: EL2&0.
    El2And0,
}

/// What kind of memory is behind an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemoryKind {
    /// RAM: Normal, write-back, inner shareable.
    Normal,
    /// Registers: Device-nGnRE.
    Device,
}

/// What EL2 may do there. Nothing is both writable and executable: no variant says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Read.
    ReadOnly,
    /// Read and write.
    ReadWrite,
    /// Read and execute.
    Execute,
}

/// Bits 4:2, AttrIndx: which byte of MAIR_EL2 holds.
const ATTR_INDEX_SHIFT: u32 = 2;
const INDEX_DEVICE: u64 = 0;
const INDEX_NORMAL: u64 = 1;
/// Bit 6, AP\[1\]: RES1 where there is one privilege level; in EL2&0 it would open the page to EL0.
const AP1: u64 = 1 << 6;
/// Bit 7, AP\[2\]: read-only.
const AP2_READ_ONLY: u64 = 1 << 7;
/// Bit 53, PXN: EL2&0 only, RES0 otherwise.
const PXN: u64 = 1 << 53;
/// Bit 54: XN, called UXN in EL2&0, where it speaks of EL0 alone.
const XN_UXN: u64 = 1 << 54;

/// MAIR_EL2 (Arm ARM, D24.2 "MAIR_EL2"): byte 0 is Device-nGnRE, byte 1 is Normal, inner and outer
/// write-back, non-transient, allocating on reads and writes.
pub const MAIR: u64 = (0x04 << (8 * INDEX_DEVICE)) | (0xff << (8 * INDEX_NORMAL));

impl Attributes {
    /// Makes the attributes of memory that EL2 maps for itself.
    ///
    /// Device memory is never executable, whatever `access` says: a speculative fetch from it
    /// could read a register (Arm ARM, D8.4).
    pub const fn stage1(regime: Regime, kind: MemoryKind, access: Access) -> Self {
        let memory = match kind {
            MemoryKind::Normal => (INDEX_NORMAL << ATTR_INDEX_SHIFT) | (SH_INNER << SH_SHIFT),
            MemoryKind::Device => INDEX_DEVICE << ATTR_INDEX_SHIFT,
        };
        let write = match access {
            Access::ReadWrite => 0,
            Access::ReadOnly | Access::Execute => AP2_READ_ONLY,
        };
        let runs = matches!((kind, access), (MemoryKind::Normal, Access::Execute));
        let rest = match (regime, runs) {
            (Regime::El2, true) => AP1,
            (Regime::El2, false) => AP1 | XN_UXN,
            (Regime::El2And0, true) => XN_UXN,
            (Regime::El2And0, false) => XN_UXN | PXN,
        };
        Self(memory | write | rest | AF)
    }

    /// Returns the attributes that mean in `to` what these mean in `from`; `None` for attributes
    /// that [`Attributes::stage1`] does not make.
    pub fn translated(self, from: Regime, to: Regime) -> Option<Self> {
        let memory = [MemoryKind::Normal, MemoryKind::Device];
        let rights = [Access::ReadOnly, Access::ReadWrite, Access::Execute];
        memory
            .into_iter()
            .flat_map(|kind| rights.map(|access| (kind, access)))
            .find(|&(kind, access)| Self::stage1(from, kind, access) == self)
            .map(|(kind, access)| Self::stage1(to, kind, access))
    }
}

/// Walks are made through write-back caches and inner shareable: IRGN=ORGN=0b01, SH=0b11, at the
/// shifts these fields have from IRGN0 up.
const CACHED_WALKS: u64 = (0b01 << 8) | (0b01 << 10) | (SH_INNER << 12);
/// T0SZ, bits 5:0.
const T0SZ_SHIFT: u32 = 0;
/// T1SZ of EL2&0, bits 21:16.
const T1SZ_SHIFT: u32 = 16;
/// How far the fields for TTBR1 lie above those for TTBR0.
const UPPER_HALF: u32 = 16;
/// PS with E2H=0, bits 18:16.
const PS_SHIFT: u32 = 16;
/// IPS with E2H=1, bits 34:32.
const IPS_SHIFT: u32 = 32;
/// EPD1 with E2H=1, bit 23: no walks from TTBR1_EL2, which stays unused.
const EPD1: u64 = 1 << 23;
/// TG1 with E2H=1, bits 31:30: 0b10 is 4 KiB. (TG0 says it with 0b00.)
const TG1_4K: u64 = 0b10 << 30;
/// Bits 31 and 23 are RES1 with E2H=0.
const TCR_RES1: u64 = (1 << 31) | (1 << 23);

/// Makes TCR_EL2 for 48-bit addresses, 4 KiB granule, through TTBR0_EL2 alone.
pub const fn tcr(regime: Regime, pa: PaSize) -> u64 {
    let lower = (Geometry::EL2.t0sz() << T0SZ_SHIFT) | CACHED_WALKS;
    match regime {
        Regime::El2 => lower | (pa.encoding() << PS_SHIFT) | TCR_RES1,
        Regime::El2And0 => {
            let upper =
                (Geometry::EL2.t0sz() << T1SZ_SHIFT) | (CACHED_WALKS << UPPER_HALF) | TG1_4K;
            lower | upper | EPD1 | (pa.encoding() << IPS_SHIFT)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::{bit, field};

    const REGIMES: [Regime; 2] = [Regime::El2, Regime::El2And0];
    const KINDS: [MemoryKind; 2] = [MemoryKind::Normal, MemoryKind::Device];
    const ACCESSES: [Access; 3] = [Access::ReadOnly, Access::ReadWrite, Access::Execute];

    /// Whether EL2 may write and execute, read back from the bits by the rules of the book.
    fn rights(regime: Regime, bits: u64) -> (bool, bool) {
        let never_runs = match regime {
            Regime::El2 => bit(bits, 54),
            Regime::El2And0 => bit(bits, 53),
        };
        (!bit(bits, 7), !never_runs)
    }

    #[test]
    fn rights_are_the_ones_asked_for_and_never_write_and_execute() {
        for regime in REGIMES {
            for kind in KINDS {
                for access in ACCESSES {
                    let bits = Attributes::stage1(regime, kind, access).bits();
                    let runs = access == Access::Execute && kind == MemoryKind::Normal;
                    assert_eq!(
                        rights(regime, bits),
                        (access == Access::ReadWrite, runs),
                        "{regime:?} {kind:?} {access:?}"
                    );
                    assert!(bit(bits, 10), "access flag");
                    assert_eq!(field(bits, 0, 2), 0, "type bits are not attributes");
                }
            }
        }
    }

    #[test]
    fn ap1_is_one_without_vhe_and_closes_el0_out_with_it() {
        for kind in KINDS {
            for access in ACCESSES {
                assert!(bit(Attributes::stage1(Regime::El2, kind, access).bits(), 6));
                let vhe = Attributes::stage1(Regime::El2And0, kind, access).bits();
                assert!(!bit(vhe, 6) && bit(vhe, 54));
            }
        }
    }

    #[test]
    fn translation_keeps_kind_and_rights_and_comes_back() {
        for (from, to) in [(REGIMES[0], REGIMES[1]), (REGIMES[1], REGIMES[0])] {
            for kind in KINDS {
                for access in ACCESSES {
                    let old = Attributes::stage1(from, kind, access);
                    let new = old.translated(from, to).unwrap();
                    assert_eq!(new, Attributes::stage1(to, kind, access));
                    assert_eq!(rights(to, new.bits()), rights(from, old.bits()));
                    assert_eq!(new.translated(to, from), Some(old));
                    assert_eq!(old.translated(to, from), None, "of the other regime");
                }
            }
        }
    }

    #[test]
    fn the_memory_kind_selects_its_byte_of_mair() {
        let byte = |kind| {
            let bits = Attributes::stage1(Regime::El2, kind, Access::ReadWrite).bits();
            field(MAIR, 8 * field(bits, 2, 3) as u32, 8)
        };
        assert_eq!(byte(MemoryKind::Normal), 0xff);
        assert_eq!(byte(MemoryKind::Device), 0x04);
    }

    #[test]
    fn tcr_without_vhe() {
        let tcr = tcr(Regime::El2, PaSize::from_mmfr0(2));
        // RES1 bits, PS=40 bits, TG0=4K, inner shareable write-back walks, T0SZ=16.
        assert_eq!(tcr, 0x8080_0000 | (2 << 16) | 0x3500 | 16);
    }

    #[test]
    fn tcr_with_vhe() {
        let tcr = tcr(Regime::El2And0, PaSize::from_mmfr0(6));
        assert_eq!(field(tcr, 32, 3), 5, "IPS is cut to 48 bits");
        assert_eq!(field(tcr, 0, 6), 16);
        assert_eq!(field(tcr, 16, 6), 16);
        assert!(bit(tcr, 23), "EPD1");
        assert!(!bit(tcr, 7), "EPD0");
        assert_eq!(field(tcr, 14, 2), 0b00, "TG0");
        assert_eq!(field(tcr, 30, 2), 0b10, "TG1");
        assert_eq!(field(tcr, 8, 6), 0b11_0101);
        assert_eq!(field(tcr, 24, 6), 0b11_0101);
        assert_eq!(tcr >> 35, 0, "no DS, AS, TBI, HPD");
    }
}
