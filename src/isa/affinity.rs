//! The name of a CPU: the affinity fields of MPIDR_EL1.

use crate::bits::field;
use core::fmt;

/// Which CPU, as the four affinity fields; Aff3 is the most significant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Affinity(u32);

impl Affinity {
    /// The bits of MPIDR_EL1 that hold affinity fields.
    pub const MPIDR_MASK: u64 = 0xff_00ff_ffff;

    /// Makes an affinity from its fields.
    pub const fn new(aff3: u8, aff2: u8, aff1: u8, aff0: u8) -> Self {
        Self(u32::from_be_bytes([aff3, aff2, aff1, aff0]))
    }

    /// Takes the affinity fields of an MPIDR_EL1 value and ignores its other bits.
    pub const fn from_mpidr(mpidr: u64) -> Self {
        Self((field(mpidr, 32, 8) << 24 | field(mpidr, 0, 24)) as u32)
    }

    /// Takes an affinity from a call's argument, or returns `None` when bits that must be zero
    /// are not.
    pub const fn from_argument(value: u64) -> Option<Self> {
        if value & !Self::MPIDR_MASK == 0 {
            Some(Self::from_mpidr(value))
        } else {
            None
        }
    }

    /// Makes an affinity from the packed form of the upper half of GICR_TYPER.
    pub const fn from_packed(packed: u32) -> Self {
        Self(packed)
    }

    /// Returns the fields packed in 32 bits, as in the upper half of GICR_TYPER.
    pub const fn packed(self) -> u32 {
        self.0
    }

    /// Returns the fields where MPIDR_EL1 has them, all other bits zero.
    pub const fn mpidr(self) -> u64 {
        (self.aff(3) << 32) | (self.0 & 0x00ff_ffff) as u64
    }

    /// Returns affinity field `level`, 0 to 3.
    pub const fn aff(self, level: u32) -> u64 {
        field(self.0 as u64, level * 8, 8)
    }

    /// Returns whether both are in the same affinity instance of `level`: level 0 is one CPU,
    /// level 1 all that differ in Aff0 only, and so on; from level 4 up, every CPU.
    pub const fn same_instance(self, other: Self, level: u32) -> bool {
        ((self.0 ^ other.0) as u64) >> (if level < 4 { level * 8 } else { 32 }) == 0
    }
}

impl fmt::Debug for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [aff3, aff2, aff1, aff0] = self.0.to_be_bytes();
        write!(f, "{aff3}.{aff2}.{aff1}.{aff0}")
    }
}

impl fmt::Display for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_round_trip() {
        let affinity = Affinity::new(1, 2, 3, 4);
        assert_eq!(affinity.mpidr(), 0x1_0002_0304);
        assert_eq!(affinity.packed(), 0x0102_0304);
        assert_eq!([0, 1, 2, 3].map(|level| affinity.aff(level)), [4, 3, 2, 1]);
        assert_eq!(Affinity::from_mpidr(affinity.mpidr()), affinity);
        assert_eq!(Affinity::from_packed(affinity.packed()), affinity);
        assert_eq!(alloc::format!("{affinity}"), "1.2.3.4");
    }

    #[test]
    fn flags_of_mpidr_are_not_affinity() {
        let multiprocessor = 1 << 31 | 1 << 30 | 1 << 24 | 5;
        assert_eq!(
            Affinity::from_mpidr(multiprocessor),
            Affinity::new(0, 0, 0, 5)
        );
        assert_eq!(Affinity::from_argument(multiprocessor), None);
        assert_eq!(Affinity::from_argument(1 << 40), None);
    }

    #[test]
    fn instances_grow_with_the_level() {
        let cpu = Affinity::new(1, 2, 3, 4);
        assert!(!cpu.same_instance(Affinity::new(1, 2, 3, 5), 0));
        assert!(cpu.same_instance(Affinity::new(1, 2, 3, 5), 1));
        assert!(!cpu.same_instance(Affinity::new(1, 2, 4, 4), 1));
        assert!(cpu.same_instance(Affinity::new(1, 2, 4, 4), 2));
        assert!(cpu.same_instance(Affinity::new(1, 9, 4, 4), 3));
        assert!(!cpu.same_instance(Affinity::new(2, 2, 3, 4), 3));
        assert!(cpu.same_instance(Affinity::new(2, 2, 3, 4), 4));
    }
}
