//! ELF programs for AArch64 (System V ABI, "Object Files"; ELF for the Arm 64-bit
//! Architecture): which pieces of the file go where, and where the program starts.
//!
//! Segments go to the addresses they name as physical ones if those are guest RAM. If none
//! of them is, the program is taken for one that runs wherever it lies, and all of it is
//! moved: the multiple of 2 MiB below its lowest address comes to the first one in RAM.

use core::ops::Range;

use alloc::vec::Vec;

use super::{Extent, Piece, bytes};
use crate::addr::Ipa;
use crate::bits::align_up;
use crate::error::Refusal;
use crate::refuse;

pub(super) const MAGIC: [u8; 4] = *b"\x7fELF";

const CLASS_64: u8 = 2;
const LITTLE_ENDIAN: u8 = 1;
const MACHINE_AARCH64: u16 = 183;
const EXECUTABLE: u16 = 2;
const POSITION_INDEPENDENT: u16 = 3;
const LOAD: u32 = 1;

const HEADER_SIZE: u64 = 64;
const ENTRY_SIZE: u64 = 56;
/// More segments than any linker makes.
const MAX_SEGMENTS: u16 = 64;

/// What a program that is moved is moved by a multiple of.
const BLOCK: u64 = 2 << 20;

/// A program's segments, in the order of their addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Elf {
    segments: Vec<Segment>,
    entry: u64,
}

/// A part of the file that goes to memory, with zeroes after it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Segment {
    file: Range<u64>,
    start: u64,
    end: u64,
}

impl Elf {
    /// Reads the tables of a file of `size` bytes, of which `head` is the beginning.
    pub(super) fn read(head: &[u8], size: u64) -> Result<Self, Refusal> {
        check_header(head)?;
        let half = |at| bytes(head, at).map_or(0, u16::from_le_bytes);
        let word = |at| bytes(head, at).map_or(0, u64::from_le_bytes);
        let (table, entry_size, count) = (word(32), half(54), half(56));
        if u64::from(entry_size) != ENTRY_SIZE || !(1..=MAX_SEGMENTS).contains(&count) {
            return Err(refuse!(
                "the kernel is an ELF file with {count} program headers of {entry_size} bytes"
            ));
        }
        let length = ENTRY_SIZE.saturating_mul(count.into());
        let end = table.checked_add(length);
        if table < HEADER_SIZE || end.is_none_or(|end| end > head.len() as u64) {
            let reason = if end.is_some_and(|end| end <= size) {
                "too far into a compressed file"
            } else {
                "not all there: the file is cut short"
            };
            return Err(refuse!(
                "the kernel is an ELF file whose program headers, at {table:#x}, are {reason}"
            ));
        }
        let headers = head
            .get(table as usize..)
            .unwrap_or_default()
            .chunks_exact(ENTRY_SIZE as usize)
            .take(count.into());
        let mut program = Self {
            segments: Vec::new(),
            entry: word(24),
        };
        let mut entry = None;
        for header in headers {
            let Some(header) = Header::read(header) else {
                continue;
            };
            let segment = header.segment(size)?;
            let place = (program.segments).partition_point(|other| other.start <= segment.start);
            program.segments.insert(place, segment);
            entry = entry.or(header.physical(program.entry));
        }
        program.entry = entry.unwrap_or(program.entry);
        program.finish()
    }

    /// Checks the segments against each other.
    fn finish(self) -> Result<Self, Refusal> {
        if let Some([one, other]) = self
            .segments
            .array_windows()
            .find(|[one, other]| one.end > other.start)
        {
            return Err(refuse!(
                "the kernel is an ELF file whose segments at {:#x} and {:#x} overlap",
                one.start,
                other.start
            ));
        }
        if self.segments.is_empty() {
            return Err(refuse!("the kernel is an ELF file with nothing to load"));
        }
        let inside = |segment: &Segment| (segment.start..segment.end).contains(&self.entry);
        if !self.segments.iter().any(inside) {
            return Err(refuse!(
                "the kernel is an ELF file whose entry, {:#x}, is in none of its segments",
                self.entry
            ));
        }
        Ok(self)
    }

    /// Returns the lowest address and the one after the highest, as the file says.
    fn span(&self) -> Range<u64> {
        let start = self.segments.first().map_or(0, |segment| segment.start);
        start..self.segments.last().map_or(start, |segment| segment.end)
    }

    /// Returns how many bytes the segments span.
    pub(super) fn memory_size(&self) -> u64 {
        let span = self.span();
        span.end.saturating_sub(span.start)
    }

