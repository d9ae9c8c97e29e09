//! Loads and stores as instruction words: what an abort's syndrome does not describe.
//!
//! ESR_ELx.ISV is 0 for pairs and for base registers that are written back (Arm ARM, "ISS encoding
//! for an exception from a Data Abort"). Those forms of general registers are decoded here; what
//! else can reach a device without a syndrome is named by [`Other`].

#[cfg(test)]
mod tests;

use crate::bits::{bit, field, sign_extend};
use core::fmt;

/// A load or store of one or two general registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// The first register; 31 is the zero register.
    pub rt: u8,
    /// The second one of a pair, whose place in memory follows.
    pub rt2: Option<u8>,
    /// The base register; 31 is the stack pointer.
    pub rn: u8,
    /// What is added to the base, in bytes.
    pub offset: i64,
    /// When, and whether the base keeps it.
    pub index: Index,
    /// Bytes of each register in memory: 1, 2, 4 or 8.
    pub size: u8,
    /// Whether it is a store.
    pub write: bool,
    /// Whether a load extends the sign.
    pub sign_extend: bool,
    /// Whether the registers are 64 bits wide.
    pub wide: bool,
}

/// How a base register and an offset make an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Index {
    /// Their sum is the address; the base stays.
    Offset,
    /// Their sum is the address, and the base's new value.
    Pre,
    /// The base is the address, their sum its new value.
    Post,
}

/// An instruction that is no [`Transfer`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Other {
    /// A load or store of FP or SIMD registers.
    Vector,
    /// A load or store exclusive, or a compare and swap.
    Exclusive,
    /// An atomic operation on memory.
    Atomic,
    /// Cache maintenance or zeroing by address.
    Cache,
    /// A load or store whose registers overlap: what it does is CONSTRAINED UNPREDICTABLE.
    Overlapping,
    /// Something else.
    Unknown,
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vector => "an FP or SIMD load or store",
            Self::Exclusive => "an exclusive load or store, or a compare and swap",
            Self::Atomic => "an atomic operation",
            Self::Cache => "cache maintenance",
            Self::Overlapping => "a load or store with overlapping registers",
            Self::Unknown => "an instruction of a kind that is not emulated",
        })
    }
}

impl Transfer {
    /// Returns the address of the first access, given the base register's value.
    pub const fn address(&self, base: u64) -> u64 {
        match self.index {
            Index::Offset | Index::Pre => base.wrapping_add_signed(self.offset),
            Index::Post => base,
        }
    }

    /// Returns the base register's new value, if it gets one.
    pub const fn written_back(&self, base: u64) -> Option<u64> {
        match self.index {
            Index::Offset => None,
            Index::Pre | Index::Post => Some(base.wrapping_add_signed(self.offset)),
        }
    }

    /// Returns whether a register is loaded twice, or both moved and written back.
    const fn overlaps(&self) -> bool {
        let second = match self.rt2 {
            Some(rt2) => rt2,
            None => self.rt,
        };
        let moves_base = !matches!(self.index, Index::Offset) && self.rn != 31;
        let is_pair = self.rt2.is_some();
        moves_base && (self.rn == self.rt || self.rn == second)
            || !self.write && is_pair && self.rt == second
    }

    /// Returns it, if what it does is defined.
    const fn defined(self) -> Result<Self, Other> {
        if self.overlaps() {
            Err(Other::Overlapping)
        } else {
            Ok(self)
        }
    }
}

/// Decodes a load or store of general registers that leaves an abort without a syndrome.
///
/// # Errors
///
/// [`Other`] says what else the word is (Arm ARM, C4.1 "A64 instruction set encoding").
pub const fn decode(word: u32) -> Result<Transfer, Other> {
    const VECTOR: u32 = 1 << 26;
    if word & 0xfff8_f000 == 0xd508_7000 {
        return Err(Other::Cache);
    }
    // Bits 28:25 are x1x0 for all loads and stores.
    if word >> 25 & 0b101 != 0b100 {
        return Err(Other::Unknown);
    }
    if word & VECTOR != 0 {
        return Err(Other::Vector);
    }
    match word >> 27 & 0b111 {
        0b101 => pair(word),
        0b111 if word >> 24 & 0b11 == 0 => single(word),
        0b001 if word >> 24 & 0b11 == 0 => Err(Other::Exclusive),
        _ => Err(Other::Unknown),
    }
}

/// Decodes LDP, STP, LDPSW, LDNP and STNP (C4.1.94 "Loads and Stores", load/store pair).
const fn pair(word: u32) -> Result<Transfer, Other> {
    let load = bit(word as u64, 22);
    let index = match word >> 23 & 0b11 {
        0b00 | 0b10 => Index::Offset,
        0b01 => Index::Post,
        _ => Index::Pre,
    };
    let no_allocate = word >> 23 & 0b11 == 0;
    let (size, sign_extend) = match word >> 30 {
        0b00 => (4, false),
        0b01 if load && !no_allocate => (4, true),
        0b10 => (8, false),
        _ => return Err(Other::Unknown),
    };
    let scaled = sign_extend_7(word) << if size == 8 { 3 } else { 2 };
    Transfer {
        rt2: Some(register(word, 10)),
        offset: scaled,
        index,
        size,
        write: !load,
        sign_extend,
        wide: size == 8 || sign_extend,
        ..registers(word)
    }
    .defined()
}

/// Decodes LDR and STR of every size with pre- or post-index (load/store register, immediate).
const fn single(word: u32) -> Result<Transfer, Other> {
    if bit(word as u64, 21) {
        return Err(if word >> 10 & 0b11 == 0 {
            Other::Atomic
        } else {
            Other::Unknown
        });
    }
    let index = match word >> 10 & 0b11 {
        0b01 => Index::Post,
        0b11 => Index::Pre,
        _ => return Err(Other::Unknown),
    };
    let scale = word >> 30;
    let (write, sign_extend, wide) = match (word >> 22 & 0b11, scale) {
        (0b00, _) => (true, false, scale == 3),
        (0b01, _) => (false, false, scale == 3),
        (0b10, 0..=2) => (false, true, true),
        (0b11, 0..=1) => (false, true, false),
        _ => return Err(Other::Unknown),
    };
    Transfer {
        offset: sign_extend_9(word),
        index,
        size: 1 << scale,
        write,
        sign_extend,
        wide,
        ..registers(word)
    }
    .defined()
}

/// Returns a transfer of the registers that a word names at the places all forms share.
const fn registers(word: u32) -> Transfer {
    Transfer {
        rt: register(word, 0),
        rt2: None,
        rn: register(word, 5),
        offset: 0,
        index: Index::Offset,
        size: 0,
        write: false,
        sign_extend: false,
        wide: false,
    }
}

const fn register(word: u32, lsb: u32) -> u8 {
    field(word as u64, lsb, 5) as u8
}

/// Returns imm7 of a pair.
const fn sign_extend_7(word: u32) -> i64 {
    sign_extend(field(word as u64, 15, 7), 7) as i64
}

/// Returns imm9 of a single register's form.
const fn sign_extend_9(word: u32) -> i64 {
    sign_extend(field(word as u64, 12, 9), 9) as i64
}
