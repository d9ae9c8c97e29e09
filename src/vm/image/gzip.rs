//! Files compressed with gzip (RFC 1952), unpacked in pieces.
//!
//! Nothing holds the whole of what is inside: a window of 64 KiB goes round, and each time
//! it is full its contents are handed on. Size and checksum of the trailer are compared
//! with what came out.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use crate::error::Refusal;
use crate::refuse;

const MAGIC: [u8; 2] = [0x1f, 0x8b];
const DEFLATE: u8 = 8;
const HEADER_SIZE: usize = 10;
const TRAILER_SIZE: usize = 8;

/// Flags of the header: which optional fields follow it.
const HAS_HEADER_CRC: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0xe0;

/// What is handed on at once, in bytes: a power of two, and no less than deflate's 32 KiB.
const WINDOW: usize = 64 << 10;

/// A compressed file with a header and trailer that make sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Gzip<'a> {
    data: &'a [u8],
    crc: u32,
    size: u32,
}

/// Returns whether a file begins as a compressed one does.
pub(super) fn is_gzip(file: &[u8]) -> bool {
    file.starts_with(&MAGIC)
}

impl<'a> Gzip<'a> {
    /// Reads the header and the trailer, which is the last of the file.
    pub(super) fn read(file: &'a [u8]) -> Result<Self, Refusal> {
        let cut = || refuse!("the kernel, compressed with gzip, is cut short");
        let (rest, trailer) = file.split_last_chunk::<TRAILER_SIZE>().ok_or_else(cut)?;
        let (header, mut rest) = rest.split_first_chunk::<HEADER_SIZE>().ok_or_else(cut)?;
        let [one, other, method, flags, ..] = *header;
        if [one, other] != MAGIC || method != DEFLATE || flags & RESERVED != 0 {
            return Err(refuse!(
                "the kernel, compressed with gzip, has an unknown header: method {method}, flags {flags:#x}"
            ));
        }
        if flags & HAS_EXTRA != 0 {
            let (length, after) = rest.split_first_chunk().ok_or_else(cut)?;
            rest = after
                .get(usize::from(u16::from_le_bytes(*length))..)
                .ok_or_else(cut)?;
        }
        for text in [HAS_NAME, HAS_COMMENT] {
            if flags & text != 0 {
                let mut parts = rest.splitn(2, |&byte| byte == 0);
                rest = parts.nth(1).ok_or_else(cut)?;
            }
        }
        if flags & HAS_HEADER_CRC != 0 {
            rest = rest.get(2..).ok_or_else(cut)?;
        }
        let [c0, c1, c2, c3, s0, s1, s2, s3] = *trailer;
        Ok(Self {
            data: rest,
            crc: u32::from_le_bytes([c0, c1, c2, c3]),
            size: u32::from_le_bytes([s0, s1, s2, s3]),
        })
    }

    /// Returns how many bytes the trailer says are inside.
    pub(super) fn size(&self) -> u64 {
        self.size.into()
    }

    /// Begins to unpack what is inside.
    pub(super) fn unpack(self) -> Unpacking<'a> {
        Unpacking {
            rest: self.data,
            left: self.size(),
            file: self,
            inflate: Box::default(),
            window: vec![0; WINDOW],
            at: 0,
            crc: Crc::default(),
            is_done: false,
        }
    }

    fn larger(&self) -> Refusal {
        refuse!(
            "the kernel, compressed with gzip, is larger than the {} bytes it says",
            self.size
        )
    }

    /// Compares what came out with what the trailer says.
    fn check(&self, rest: &[u8], left: u64, crc: &Crc) -> Result<(), Refusal> {
        if !rest.is_empty() {
            return Err(refuse!(
                "the kernel, compressed with gzip, is followed by {} bytes of something else",
                rest.len()
            ));
        }
        if left != 0 {
            return Err(refuse!(
                "the kernel, compressed with gzip, is {left} bytes smaller than the {} it says",
                self.size
            ));
        }
        if crc.value() != self.crc {
            return Err(refuse!(
                "the kernel, compressed with gzip, is damaged: its checksum is {:#010x}, not {:#010x}",
                crc.value(),
                self.crc
            ));
        }
        Ok(())
    }
}

/// A file that is being unpacked.
pub(super) struct Unpacking<'a> {
    file: Gzip<'a>,
    inflate: Box<DecompressorOxide>,
    window: Vec<u8>,
    /// What has not been read yet.
    rest: &'a [u8],
    /// How much may still come out, in bytes.
    left: u64,
    /// Where in the window the next of it goes.
    at: usize,
    crc: Crc,
    is_done: bool,
}

impl Unpacking<'_> {
    /// Returns what comes next, of what is inside, a window at most; `None` after the last.
    ///
    /// # Errors
    ///
    /// Refuses damaged data, and data of another size or checksum than the trailer's. What
    /// has been returned by then is no more than the size.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, Refusal> {
        if self.is_done {
            return Ok(None);
        }
        let at = self.at;
        let (status, read, written) =
            decompress(&mut self.inflate, self.rest, &mut self.window, at, 0);
        self.rest = self.rest.get(read..).unwrap_or_default();
        let end = at.saturating_add(written);
        let piece = self.window.get(at..end).unwrap_or_default();
        let left = self.left.checked_sub(piece.len() as u64);
        self.left = left.ok_or_else(|| self.file.larger())?;
        self.crc.add(piece);
        self.at = if end >= WINDOW { 0 } else { end };
        match status {
            TINFLStatus::HasMoreOutput => {}
            TINFLStatus::Done => {
                self.is_done = true;
                self.file.check(self.rest, self.left, &self.crc)?;
            }
            TINFLStatus::FailedCannotMakeProgress => {
                return Err(refuse!("the kernel, compressed with gzip, is cut short"));
            }
            _ => return Err(refuse!("the kernel, compressed with gzip, is damaged")),
        }
        Ok(Some(piece))
    }
}

/// The cyclic redundancy check of RFC 1952, section 8.
#[derive(Clone, Copy, Default)]
struct Crc(u32);

impl Crc {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte: u8 = 0;
        loop {
            let mut value = byte as u32;
            let mut bit = 0;
            while bit < 8_u32 {
                value = value >> 1 ^ if value & 1 != 0 { 0xedb8_8320 } else { 0 };
                bit = bit.wrapping_add(1);
            }
            #[expect(clippy::indexing_slicing, reason = "a byte, into 256 values")]
            {
                table[byte as usize] = value;
            }
            if byte == u8::MAX {
                break table;
            }
            byte = byte.wrapping_add(1);
        }
    };

    fn add(&mut self, bytes: &[u8]) {
        self.0 = !bytes.iter().fold(!self.0, |crc, &byte| {
            let [low, ..] = crc.to_le_bytes();
            #[expect(clippy::indexing_slicing, reason = "a byte, into 256 values")]
            let value = Self::TABLE[usize::from(low ^ byte)];
            value ^ crc >> 8
        });
    }

    fn value(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
pub(super) mod tests;
