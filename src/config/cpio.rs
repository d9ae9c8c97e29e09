//! The bundle's archive: `cpio` in its newc form.
//!
//! Each entry is a header of hexadecimal text, a name and data, the latter two padded to
//! words (`cpio(5)`, "New ASCII Format"). What follows the trailer is not looked at: loaders
//! pad archives with zeros.

use alloc::vec;
use alloc::vec::Vec;

use super::File;
use crate::error::Refusal;
use crate::refuse;

const HEADER_SIZE: usize = 110;
const TRAILER: &str = "TRAILER!!!";
/// The bits of a mode that tell what an entry is, and a file's.
const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;

/// A checked archive: its regular files, in order.
#[derive(Clone, Debug)]
pub struct Archive<'a> {
    files: Vec<File<'a>>,
}

impl<'a> Archive<'a> {
    /// Reads an archive in whole.
    ///
    /// Directories and the like are passed over; a leading `./` of a name is dropped.
    ///
    /// # Errors
    ///
    /// Refuses, naming the entry, what is cut short, no newc archive, damaged or ambiguous.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let mut reader = Reader {
            bytes,
            at: 0,
            entry: 0,
        };
        let mut files = vec![];
        while let Some(file) = reader.next()? {
            files.extend(file);
        }
        refuse_duplicates(&files)?;
        Ok(Self { files })
    }

    /// Returns the files in the order of the archive.
    pub fn files(&self) -> &[File<'a>] {
        &self.files
    }

    /// Returns the file of that name.
    pub fn get(&self, name: &str) -> Option<File<'a>> {
        let name = plain(name);
        self.files.iter().copied().find(|file| file.name == name)
    }

    /// Returns the contents of the file of that name.
    pub fn find(&self, name: &str) -> Option<&'a [u8]> {
        self.get(name).map(|file| file.bytes)
    }
}

/// Drops what tools put before a name that means nothing.
fn plain(name: &str) -> &str {
    name.trim_start_matches("./")
}

fn refuse_duplicates(files: &[File<'_>]) -> Result<(), Refusal> {
    let mut rest = files;
    while let Some((file, others)) = rest.split_first() {
        if others.iter().any(|other| other.name == file.name) {
            return Err(refuse!("bundle: two files named {:?}", file.name));
        }
        rest = others;
    }
    Ok(())
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    entry: usize,
}

/// The fields of an entry's header that mean something to us.
struct Header {
    mode: u32,
    links: u32,
    data_size: usize,
    name_size: usize,
    checksum: Option<u32>,
}

impl<'a> Reader<'a> {
    /// Reads an entry: `None` at the trailer, `Some(None)` for one that is no file.
    fn next(&mut self) -> Result<Option<Option<File<'a>>>, Refusal> {
        self.entry += 1;
        let header = self.header()?;
        let name = self.name(header.name_size)?;
        if name == TRAILER {
            return Ok(None);
        }
        let data = self.take(header.data_size).ok_or_else(|| {
            refuse!(
                "bundle: cut short in {name:?}: {} of its {} bytes are there",
                self.bytes.len().saturating_sub(self.at),
                header.data_size
            )
        })?;
        if header.mode & KIND != REGULAR {
            return Ok(Some(None));
        }
        header.check(name, data)?;
        Ok(Some(Some(File {
            name: plain(name),
            bytes: data,
        })))
    }

    fn header(&mut self) -> Result<Header, Refusal> {
        let (entry, at) = (self.entry, self.at);
        let header = self
            .bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk::<HEADER_SIZE>())
            .ok_or_else(|| refuse!("bundle: cut short in the header of entry {entry}"))?;
        let checked = match header.first_chunk() {
            Some(b"070701") => false,
            Some(b"070702") => true,
            Some([0x1f, 0x8b, ..]) if entry == 1 => {
                return Err(refuse!(
                    "bundle: compressed with gzip; it must be a plain newc archive"
                ));
            }
            _ => {
                return Err(refuse!(
                    "bundle: no newc archive at entry {entry}, offset {at:#x}"
                ));
            }
        };
        let field = |index: usize| {
            header
                .get(6 + 8 * index..)
                .and_then(|rest| rest.first_chunk())
                .and_then(hexadecimal)
                .ok_or_else(|| {
                    refuse!(
                        "bundle: field {index} of the header of entry {entry} is not hexadecimal"
                    )
                })
        };
        for index in 0..13 {
            field(index)?;
        }
        self.at += HEADER_SIZE;
        Ok(Header {
            mode: field(1)?,
            links: field(4)?,
            data_size: field(6)? as usize,
            name_size: field(11)? as usize,
            checksum: checked.then(|| field(12)).transpose()?,
        })
    }

    fn name(&mut self, size: usize) -> Result<&'a str, Refusal> {
        let entry = self.entry;
        let bytes = self
            .take(size)
            .ok_or_else(|| refuse!("bundle: cut short in the name of entry {entry}"))?;
        match bytes.split_last() {
            Some((0, name)) if !name.is_empty() && !name.contains(&0) => core::str::from_utf8(name)
                .map_err(|_| refuse!("bundle: the name of entry {entry} is not UTF-8")),
            _ => Err(refuse!(
                "bundle: the name of entry {entry} is empty or does not end"
            )),
        }
    }

    /// Takes `size` bytes and the padding after them, which the archive's end may cut.
    fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(size)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end.checked_next_multiple_of(4)?;
        Some(taken)
    }
}

impl Header {
    fn check(&self, name: &str, data: &[u8]) -> Result<(), Refusal> {
        if self.links > 1 && data.is_empty() {
            // Newc stores the data of hard links with the last of them.
            return Err(refuse!(
                "bundle: {name:?} is a hard link; store it as a file"
            ));
        }
        let sum = || {
            data.iter()
                .fold(0_u32, |sum, &byte| sum.wrapping_add(byte.into()))
        };
        match self.checksum {
            Some(told) if told != sum() => Err(refuse!(
                "bundle: {name:?} is damaged: its checksum is {:#x}, not {told:#x}",
                sum()
            )),
            _ => Ok(()),
        }
    }
}

/// Reads eight hexadecimal digits; no sign, unlike `from_str_radix`.
fn hexadecimal(text: &[u8; 8]) -> Option<u32> {
    text.iter().try_fold(0, |number, &digit| {
        Some(number << 4 | char::from(digit).to_digit(16)?)
    })
}

#[cfg(test)]
pub(super) mod tests;
