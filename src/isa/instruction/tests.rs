use super::*;
use std::{format, string::String};

/// Writes a transfer as an assembler does.
fn text(t: &Transfer) -> String {
    let name = |n: u8, wide: bool| match (n, wide) {
        (31, true) => "xzr".into(),
        (31, false) => "wzr".into(),
        (n, true) => format!("x{n}"),
        (n, false) => format!("w{n}"),
    };
    let base = if t.rn == 31 {
        "sp".into()
    } else {
        format!("x{}", t.rn)
    };
    let stem = if t.write { "st" } else { "ld" };
    let kind = if t.rt2.is_some() { "p" } else { "r" };
    let sign = if t.sign_extend { "s" } else { "" };
    let size = match t.size {
        1 => "b",
        2 => "h",
        4 if t.sign_extend => "w",
        _ => "",
    };
    let second = t
        .rt2
        .map_or(String::new(), |rt2| format!(", {}", name(rt2, t.wide)));
    let place = match t.index {
        Index::Offset if t.offset == 0 => format!("[{base}]"),
        Index::Offset => format!("[{base}, #{}]", t.offset),
        Index::Pre => format!("[{base}, #{}]!", t.offset),
        Index::Post => format!("[{base}], #{}", t.offset),
    };
    let rt = name(t.rt, t.wide);
    format!("{stem}{kind}{sign}{size} {rt}{second}, {place}")
}

/// Words as GNU as makes them, and what they were made from.
const ASSEMBLED: [(u32, &str); 26] = [
    (0xf840_8420, "ldr x0, [x1], #8"),
    (0xb85f_cc62, "ldr w2, [x3, #-4]!"),
    (0xf81f_07ff, "str xzr, [sp], #-16"),
    (0xb80f_fffe, "str w30, [sp, #255]!"),
    (0x3840_14a4, "ldrb w4, [x5], #1"),
    (0x3890_0ca4, "ldrsb x4, [x5, #-256]!"),
    (0x38c0_34a4, "ldrsb w4, [x5], #3"),
    (0x3800_1ce6, "strb w6, [x7, #1]!"),
    (0x7840_2528, "ldrh w8, [x9], #2"),
    (0x7880_2528, "ldrsh x8, [x9], #2"),
    (0x78df_ed28, "ldrsh w8, [x9, #-2]!"),
    (0x7800_255f, "strh wzr, [x10], #2"),
    (0xb880_458b, "ldrsw x11, [x12], #4"),
    (0xa940_0440, "ldp x0, x1, [x2]"),
    (0x2960_0440, "ldp w0, w1, [x2, #-256]"),
    (0xa8c1_0440, "ldp x0, x1, [x2], #16"),
    (0xa9df_d3f3, "ldp x19, x20, [sp, #504]!"),
    (0x28ff_7c83, "ldp w3, wzr, [x4], #-8"),
    (0xa920_0440, "stp x0, x1, [x2, #-512]"),
    (0x29bf_1be5, "stp w5, w6, [sp, #-8]!"),
    (0xa881_7cff, "stp xzr, xzr, [x7], #16"),
    (0x6940_8440, "ldpsw x0, x1, [x2, #4]"),
    (0x68c1_0440, "ldpsw x0, x1, [x2], #8"),
    (0x69ff_0440, "ldpsw x0, x1, [x2, #-8]!"),
    // LDNP and STNP: the hint not to cache means nothing to a device.
    (0xa841_0440, "ldp x0, x1, [x2, #16]"),
    (0x2800_0440, "stp w0, w1, [x2]"),
];

#[test]
fn words_are_what_the_assembler_made_them_from() {
    for (word, source) in ASSEMBLED {
        let decoded = decode(word).map(|transfer| text(&transfer));
        assert_eq!(decoded.as_deref(), Ok(source), "{word:#x}");
    }
}

