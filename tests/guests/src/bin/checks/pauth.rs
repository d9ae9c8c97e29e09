//! Pointer authentication, where the ID registers show it; else its registers are absent.

use core::arch::asm;

use guests::rt::sysreg::field;
use guests::rt::{console, mmio, smccc, trap};
use guests::{checks, expect, expect_eq, fail, ignore, mrs, msr, outcome::TestResult};

checks! {
    everywhere keys_are_there_when_shown;
    everywhere keys_hold_over_exits;
    everywhere round_trip_over_exits;
}

/// Algorithm fields: ISAR1.APA and .API, ISAR2.APA3.
fn is_shown() -> bool {
    let isar1 = mrs!("ID_AA64ISAR1_EL1");
    let isar2 = mrs!("S3_0_C0_C6_2");
    field(isar1, 4, 8) != 0 || field(isar2, 12, 4) != 0
}

fn keys_are_there_when_shown() -> TestResult {
    let fault = trap::catch(|| _ = mrs!("S3_0_C2_C1_0"));
    expect_eq!(
        fault.map(trap::Fault::class),
        (!is_shown()).then_some(trap::EC_UNKNOWN)
    );
    Ok(())
}

fn exits() {
    for _ in 0..20 {
        smccc::call(smccc::PSCI_VERSION, [0; 3]);
        mmio::read32(console::FR);
    }
}

macro_rules! keys {
    ($($name:literal),*) => {
        fn write_keys() {
            let mut value = 0x0123_4567_89ab_cdef_u64;
            $(
                value = value.rotate_left(13) ^ 0x5a5a;
                msr!($name, value);
            )*
        }

        fn compare_keys() -> TestResult {
            let mut value = 0x0123_4567_89ab_cdef_u64;
            $(
                value = value.rotate_left(13) ^ 0x5a5a;
                let seen = mrs!($name);
                expect!(seen == value, "key {} is {seen:#x}", $name);
            )*
            Ok(())
        }
    };
}

// APIA, APIB, APDA, APDB, APGA: the low and the high half of each.
keys!(
    "S3_0_C2_C1_0",
    "S3_0_C2_C1_1",
    "S3_0_C2_C1_2",
    "S3_0_C2_C1_3",
    "S3_0_C2_C2_0",
    "S3_0_C2_C2_1",
    "S3_0_C2_C2_2",
    "S3_0_C2_C2_3",
    "S3_0_C2_C3_0",
    "S3_0_C2_C3_1"
);

fn keys_hold_over_exits() -> TestResult {
    if !is_shown() {
        ignore!("the ID registers show no pointer authentication");
    }
    write_keys();
    exits();
    compare_keys()
}

/// `pacia x0, x1` and `autia x0, x1`, with the key enabled around them only.
fn with_key(pointer: u64, modifier: u64, authenticate: bool) -> u64 {
    const ENIA: u64 = 1 << 31;
    let sctlr = mrs!("SCTLR_EL1");
    msr!("SCTLR_EL1", sctlr | ENIA);
    let mut x = pointer;
    // SAFETY: arithmetic on X0; compiled code uses no pointer authentication.
    unsafe {
        if authenticate {
            asm!(
                ".arch_extension pauth", "autia x0, x1", ".arch_extension nopauth",
                inout("x0") x, in("x1") modifier, options(nostack)
            );
        } else {
            asm!(
                ".arch_extension pauth", "pacia x0, x1", ".arch_extension nopauth",
                inout("x0") x, in("x1") modifier, options(nostack)
            );
        }
    }
    msr!("SCTLR_EL1", sctlr);
    x
}

fn round_trip_over_exits() -> TestResult {
    if !is_shown() {
        ignore!("the ID registers show no pointer authentication");
    }
    write_keys();
    let mut signed_pointers = 0;
    for n in 0..16 {
        let (pointer, modifier) = (0x4000_0000 + n * 0x1234, 0x9e37 * n);
        let signed = with_key(pointer, modifier, false);
        signed_pointers += u32::from(signed != pointer);
        exits();
        expect_eq!(with_key(pointer, modifier, false), signed);
        expect_eq!(with_key(signed, modifier, true), pointer);
        let mut forged = pointer;
        // With FEAT_FPAC a wrong signature faults; without, the pointer is made invalid.
        if trap::catch(|| forged = with_key(signed ^ 1 << 54, modifier, true)).is_none() {
            expect!(forged != pointer, "a wrong signature passed");
        }
    }
    if signed_pointers < 12 {
        fail!("only {signed_pointers} of 16 pointers were signed");
    }
    Ok(())
}
