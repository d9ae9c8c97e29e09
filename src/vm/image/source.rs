//! A kernel's file, and what it holds when it is unpacked.

use alloc::borrow::Cow;

use super::gzip::{self, Gzip};
use super::{Piece, bytes};
use crate::error::Refusal;
use crate::refuse;

/// A kernel's file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Source<'a>(Packing<'a>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Packing<'a> {
    None(&'a [u8]),
    Gzip(Gzip<'a>),
}

impl<'a> Source<'a> {
    /// Looks at how a file is packed.
    ///
    /// # Errors
    ///
    /// Refuses a damaged header, and a packed kernel compressed with anything but gzip.
    pub fn open(file: &'a [u8]) -> Result<Self, Refusal> {
        let file = zboot_payload(file)?.unwrap_or(file);
        if gzip::is_gzip(file) {
            Gzip::read(file).map(Packing::Gzip).map(Self)
        } else {
            Ok(Self(Packing::None(file)))
        }
    }

    /// Returns how many bytes the unpacked file has, by its own account.
    pub fn size(&self) -> u64 {
        match self.0 {
            Packing::None(file) => file.len() as u64,
            Packing::Gzip(file) => file.size(),
        }
    }

    /// Returns the unpacked file's beginning: all of it, or 64 KiB of a compressed one.
    ///
    /// # Errors
    ///
    /// Refuses damaged data.
    pub fn head(&self) -> Result<Cow<'a, [u8]>, Refusal> {
        match self.0 {
            Packing::None(file) => Ok(file.into()),
            Packing::Gzip(file) => {
                let mut unpacking = file.unpack();
                let head = unpacking.next()?;
                Ok(head.unwrap_or_default().to_vec().into())
            }
        }
    }

    /// Begins to unpack the file.
    pub fn unpacking(&self) -> Unpacking<'a> {
        Unpacking {
            at: 0,
            rest: match self.0 {
                Packing::None(file) => Rest::Plain(file),
                Packing::Gzip(file) => Rest::Gzip(file.unpack()),
            },
        }
    }

    /// Hands the unpacked file's pieces to `put`, in parts, each with its place from the
    /// start of the kernel's memory.
    ///
    /// # Errors
    ///
    /// Refuses damaged data, and whatever `put` does.
    pub fn unpack(
        &self,
        pieces: &[Piece],
        mut put: impl FnMut(u64, &[u8]) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let mut unpacking = self.unpacking();
        while unpacking.next(pieces, &mut put)? {}
        Ok(())
    }
}

/// A file that is being unpacked, a part at a time.
pub struct Unpacking<'a> {
    /// Where the next part is in the unpacked file, in bytes from its beginning.
    at: u64,
    rest: Rest<'a>,
}

enum Rest<'a> {
    Plain(&'a [u8]),
    Gzip(gzip::Unpacking<'a>),
}

/// How much of a file that is not compressed is handed on at once, in bytes.
const PART: usize = 512 << 10;

impl Unpacking<'_> {
    /// Hands what `pieces` say of the file's next part to `put`, each with its place from the start of
    /// the kernel's memory. Returns whether there was a part.
    ///
    /// # Errors
    ///
    /// Refuses damaged data, and whatever `put` does.
    pub fn next(
        &mut self,
        pieces: &[Piece],
        put: &mut impl FnMut(u64, &[u8]) -> Result<(), Refusal>,
    ) -> Result<bool, Refusal> {
        let part = match &mut self.rest {
            Rest::Gzip(file) => file.next()?,
            Rest::Plain([]) => None,
            Rest::Plain(rest) => {
                let (part, after) = rest.split_at(rest.len().min(PART));
                *rest = after;
                Some(part)
            }
        };
        let Some(part) = part else {
            return Ok(false);
        };
        cut(pieces, self.at, part, put)?;
        self.at = self.at.saturating_add(part.len() as u64);
        Ok(true)
    }
}

/// Hands on what `pieces` say of a part of the file that begins at `at`.
fn cut(
    pieces: &[Piece],
    at: u64,
    part: &[u8],
    put: &mut impl FnMut(u64, &[u8]) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let end = at.saturating_add(part.len() as u64);
    for piece in pieces {
        let (from, to) = (piece.file.start.max(at), piece.file.end.min(end));
        if from >= to {
            continue;
        }
        let bytes = from.saturating_sub(at) as usize..to.saturating_sub(at) as usize;
        let place = piece
            .offset
            .saturating_add(from.saturating_sub(piece.file.start));
        put(place, part.get(bytes).unwrap_or_default())?;
    }
    Ok(())
}

/// Returns the compressed kernel in an EFI program that unpacks itself, if the file is one
/// (Linux, drivers/firmware/efi/libstub/zboot-header.S).
fn zboot_payload(file: &[u8]) -> Result<Option<&[u8]>, Refusal> {
    if !file.starts_with(b"MZ") || bytes(file, 4) != Some(*b"zimg") {
        return Ok(None);
    }
    let word = |at| bytes(file, at).map_or(0, u32::from_le_bytes) as usize;
    let method = file.get(24..56).unwrap_or_default();
    let method = method.split(|&byte| byte == 0).next().unwrap_or_default();
    if method != b"gzip" {
        return Err(refuse!(
            "the kernel is packed as an EFI program with {:?}; gzip is needed",
            alloc::string::String::from_utf8_lossy(method)
        ));
    }
    let payload = word(8)
        .checked_add(word(12))
        .and_then(|end| file.get(word(8)..end))
        .filter(|payload| gzip::is_gzip(payload));
    payload.map(Some).ok_or_else(|| {
        refuse!("the kernel is packed as an EFI program, but what it says of itself is wrong, or it is cut short")
    })
}
