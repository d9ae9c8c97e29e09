//! Numbers that may be written as text: sizes with a unit, offsets in hexadecimal.

use alloc::format;

use crate::config::toml::{Fault, Placed, Value};

/// Returns a value that is a number or a text that `parse` knows; `expected` is what it should be.
pub(super) fn wanted(
    value: &Placed<Value>,
    expected: &str,
    parse: fn(&str) -> Option<u64>,
) -> Result<u64, Fault> {
    let (found, shown) = match &value.value {
        Value::Integer(number) => (u64::try_from(*number).ok(), format!("{number}")),
        Value::Text(text) => (parse(text), format!("{text:?}")),
        other => {
            let found = other.describe();
            let what = format!("invalid type: {found}, expected {expected}");
            return Err(Fault::new(value.at, what));
        }
    };
    found.ok_or_else(|| Fault::new(value.at, format!("{shown} is not {expected}")))
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

/// Reads an offset: digits, or hexadecimal ones after `0x`.
pub(super) fn offset(text: &str) -> Option<u64> {
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
