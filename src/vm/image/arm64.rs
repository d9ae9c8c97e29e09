//! The header of an arm64 Image (Linux, Documentation/arch/arm64/booting.rst).

use super::bytes;
use crate::bits::field;
use crate::error::Refusal;
use crate::refuse;

const MAGIC: [u8; 4] = *b"ARM\x64";
const MAGIC_AT: usize = 56;
const HEADER_SIZE: usize = 64;
/// Where an Image without a size goes, which is one of before Linux 3.17.
const LEGACY_OFFSET: u64 = 0x8_0000;

/// What the header of an Image says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arm64 {
    /// Where it wants to be, in bytes above a multiple of 2 MiB.
    pub text_offset: u64,
    /// How many bytes it takes in memory; 0 in Images of before Linux 3.17.
    pub image_size: u64,
    /// Whether it runs big-endian.
    pub big_endian: bool,
    /// Its page size in bytes, if it says.
    pub page_size: Option<u64>,
    /// Whether it may lie far from the start of RAM.
    pub anywhere: bool,
    /// The size of the file in bytes.
    pub file_size: u64,
}

/// Returns whether a file begins as an Image does.
pub(super) fn is_image(head: &[u8]) -> bool {
    bytes(head, MAGIC_AT) == Some(MAGIC)
}

/// Returns whether a file begins as an EFI program does.
pub(super) fn is_efi(head: &[u8]) -> bool {
    head.starts_with(b"MZ") && efi_header(head).is_some()
}

/// Returns where the header of an EFI program is in the file, which tells in its turn.
fn efi_header(head: &[u8]) -> Option<usize> {
    let at = u32::from_le_bytes(bytes(head, 60)?) as usize;
    (bytes(head, at) == Some(*b"PE\0\0")).then_some(at)
}

impl Arm64 {
    /// Reads the header of a file of `file_size` bytes.
    pub(super) fn read(head: &[u8], file_size: u64) -> Result<Self, Refusal> {
        let needed = efi_size(head).unwrap_or(0).max(HEADER_SIZE as u64);
        if file_size < needed {
            return Err(refuse!(
                "the kernel is an arm64 Image cut short: {file_size} of {needed} bytes are there"
            ));
        }
        let word = |at| bytes(head, at).map_or(0, u64::from_le_bytes);
        let (text_offset, image_size, flags) = (word(8), word(16), word(24));
        Ok(Self {
            text_offset: if image_size == 0 {
                LEGACY_OFFSET
            } else {
                text_offset
            },
            image_size,
            big_endian: flags & 1 != 0,
            page_size: match flags >> 1 & 3 {
                1 => Some(0x1000),
                2 => Some(0x4000),
                3 => Some(0x1_0000),
                _ => None,
            },
            anywhere: flags & 8 != 0,
            file_size,
        })
    }

    /// Returns how many bytes the kernel takes in memory.
    pub(super) fn memory_size(&self) -> u64 {
        self.image_size.max(self.file_size)
    }

    /// Checks that a CPU with this ID_AA64MMFR0_EL1 can run the kernel.
    pub(super) fn check_cpu(&self, mmfr0: u64) -> Result<(), Refusal> {
        if self.big_endian {
            return Err(refuse!(
                "the kernel is big-endian; guests start little-endian here"
            ));
        }
        match self.page_size {
            Some(size) if !has_granule(mmfr0, size) => Err(refuse!(
                "the kernel is for pages of {} KiB, which the CPU does not have",
                size >> 10
            )),
            _ => Ok(()),
        }
    }
}

/// Returns whether stage 1 has pages of this size (Arm ARM, ID_AA64MMFR0_EL1: TGran4,
/// TGran16, TGran64).
fn has_granule(mmfr0: u64, size: u64) -> bool {
    match size {
        0x1000 => field(mmfr0, 28, 4) != 0xf,
        0x4000 => field(mmfr0, 20, 4) != 0,
        _ => field(mmfr0, 24, 4) != 0xf,
    }
}

/// Returns how large the file of an Image that is an EFI program too is at least: where the
/// last of its sections ends (PE Format, "Section Table").
fn efi_size(head: &[u8]) -> Option<u64> {
    const ENTRY: usize = 40;
    let header = efi_header(head).filter(|_| head.starts_with(b"MZ"))?;
    let half = |at: usize| Some(usize::from(u16::from_le_bytes(bytes(head, at)?)));
    let (count, optional) = (
        half(header.checked_add(6)?)?,
        half(header.checked_add(20)?)?,
    );
    let table = header.checked_add(24)?.checked_add(optional)?;
    let sections = head.get(table..)?.chunks_exact(ENTRY).take(count);
    let end = |section: &[u8]| {
        let word = |at| bytes(section, at).map_or(0, u32::from_le_bytes);
        u64::from(word(16)).saturating_add(word(20).into())
    };
    sections.map(end).max()
}
