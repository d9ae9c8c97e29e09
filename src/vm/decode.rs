//! What an instruction without a syndrome does to a device: checked against the abort it caused.
//!
//! The instruction is read from memory after it ran, and another vCPU may have changed it since.
//! So what is decoded has to agree with what the CPU says of the abort, or it is refused.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::panic
    )
)]

use crate::isa::{
    esr::Access,
    instruction::{Other, Transfer},
};
use core::fmt;

/// Why an instruction was not emulated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    /// It is not of a kind that is.
    Kind(Other),
    /// It can't be read: its address has no translation any more, or not to RAM.
    NotFetched,
    /// It is not the one that caused the abort.
    Changed,
    /// It reaches over the end of a page, where another device or nothing may be.
    CrossesPage,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(other) => write!(f, "{other}"),
            Self::NotFetched => f.write_str("an instruction that can't be read"),
            Self::Changed => f.write_str("an instruction that has changed since"),
            Self::CrossesPage => f.write_str("an access over the end of a page"),
        }
    }
}

/// What an instruction does, access by access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Steps {
    /// The first access, at the abort's address.
    pub first: Access,
    /// The second, right behind it.
    pub second: Option<Access>,
    /// The base register and its new value.
    pub write_back: Option<(u8, u64)>,
}

/// Returns the accesses of a transfer whose base register holds `base` and which aborted at
/// `address`, as a store or not.
pub(super) fn steps(
    transfer: &Transfer,
    base: u64,
    address: u64,
    write: bool,
) -> Result<Steps, Refused> {
    /// The top byte may be a tag, which does not count.
    const ADDRESS: u64 = u64::MAX >> 8;
    const PAGE: u64 = 0x1000;
    let meant = transfer.address(base);
    if (meant ^ address) & ADDRESS != 0 || transfer.write != write {
        return Err(Refused::Changed);
    }
    let size = u64::from(transfer.size);
    let last = if transfer.rt2.is_some() { size } else { 0 };
    if (address % PAGE).wrapping_add(last) >= PAGE {
        return Err(Refused::CrossesPage);
    }
    let access = |rt| Access {
        size: transfer.size,
        rt,
        write,
        sign_extend: transfer.sign_extend,
        wide: transfer.wide,
    };
    Ok(Steps {
        first: access(transfer.rt),
        second: transfer.rt2.map(access),
        write_back: transfer
            .written_back(base)
            .map(|value| (transfer.rn, value)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::instruction::decode;

    const UART: u64 = 0x0900_0000;

    fn of(word: u32, base: u64, address: u64, write: bool) -> Result<Steps, Refused> {
        steps(&decode(word).unwrap(), base, address, write)
    }

    #[test]
    fn a_pair_is_two_accesses() {
        // ldpsw x0, x1, [x2], #8
        let steps = of(0x68c1_0440, UART, UART, false).unwrap();
        let access = |rt| Access {
            size: 4,
            rt,
            write: false,
            sign_extend: true,
            wide: true,
        };
        assert_eq!(steps.first, access(0));
        assert_eq!(steps.second, Some(access(1)));
        assert_eq!(steps.write_back, Some((2, UART + 8)));
    }

    #[test]
    fn a_pre_indexed_store_is_where_its_base_goes() {
        // strb w6, [x7, #1]!
        let steps = of(0x3800_1ce6, UART, UART + 1, true).unwrap();
        assert_eq!((steps.first.rt, steps.first.size), (6, 1));
        assert_eq!(steps.write_back, Some((7, UART + 1)));
        assert_eq!(steps.second, None);
        let plain = of(0xa940_0440, UART, UART, false).unwrap();
        assert_eq!(plain.write_back, None);
    }

    #[test]
    fn an_instruction_that_does_not_fit_its_abort_is_refused() {
        let ldr = 0xf840_8420; // ldr x0, [x1], #8
        assert!(of(ldr, UART, UART, false).is_ok());
        assert_eq!(of(ldr, UART, UART, true), Err(Refused::Changed));
        assert_eq!(of(ldr, UART + 8, UART, false), Err(Refused::Changed));
        let tagged = UART | 0x5a << 56;
        assert!(of(ldr, tagged, UART, false).is_ok(), "a tag is no address");
    }

    #[test]
    fn a_pair_stays_in_its_page() {
        let ldp = 0xa940_0440; // ldp x0, x1, [x2]
        for (offset, fits) in [(0xff0, true), (0xff8, false), (0xffc, false)] {
            let at = UART + offset;
            let expected = if fits {
                Ok(())
            } else {
                Err(Refused::CrossesPage)
            };
            assert_eq!(of(ldp, at, at, false).map(drop), expected, "{offset:#x}");
        }
        // One register at the very end is the bus's business.
        assert!(of(0xf840_8420, UART + 0xff8, UART + 0xff8, false).is_ok());
    }
}
