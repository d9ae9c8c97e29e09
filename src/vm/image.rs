//! What a guest's kernel is and where it goes in guest RAM.
//!
//! A kernel is an arm64 Image, a zImage for AArch32, an ELF program or a raw binary; each may be
//! compressed with gzip, and an Image may be packed as an EFI program that unpacks itself ("zboot").
//!
//! The numbers come from a file somebody else wrote, so all arithmetic is checked.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

mod arm64;
pub mod elf;
mod gzip;
mod layout;
mod source;
mod zimage;

use core::ops::Range;

use alloc::vec;
use alloc::vec::Vec;

pub use arm64::Arm64;
use elf::Elf;
pub use layout::{Extent, Layout};
pub use source::{Source, Unpacking};
pub use zimage::Zimage;

#[cfg(test)]
pub(super) use gzip::tests::gzip as gzipped;

use crate::error::Refusal;
use crate::refuse;

/// Where QEMU puts a raw binary, from the start of RAM.
const RAW_OFFSET: u64 = 0x8_0000;

/// A kernel as a file tells of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kernel {
    /// A Linux Image for AArch64, or what is packed as one.
    Arm64(Arm64),
    /// A Linux zImage for AArch32.
    Zimage(Zimage),
    /// An ELF program.
    Elf(Elf),
    /// A program without a header we know.
    Raw {
        /// Where it goes, in bytes from the start of RAM.
        load: u64,
        /// The size of the file in bytes.
        file_size: u64,
    },
}

/// A part of an unpacked file that goes to memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Which bytes of the file.
    pub file: Range<u64>,
    /// Where they go, in bytes from the start of the kernel's memory.
    pub offset: u64,
}

impl Kernel {
    /// Recognises an unpacked kernel of `size` bytes by its beginning, `head`.
    ///
    /// `load` is where a raw binary goes if not where QEMU puts it.
    ///
    /// # Errors
    ///
    /// Refuses formats that can't be started, damaged headers, and `load` for a format that
    /// says itself where it goes.
    pub fn identify(head: &[u8], size: u64, load: Option<u64>) -> Result<Self, Refusal> {
        let (kernel, name) = if arm64::is_image(head) {
            (Self::Arm64(Arm64::read(head, size)?), "an arm64 Image")
        } else if zimage::is_zimage(head) {
            (Self::Zimage(Zimage::read(head, size)?), "a zImage")
        } else if head.starts_with(&elf::MAGIC) {
            (Self::Elf(Elf::read(head, size)?), "an ELF file")
        } else if let Some(format) = unsupported(head) {
            return Err(refuse!(
                "the kernel is {format}; an arm64 Image, a zImage, an ELF program or a raw binary is needed"
            ));
        } else {
            return Ok(Self::Raw {
                load: load.unwrap_or(RAW_OFFSET),
                file_size: size,
            });
        };
        match load {
            Some(_) => Err(refuse!(
                "load is for raw binaries, but the kernel is {name}"
            )),
            None => Ok(kernel),
        }
    }

    /// Checks that a CPU with this ID_AA64MMFR0_EL1 can run the kernel.
    ///
    /// # Errors
    ///
    /// Refuses a kernel that is big-endian, and an Image for a page size the CPU does not have.
    pub fn check_cpu(&self, mmfr0: u64) -> Result<(), Refusal> {
        match self {
            Self::Arm64(image) => image.check_cpu(mmfr0),
            Self::Zimage(image) if image.big_endian => Err(refuse!(
                "the kernel is big-endian; guests start little-endian here"
            )),
            Self::Zimage(_) | Self::Elf(_) | Self::Raw { .. } => Ok(()),
        }
    }

    /// Checks that the kernel starts in the state that the VM's owner says, AArch32 or AArch64.
    ///
    /// # Errors
    ///
    /// Refuses what is known to be for the other.
    pub fn check_state(&self, aarch32: bool) -> Result<(), Refusal> {
        match (self, aarch32) {
            (Self::Zimage(_), false) => Err(refuse!(
                "the kernel is a zImage for AArch32, which takes aarch32 = true"
            )),
            (Self::Arm64(_) | Self::Elf(_), true) => Err(refuse!(
                "the kernel is for AArch64; aarch32 = true takes a zImage or a raw binary"
            )),
            _ => Ok(()),
        }
    }

    /// Returns how many bytes the kernel takes in memory before it can look around.
    pub fn memory_size(&self) -> u64 {
        match self {
            Self::Arm64(image) => image.memory_size(),
            Self::Zimage(image) => image.file_size,
            Self::Elf(program) => program.memory_size(),
            Self::Raw { file_size, .. } => *file_size,
        }
    }

    /// Returns what of the unpacked file goes where; what is in no piece is zeroes.
    pub fn pieces(&self) -> Vec<Piece> {
        let whole = |size| {
            vec![Piece {
                file: 0..size,
                offset: 0,
            }]
        };
        match self {
            Self::Arm64(image) => whole(image.file_size),
            Self::Zimage(image) => whole(image.file_size),
            Self::Elf(program) => program.pieces(),
            Self::Raw { file_size, .. } => whole(*file_size),
        }
    }
}

/// Names the format of a file that is no kernel we can start.
fn unsupported(head: &[u8]) -> Option<&'static str> {
    let beginnings: [(&[u8], _); 9] = [
        (b"\x1f\x8b", "compressed with gzip twice"),
        (b"\xfd7zXZ\0", "compressed with xz"),
        (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
        (b"BZh", "compressed with bzip2"),
        (b"\x04\x22\x4d\x18", "compressed with lz4"),
        (b"\x02\x21\x4c\x18", "compressed with lz4"),
        (b"\x27\x05\x19\x56", "an image of U-Boot's (uImage)"),
        (b"\xd0\x0d\xfe\xed", "a device tree or a FIT image"),
        (b"070701", "a cpio archive"),
    ];
    if head.is_empty() {
        Some("empty")
    } else if arm64::is_efi(head) {
        Some("an EFI program without an arm64 Image in it")
    } else {
        let found = beginnings.iter().find(|(magic, _)| head.starts_with(magic));
        found.map(|&(_, name)| name)
    }
}

fn bytes<const N: usize>(file: &[u8], at: usize) -> Option<[u8; N]> {
    file.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod tests;
