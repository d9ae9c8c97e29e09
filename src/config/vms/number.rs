//! Numbers that may be written as text: sizes with a unit, offsets in hexadecimal.

use core::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// A size in bytes: 16777216, "16M", "1G", "512K".
#[derive(Clone, Copy)]
pub(super) struct Size(pub(super) u64);

/// An offset in bytes: 524288, 0x80000, "0x80000".
#[derive(Clone, Copy)]
pub(super) struct Offset(pub(super) u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(Number {
                expected: "a size such as \"512M\"",
                parse: size,
            })
            .map(Self)
    }
}

impl<'de> Deserialize<'de> for Offset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(Number {
                expected: "an offset such as \"0x80000\"",
                parse: offset,
            })
            .map(Self)
    }
}

struct Number {
    expected: &'static str,
    parse: fn(&str) -> Option<u64>,
}

impl Visitor<'_> for Number {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<u64, E> {
        number
            .try_into()
            .map_err(|_| E::custom(format_args!("{number} is not {}", self.expected)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        (self.parse)(text)
            .ok_or_else(|| E::custom(format_args!("{text:?} is not {}", self.expected)))
    }
}

/// Reads a size: digits, and a unit or none.
pub(in crate::config) fn size(text: &str) -> Option<u64> {
    let units = [("K", 10), ("M", 20), ("G", 30)];
    let with_unit = units
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
    let (digits, shift) = with_unit.unwrap_or((text, 0));
    decimal(digits)?.checked_mul(1 << shift)
}

fn offset(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) if !digits.starts_with('+') => u64::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None => decimal(text),
    }
}

fn decimal(digits: &str) -> Option<u64> {
    if digits.starts_with('+') {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{offset, size};

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("16777216"), Some(16 << 20));
        assert_eq!(size("262144K"), Some(256 << 20));
        assert_eq!(size("512M"), Some(512 << 20));
        assert_eq!(size("1G"), Some(1 << 30));
        for wrong in [
            "",
            "M",
            "1m",
            "1 M",
            "-1M",
            "+1M",
            "1T",
            "0x10M",
            "99999999999G",
        ] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn offsets_have_a_base() {
        assert_eq!(offset("0x80000"), Some(0x8_0000));
        assert_eq!(offset("524288"), Some(0x8_0000));
        for wrong in ["", "0x", "0x+1", "+1", "80000h", "0x1_0000_0000_0000_0000"] {
            assert_eq!(offset(wrong), None, "{wrong}");
        }
    }
}
