//! What a guest's kernel is and where it goes in guest RAM.
//!
//! The numbers come from a file somebody else wrote, so all arithmetic is checked.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

mod layout;

pub use layout::{Extent, Layout};

use crate::error::Refusal;
use crate::refuse;

/// Where QEMU puts a raw binary, from the start of RAM.
const RAW_OFFSET: u64 = 0x8_0000;
/// Where an arm64 Image without a size goes (Linux, Documentation/arch/arm64/booting.rst).
const LEGACY_OFFSET: u64 = 0x8_0000;

/// A kernel as a file tells of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kernel {
    /// A Linux Image for AArch64, or what is packed as one.
    Arm64 {
        /// Where it wants to be, in bytes above a multiple of 2 MiB.
        text_offset: u64,
        /// How many bytes it takes in memory; 0 in Images of before Linux 3.17.
        image_size: u64,
        /// Whether it runs big-endian.
        big_endian: bool,
        /// Its page size in bytes, if it says.
        page_size: Option<u64>,
        /// Whether it may lie far from the start of RAM.
        anywhere: bool,
        /// The size of the file in bytes.
        file_size: u64,
    },
    /// A program without a header we know.
    Raw {
        /// Where it goes, in bytes from the start of RAM.
        load: u64,
        /// The size of the file in bytes.
        file_size: u64,
    },
}

impl Kernel {
    /// Recognises a kernel; `load` is where a raw binary goes if not where QEMU puts it.
    ///
    /// # Errors
    ///
    /// Refuses formats that can't be started, and `load` for one that says itself.
    pub fn identify(file: &[u8], load: Option<u64>) -> Result<Self, Refusal> {
        if let Some(format) = unsupported(file) {
            return Err(refuse!(
                "the kernel is {format}; an arm64 Image or a raw binary is needed"
            ));
        }
        let file_size = file.len() as u64;
        if bytes(file, 56) != Some(*b"ARM\x64") {
            let load = load.unwrap_or(RAW_OFFSET);
            return Ok(Self::Raw { load, file_size });
        }
        if load.is_some() {
            return Err(refuse!(
                "load is for raw binaries, but the kernel is an arm64 Image"
            ));
        }
        let field = |at| bytes(file, at).map_or(0, u64::from_le_bytes);
        let (text_offset, image_size, flags) = (field(8), field(16), field(24));
        Ok(Self::Arm64 {
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

    /// Returns how many bytes the file has.
    pub fn file_size(&self) -> u64 {
        match *self {
            Self::Arm64 { file_size, .. } | Self::Raw { file_size, .. } => file_size,
        }
    }

    /// Returns how many bytes the kernel takes in memory before it can look around.
    pub fn memory_size(&self) -> u64 {
        match *self {
            Self::Arm64 {
                image_size,
                file_size,
                ..
            } => image_size.max(file_size),
            Self::Raw { file_size, .. } => file_size,
        }
    }
}

/// Names the format of a file that is no kernel we can start.
fn unsupported(file: &[u8]) -> Option<&'static str> {
    if file.is_empty() {
        Some("empty")
    } else if file.starts_with(&[0x1f, 0x8b]) {
        Some("compressed with gzip")
    } else if file.starts_with(b"\x7fELF") {
        Some("an ELF file")
    } else if bytes(file, 4) == Some(*b"zimg") {
        Some("an EFI program with a compressed kernel")
    } else if bytes(file, 0x24) == Some(0x016f_2818_u32.to_le_bytes()) {
        Some("a zImage for AArch32")
    } else {
        None
    }
}

fn bytes<const N: usize>(file: &[u8], at: usize) -> Option<[u8; N]> {
    file.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    fn image(text_offset: u64, image_size: u64, flags: u64) -> Vec<u8> {
        let mut file = vec![0; 100];
        file[8..16].copy_from_slice(&text_offset.to_le_bytes());
        file[16..24].copy_from_slice(&image_size.to_le_bytes());
        file[24..32].copy_from_slice(&flags.to_le_bytes());
        file[56..60].copy_from_slice(b"ARMd");
        file
    }

    fn refusal(file: &[u8]) -> alloc::string::String {
        Kernel::identify(file, None).unwrap_err().0
    }

    #[test]
    fn images_are_read() {
        let kernel = Kernel::identify(&image(0x1000, 0x20_0000, 0xa), None);
        let expected = Kernel::Arm64 {
            text_offset: 0x1000,
            image_size: 0x20_0000,
            big_endian: false,
            page_size: Some(0x1000),
            anywhere: true,
            file_size: 100,
        };
        assert_eq!(kernel, Ok(expected));
        assert_eq!(expected.memory_size(), 0x20_0000);
        assert_eq!(expected.file_size(), 100);
        let big = Kernel::identify(&image(0, 1, 0x7), None).unwrap();
        assert!(matches!(
            big,
            Kernel::Arm64 {
                big_endian: true,
                page_size: Some(0x1_0000),
                anywhere: false,
                ..
            }
        ));
        assert_eq!(big.memory_size(), 100);
    }

    #[test]
    fn an_image_without_a_size_is_an_old_one() {
        assert!(matches!(
            Kernel::identify(&image(0x1234, 0, 0), None),
            Ok(Kernel::Arm64 {
                text_offset: 0x8_0000,
                image_size: 0,
                page_size: None,
                ..
            })
        ));
    }

    #[test]
    fn anything_else_is_raw() {
        assert_eq!(
            Kernel::identify(&[0; 60], None),
            Ok(Kernel::Raw {
                load: 0x8_0000,
                file_size: 60
            })
        );
        assert_eq!(
            Kernel::identify(&[7], Some(0)),
            Ok(Kernel::Raw {
                load: 0,
                file_size: 1
            })
        );
        // Cut in the middle of the magic number.
        let cut = &image(0, 1, 0)[..59];
        assert!(matches!(
            Kernel::identify(cut, None),
            Ok(Kernel::Raw { .. })
        ));
    }

    #[test]
    fn what_cannot_start_is_named() {
        let expected = |format| {
            alloc::format!("the kernel is {format}; an arm64 Image or a raw binary is needed")
        };
        assert_eq!(refusal(&[]), expected("empty"));
        assert_eq!(refusal(b"\x1f\x8b\x08"), expected("compressed with gzip"));
        assert_eq!(refusal(b"\x7fELF\x02"), expected("an ELF file"));
        assert_eq!(
            refusal(b"MZ\0\0zimg"),
            expected("an EFI program with a compressed kernel")
        );
        let mut arm = [0; 64];
        arm[0x24..0x28].copy_from_slice(&0x016f_2818_u32.to_le_bytes());
        assert_eq!(refusal(&arm), expected("a zImage for AArch32"));
        assert_eq!(
            Kernel::identify(&image(0, 1, 0), Some(0)).unwrap_err().0,
            "load is for raw binaries, but the kernel is an arm64 Image"
        );
    }
}