    /// Returns the memory the program takes, and its entry.
    ///
    /// # Errors
    ///
    /// Refuses segments outside RAM.
    pub(super) fn place(&self, ram: Extent) -> Result<(Extent, Ipa), Refusal> {
        let addresses = ram.start.as_u64()..ram.end().as_u64();
        let fits =
            |segment: &&Segment| addresses.start <= segment.start && segment.end <= addresses.end;
        let outside = |segment: &Segment| {
            refuse!(
                "the kernel is an ELF file whose segment of {} bytes at {:#x} is outside its RAM, \
                 {} bytes at {}",
                segment.end.saturating_sub(segment.start),
                segment.start,
                ram.size,
                ram.start
            )
        };
        let offset = match self.segments.iter().find(|segment| !fits(segment)) {
            None => 0,
            Some(first) if self.segments.iter().any(|segment| touches(segment, ram)) => {
                return Err(outside(first));
            }
            Some(first) => {
                let base = align_up(addresses.start, BLOCK).ok_or_else(|| outside(first))?;
                base.wrapping_sub(first.start & !BLOCK.wrapping_sub(1))
            }
        };
        let span = self.span();
        let place = Extent::new(
            Ipa::new(span.start.wrapping_add(offset)),
            self.memory_size(),
        );
        match place.filter(|place| ram.contains(*place)) {
            Some(place) => Ok((place, Ipa::new(self.entry.wrapping_add(offset)))),
            None => Err(refuse!(
                "{} bytes of RAM do not hold a kernel of {} bytes",
                ram.size,
                self.memory_size()
            )),
        }
    }

    /// Returns what of the file goes where.
    pub(super) fn pieces(&self) -> Vec<Piece> {
        let start = self.span().start;
        let piece = |segment: &Segment| Piece {
            file: segment.file.clone(),
            offset: segment.start.saturating_sub(start),
        };
        self.segments.iter().map(piece).collect()
    }
}

fn touches(segment: &Segment, ram: Extent) -> bool {
    segment.start < ram.end().as_u64() && ram.start.as_u64() < segment.end
}

fn check_header(head: &[u8]) -> Result<(), Refusal> {
    let half = |at| bytes(head, at).map_or(0, u16::from_le_bytes);
    let [class, data] = bytes(head, 4).unwrap_or_default();
    let (kind, machine) = (half(16), half(18));
    let what = if (head.len() as u64) < HEADER_SIZE {
        "cut short in its header"
    } else if class != CLASS_64 {
        "not a 64-bit one"
    } else if data != LITTLE_ENDIAN {
        "big-endian"
    } else if machine != MACHINE_AARCH64 {
        "for another architecture than AArch64"
    } else if !matches!(kind, EXECUTABLE | POSITION_INDEPENDENT) {
        "not a program"
    } else {
        return Ok(());
    };
    Err(refuse!("the kernel is an ELF file, but {what}"))
}

/// The program header of a segment to load.
struct Header {
    offset: u64,
    virtual_address: u64,
    physical_address: u64,
    file_size: u64,
    memory_size: u64,
}

impl Header {
    /// Reads a header; `None` for one of something that takes no memory.
    fn read(header: &[u8]) -> Option<Self> {
        let word = |at| bytes(header, at).map(u64::from_le_bytes);
        let kind = bytes(header, 0).map(u32::from_le_bytes)?;
        let memory_size = word(40)?;
        Some(Self {
            offset: word(8)?,
            virtual_address: word(16)?,
            physical_address: word(24)?,
            file_size: word(32)?,
            memory_size,
        })
        .filter(|_| kind == LOAD && memory_size != 0)
    }

    fn segment(&self, size: u64) -> Result<Segment, Refusal> {
        let bad = |what: &str| {
            refuse!(
                "the kernel is an ELF file whose segment at {:#x} {what}",
                self.physical_address
            )
        };
        if self.file_size > self.memory_size {
            return Err(bad("is larger in the file than in memory"));
        }
        let file_end = self.offset.checked_add(self.file_size);
        Ok(Segment {
            file: file_end
                .filter(|&end| end <= size)
                .map(|end| self.offset..end)
                .ok_or_else(|| bad("is not all there: the file is cut short"))?,
            start: self.physical_address,
            end: self
                .physical_address
                .checked_add(self.memory_size)
                .ok_or_else(|| bad("ends past the last address"))?,
        })
    }

    /// Translates a virtual address in this segment to a physical one.
    fn physical(&self, address: u64) -> Option<u64> {
        let offset = address.checked_sub(self.virtual_address)?;
        (offset < self.memory_size).then(|| self.physical_address.checked_add(offset))?
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
pub(super) mod tests;
