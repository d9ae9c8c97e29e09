//! Fields of registers and words: extract, insert, align.

/// Returns a mask of `width` ones, at most 64.
pub const fn ones(width: u32) -> u64 {
    if width >= 64 {
        u64::MAX
    } else {
        (1 << width) - 1
    }
}

/// Returns the `width` bits of `value` from bit `lsb` up.
#[inline(always)]
pub const fn field(value: u64, lsb: u32, width: u32) -> u64 {
    (value >> lsb) & ones(width)
}

/// Returns `value` with the `width` bits from bit `lsb` up replaced by the low bits of `new`.
pub const fn with_field(value: u64, lsb: u32, width: u32, new: u64) -> u64 {
    let mask = ones(width) << lsb;
    (value & !mask) | ((new << lsb) & mask)
}

/// Returns whether bit `n` is set.
#[inline(always)]
pub const fn bit(value: u64, n: u32) -> bool {
    (value >> n) & 1 != 0
}

/// Returns the low `bits` bits of `value` as a signed number.
pub const fn sign_extend(value: u64, bits: u32) -> u64 {
    let shift = 64 - bits;
    (((value << shift) as i64) >> shift) as u64
}

/// Rounds up to a multiple of `align`, a power of two; `None` when that does not fit.
pub const fn align_up(value: u64, align: u64) -> Option<u64> {
    match value.checked_add(align - 1) {
        Some(sum) => Some(sum & !(align - 1)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_round_trip() {
        let word = with_field(u64::MAX, 8, 4, 0x5);
        assert_eq!(word, 0xffff_ffff_ffff_f5ff);
        assert_eq!(field(word, 8, 4), 5);
        assert_eq!(field(u64::MAX, 0, 64), u64::MAX);
        assert!(bit(1 << 63, 63) && !bit(1 << 63, 62));
    }

    #[test]
    fn alignment_reports_overflow() {
        assert_eq!(align_up(1, 4096), Some(4096));
        assert_eq!(align_up(u64::MAX, 4096), None);
    }

    #[test]
    fn signs_extend() {
        assert_eq!(sign_extend(0x80, 8), 0xffff_ffff_ffff_ff80);
        assert_eq!(sign_extend(0x7f, 8), 0x7f);
    }
}
