//! The header of a zImage: a Linux kernel for AArch32 that unpacks itself (Linux,
//! arch/arm/boot/compressed/head.S, Documentation/arch/arm/booting.rst).

use super::bytes;
use crate::error::Refusal;
use crate::refuse;

const MAGIC: u32 = 0x016f_2818;
const MAGIC_AT: usize = 0x24;
/// Where the words are that say where the image starts and ends when it is linked.
const START_AT: usize = 0x28;
const END_AT: usize = 0x2c;
/// A word that is this in the kernel's own byte order.
const ORDER_AT: usize = 0x30;
const ORDER: u32 = 0x0403_0201;

/// What the header of a zImage says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Zimage {
    /// Whether it runs big-endian.
    pub big_endian: bool,
    /// The size of the file in bytes.
    pub file_size: u64,
}

/// Returns whether a file begins as a zImage does.
pub(super) fn is_zimage(head: &[u8]) -> bool {
    word(head, MAGIC_AT) == Some(MAGIC)
}

fn word(head: &[u8], at: usize) -> Option<u32> {
    bytes(head, at).map(u32::from_le_bytes)
}

impl Zimage {
    /// Reads the header of a file of `file_size` bytes.
    pub(super) fn read(head: &[u8], file_size: u64) -> Result<Self, Refusal> {
        let at = |at| word(head, at).unwrap_or(0);
        let needed = u64::from(at(END_AT).wrapping_sub(at(START_AT)));
        if file_size < needed {
            return Err(refuse!(
                "the kernel is a zImage cut short: {file_size} of {needed} bytes are there"
            ));
        }
        Ok(Self {
            big_endian: at(ORDER_AT) == ORDER.swap_bytes(),
            file_size,
        })
    }
}