#[test]
fn what_is_not_emulated_is_named() {
    for (word, other, source) in [
        (0x3dc0_0020, Other::Vector, "ldr q0, [x1]"),
        (0xfc40_8420, Other::Vector, "ldr d0, [x1], #8"),
        (0xad40_0440, Other::Vector, "ldp q0, q1, [x2]"),
        (0x6dbf_27e8, Other::Vector, "stp d8, d9, [sp, #-16]!"),
        (0x4c40_7000, Other::Vector, "ld1 {v0.16b}, [x0]"),
        (0xc85f_7c20, Other::Exclusive, "ldxr x0, [x1]"),
        (0xc802_7c20, Other::Exclusive, "stxr w2, x0, [x1]"),
        (0xc87f_8440, Other::Exclusive, "ldaxp x0, x1, [x2]"),
        (0xc8e0_fc41, Other::Exclusive, "casal x0, x1, [x2]"),
        (0x4820_7c82, Other::Exclusive, "casp x0, x1, x2, x3, [x4]"),
        (0xf820_0041, Other::Atomic, "ldadd x0, x1, [x2]"),
        (0xb8e0_8041, Other::Atomic, "swpal w0, w1, [x2]"),
        (0xf820_303f, Other::Atomic, "stset x0, [x1]"),
        (0xd50b_7420, Other::Cache, "dc zva, x0"),
        (0xd50b_7e21, Other::Cache, "dc civac, x1"),
        (0xf840_8421, Other::Overlapping, "ldr x1, [x1], #8"),
        (0xa8c1_0441, Other::Overlapping, "ldp x1, x1, [x2], #16"),
        (0xa881_0420, Other::Overlapping, "stp x0, x1, [x1], #16"),
        (0x6900_0440, Other::Unknown, "stgp x0, x1, [x2]"),
        (0xf820_0420, Other::Unknown, "ldraa x0, [x1]"),
        (0xf980_0000, Other::Unknown, "prfm pldl1keep, [x0]"),
        (0xf8c0_0400, Other::Unknown, "unallocated: LDRS of 64 bits"),
        (0xe840_0440, Other::Unknown, "unallocated: pair of opc 0b11"),
        (0x8b02_0020, Other::Unknown, "add x0, x1, x2"),
        (0xd503_201f, Other::Unknown, "nop"),
    ] {
        assert_eq!(decode(word), Err(other), "{source}");
    }
}

#[test]
fn addresses_and_write_back_follow_the_index() {
    let of = |word| decode(word).unwrap();
    let pre = of(0xb85f_cc62);
    assert_eq!((pre.address(4), pre.written_back(4)), (0, Some(0)));
    assert_eq!(pre.address(0), u64::MAX - 3, "addresses wrap");
    let post = of(0xf840_8420);
    assert_eq!((post.address(16), post.written_back(16)), (16, Some(24)));
    let offset = of(0xa920_0440);
    assert_eq!((offset.address(512), offset.written_back(512)), (0, None));
}

/// Random words never panic, and what is decoded can be put together again from its fields.
#[test]
fn any_word_is_a_transfer_that_encodes_to_itself_or_something_else() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut transfers = 0;
    for round in 0..2_000_000_u32 {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        // Most rounds: loads and stores of general registers.
        let word = match round % 4 {
            0 => seed as u32,
            _ => seed as u32 & !(0b111 << 25) | 0b100 << 25 | 1 << 27,
        };
        if let Ok(t) = decode(word) {
            transfers += 1;
            // The no-allocate hint and SIMD bit are all that a transfer does not keep.
            assert_eq!(encode(&t, word >> 23 & 0b11 == 0), word, "{t:?}");
        }
    }
    assert!(transfers > 100_000, "{transfers}");
}

fn encode(t: &Transfer, no_allocate: bool) -> u32 {
    let registers = u32::from(t.rn) << 5 | u32::from(t.rt);
    let log = t.size.trailing_zeros();
    if let Some(rt2) = t.rt2 {
        let index = match t.index {
            Index::Offset if no_allocate => 0b00,
            Index::Offset => 0b10,
            Index::Pre => 0b11,
            Index::Post => 0b01,
        };
        let opc = match (t.size, t.sign_extend) {
            (4, false) => 0b00,
            (4, true) => 0b01,
            _ => 0b10,
        };
        let imm7 = (t.offset >> log) as u32 & 0x7f;
        return opc << 30
            | 0b101 << 27
            | index << 23
            | u32::from(!t.write) << 22
            | imm7 << 15
            | u32::from(rt2) << 10
            | registers;
    }
    let opc = match (t.write, t.sign_extend, t.wide) {
        (true, ..) => 0b00,
        (false, false, _) => 0b01,
        (false, true, true) => 0b10,
        (false, true, false) => 0b11,
    };
    let index = if t.index == Index::Post { 0b01 } else { 0b11 };
    let imm9 = t.offset as u32 & 0x1ff;
    log << 30 | 0b111 << 27 | opc << 22 | imm9 << 12 | index << 10 | registers
}
