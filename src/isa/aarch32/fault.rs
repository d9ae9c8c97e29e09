//! What AArch32's fault status registers say: DFSR and IFSR, in both formats.

use crate::bits::with_field;

/// What went wrong, of the aborts that EL2 hands to a guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A synchronous external abort, not on a walk.
    External,
    /// A synchronous external abort on a walk, at a level.
    Walk(u8),
    /// An alignment fault.
    Alignment,
    /// A debug event: a BKPT instruction.
    Debug,
}

/// DFSR.WnR: a write.
pub const WRITE: u64 = 1 << 11;
/// DFSR.CM: cache maintenance.
pub const CACHE_MAINTENANCE: u64 = 1 << 13;
/// TTBCR.EAE: descriptors, and fault status, are long.
pub const EAE: u32 = 31;

impl Fault {
    /// Returns DFSR or IFSR (Arm ARM, G8.2.51 and G8.2.71), without what only DFSR has; `long` with
    /// TTBCR.EAE set.
    pub const fn status(self, long: bool) -> u64 {
        if long {
            const LPAE: u64 = 1 << 9;
            return LPAE | self.long();
        }
        // FS[4] is bit 10.
        let fs = self.short();
        with_field(fs & 0b1111, 10, 1, fs >> 4)
    }

    /// Returns the status of the Long-descriptor format, which has levels 1 to 3.
    const fn long(self) -> u64 {
        match self {
            Self::External => 0b01_0000,
            Self::Walk(0 | 1) => 0b01_0101,
            Self::Walk(2) => 0b01_0110,
            Self::Walk(_) => 0b01_0111,
            Self::Alignment => 0b10_0001,
            Self::Debug => 0b10_0010,
        }
    }

    /// Returns the status of the Short-descriptor format, which has levels 1 and 2.
    const fn short(self) -> u64 {
        match self {
            Self::External => 0b0_1000,
            Self::Walk(0 | 1) => 0b0_1100,
            Self::Walk(_) => 0b0_1110,
            Self::Alignment => 0b0_0001,
            Self::Debug => 0b0_0010,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_the_manuals_in_both_formats() {
        for (fault, long, short) in [
            (Fault::External, 0x210, 0x8),
            (Fault::Walk(0), 0x215, 0xc),
            (Fault::Walk(1), 0x215, 0xc),
            (Fault::Walk(2), 0x216, 0xe),
            (Fault::Walk(3), 0x217, 0xe),
            (Fault::Alignment, 0x221, 0x1),
            (Fault::Debug, 0x222, 0x2),
        ] {
            assert_eq!(fault.status(true), long, "{fault:?}");
            assert_eq!(fault.status(false), short, "{fault:?}");
        }
    }
}
