//! Loads and stores to devices that the CPU does not describe to a hypervisor: pairs, base
//! registers that are written back, and what can't be emulated.

use core::arch::asm;

use guests::rt::console::{FR, IBRD, IMSC};
use guests::rt::gic;
use guests::rt::mmio::{read32, read64, write32, write64};
use guests::rt::trap::{self, EC_DATA_ABORT, EXTERNAL_ABORT, Fault};
use guests::{checks, expect_eq, fail, ignore, mrs, msr, outcome::TestResult};

checks! {
    everywhere post_indexed_loads;
    everywhere pre_indexed_loads;
    everywhere indexed_loads_extend;
    everywhere indexed_stores;
    hypervisor("QEMU makes a pair one access") zero_register_indexed;
    everywhere stack_pointer_as_base;
    hypervisor("QEMU makes a pair one access") registers_that_calls_keep;
    hypervisor("QEMU makes a pair one access") pairs_of_words;
    everywhere pairs_of_doublewords;
    hypervisor("QEMU makes a pair one access") pairs_move_their_base;
    hypervisor("QEMU makes a pair one access") pairs_sign_extend;
    everywhere result_of_a_translation_is_kept;
    hypervisor("QEMU's devices take them") what_is_not_emulated_aborts;
    everywhere pair_into_a_hole;
    hypervisor("QEMU's memory is not a device") pair_over_the_end_of_a_page;
}

/// Priorities of SPIs 40 to 47: eight bytes that keep what is written, 0xf8 in each.
fn bytes() -> u64 {
    let address = gic::priority_register(40);
    write32(address, 0x8090_a0b0);
    write32(address + 4, 0x1020_3040);
    address
}

/// The UART's divisor: 16 bits that keep what is written.
fn halfword() -> u64 {
    write32(IBRD, 0x8001);
    IBRD
}

/// Does one load of `[base]` and returns value and base; both registers start as noise.
macro_rules! load {
    ($text:literal, $base:expr) => {{
        let (mut value, mut base) = (0x5555_5555_5555_5555_u64, $base);
        // SAFETY: a load from a device that the check chose.
        unsafe {
            asm!($text, v = inout(reg) value, b = inout(reg) base, options(nostack));
        }
        (value, base)
    }};
}

macro_rules! pair {
    ($text:literal, $base:expr) => {{
        let (mut first, mut second, mut base) = (0x5555_5555_5555_5555_u64, !0_u64, $base);
        // SAFETY: as for `load`.
        unsafe {
            asm!(
                $text, v = inout(reg) first, w = inout(reg) second, b = inout(reg) base,
                options(nostack)
            );
        }
        (first, second, base)
    }};
}

macro_rules! store {
    ($text:literal, $base:expr, $first:expr, $second:expr) => {{
        let mut base = $base;
        // SAFETY: a store to a device that the check chose.
        unsafe {
            asm!(
                $text, v = in(reg) $first, w = in(reg) $second, b = inout(reg) base,
                options(nostack)
            );
        }
        base
    }};
}

fn post_indexed_loads() -> TestResult {
    let at = bytes();
    expect_eq!(load!("ldr {v:w}, [{b}], #4", at), (0x8090_a0b0, at + 4));
    expect_eq!(
        load!("ldr {v:w}, [{b}], #-256", at),
        (0x8090_a0b0, at - 256)
    );
    let half = halfword();
    expect_eq!(load!("ldrh {v:w}, [{b}], #2", half), (0x8001, half + 2));
    expect_eq!(load!("ldrb {v:w}, [{b}], #255", at + 3), (0x80, at + 258));
    Ok(())
}

fn pre_indexed_loads() -> TestResult {
    let at = bytes();
    expect_eq!(load!("ldr {v:w}, [{b}, #4]!", at), (0x1020_3040, at + 4));
    expect_eq!(load!("ldr {v:w}, [{b}, #-8]!", at + 8), (0x8090_a0b0, at));
    expect_eq!(load!("ldrb {v:w}, [{b}, #1]!", at), (0xa0, at + 1));
    if !gic::is_v2() {
        let router = gic::GICD + 0x6000 + 8 * 44;
        write64(router, gic::affinity());
        let expected = (gic::affinity(), router);
        expect_eq!(load!("ldr {v}, [{b}, #8]!", router - 8), expected);
    }
    Ok(())
}

fn indexed_loads_extend() -> TestResult {
    let at = bytes();
    let (long, short) = (0xffff_ffff_ffff_ffb0, 0xffff_ffb0);
    expect_eq!(load!("ldrsb {v}, [{b}], #1", at), (long, at + 1));
    expect_eq!(load!("ldrsb {v:w}, [{b}], #1", at), (short, at + 1));
    let half = halfword();
    let (long, short) = (0xffff_ffff_ffff_8001, 0xffff_8001);
    expect_eq!(load!("ldrsh {v}, [{b}, #2]!", half - 2), (long, half));
    expect_eq!(load!("ldrsh {v:w}, [{b}, #2]!", half - 2), (short, half));
    let long = 0xffff_ffff_8090_a0b0;
    expect_eq!(load!("ldrsw {v}, [{b}], #4", at), (long, at + 4));
    Ok(())
}

fn indexed_stores() -> TestResult {
    let at = bytes();
    let base = store!("str {v:w}, [{b}], #4 /* {w} */", at, 0xf8f8_f8f8_u64, 0_u64);
    expect_eq!((read32(at), base), (0xf8f8_f8f8, at + 4));
    let base = store!("strb {v:w}, [{b}, #1]! /* {w} */", at, 0xff10_u64, 0_u64);
    expect_eq!((read32(at), base), (0xf8f8_10f8, at + 1));
    let half = halfword();
    let base = store!("strh {v:w}, [{b}], #-2 /* {w} */", half, 0x2030_u64, 0_u64);
    expect_eq!((read32(half), base), (0x2030, half - 2));
    if gic::is_v2() {
        return Ok(());
    }
    let router = gic::GICD + 0x6000 + 8 * 44;
    write64(router, 0);
    let base = store!(
        "str {v}, [{b}, #-8]! /* {w} */",
        router + 8,
        gic::affinity(),
        0_u64
    );
    expect_eq!((read64(router), base), (gic::affinity(), router));
    Ok(())
}

fn zero_register_indexed() -> TestResult {
    let at = bytes();
    let base = store!("str wzr, [{b}], #4 /* {v} {w} */", at, 0_u64, 0_u64);
    expect_eq!((read32(at), base), (0, at + 4));
    let base = store!("stp wzr, {v:w}, [{b}], #8 /* {w} */", at, 0xf8_u64, 0_u64);
    expect_eq!((read32(at), read32(at + 4), base), (0, 0xf8, at + 8));
    let (_, base) = load!("ldr wzr, [{b}], #4 /* {v} */", at);
    expect_eq!(base, at + 4);
    Ok(())
}

/// SP is moved to a device and back between two instructions; no exception but the emulated one
/// can use it meanwhile, since interrupts are masked.
fn stack_pointer_as_base() -> TestResult {
    let at = bytes() & !15;
    let expected = read32(at);
    let (value, base): (u64, u64);
    // SAFETY: SP is what it was when Rust goes on.
    unsafe {
        asm!(
            "mov {keep}, sp", "mov sp, {at}", "ldr {value:w}, [sp], #16", "mov {base}, sp",
            "mov sp, {keep}",
            keep = out(reg) _, at = in(reg) at, value = out(reg) value, base = out(reg) base,
        );
    }
    expect_eq!((value as u32, base), (expected, at + 16));
    let sp_el0 = mrs!("SP_EL0");
    msr!("SP_EL0", at);
    let (value, base): (u64, u64);
    // SAFETY: as above, on the other stack pointer.
    unsafe {
        asm!(
            "msr spsel, #0", "ldr {value:w}, [sp, #16]!", "mov {base}, sp", "msr spsel, #1",
            value = out(reg) value, base = out(reg) base,
        );
    }
    msr!("SP_EL0", sp_el0);
    expect_eq!((value as u32, base), (read32(at + 16), at + 16));
    Ok(())
}

/// What a hypervisor's handlers may leave in the CPU, unlike the others.
fn registers_that_calls_keep() -> TestResult {
    let at = bytes();
    let (first, second, base): (u64, u64, u64);
    // SAFETY: loads and stores to a device that the check chose.
    unsafe {
        asm!(
            "str w23, [x22], #8", "str w24, [x22], #-8", "ldp w20, w28, [x22], #8",
            in("x23") 0x2030_u64, in("x24") 0x40_u64,
            out("x20") first, out("x28") second, inout("x22") at => base,
            options(nostack)
        );
    }
    expect_eq!((first, second, base), (0x2030, 0x1020_3040, at + 8));
    expect_eq!(read32(at + 8), 0x40);
    Ok(())
}

fn pairs_of_words() -> TestResult {
    let at = bytes();
    let expected = (0x8090_a0b0, 0x1020_3040, at);
    expect_eq!(pair!("ldp {v:w}, {w:w}, [{b}]", at), expected);
    expect_eq!(pair!("ldnp {v:w}, {w:w}, [{b}]", at), expected);
    let (first, second, base) = pair!("ldp {v:w}, {w:w}, [{b}, #-16]", at + 16);
    expect_eq!((first, second, base), (expected.0, expected.1, at + 16));
    store!("stp {v:w}, {w:w}, [{b}]", at, 0xf8_u64, 0xf800_u64);
    expect_eq!((read32(at), read32(at + 4)), (0xf8, 0xf800));
    Ok(())
}

fn pairs_of_doublewords() -> TestResult {
    if gic::is_v2() {
        ignore!("a GICv2 has no registers of 64 bits");
    }
    let routers = gic::GICD + 0x6000 + 8 * 44;
    // What a router keeps of a CPU that may not be there is the distributor's choice.
    let kept = [3_u64, 5].map(|cpu| {
        write64(routers, cpu);
        read64(routers)
    });
    store!("stp {v}, {w}, [{b}]", routers, 3_u64, 5_u64);
    expect_eq!([read64(routers), read64(routers + 8)], kept);
    let expected = (kept[0], kept[1], routers);
    expect_eq!(pair!("ldp {v}, {w}, [{b}]", routers), expected);
    store!("stp xzr, xzr, [{b}] /* {v} {w} */", routers, 0_u64, 0_u64);
    expect_eq!((read64(routers), read64(routers + 8)), (0, 0));
    Ok(())
}

fn pairs_move_their_base() -> TestResult {
    let at = bytes();
    let (first, second) = (0x8090_a0b0, 0x1020_3040);
    let post = pair!("ldp {v:w}, {w:w}, [{b}], #-256", at);
    expect_eq!(post, (first, second, at - 256));
    let pre = pair!("ldp {v:w}, {w:w}, [{b}, #252]!", at - 252);
    expect_eq!(pre, (first, second, at));
    let base = store!("stp {v:w}, {w:w}, [{b}, #-8]!", at + 8, 8_u64, 16_u64);
    expect_eq!((read32(at), read32(at + 4), base), (8, 16, at));
    let base = store!("stp {v:w}, {w:w}, [{b}], #8", at, 24_u64, 32_u64);
    expect_eq!((read32(at), read32(at + 4), base), (24, 32, at + 8));
    Ok(())
}

fn pairs_sign_extend() -> TestResult {
    let at = bytes();
    let loaded = pair!("ldpsw {v}, {w}, [{b}], #8", at);
    expect_eq!(loaded, (0xffff_ffff_8090_a0b0, 0x1020_3040, at + 8));
    Ok(())
}

/// The hypervisor translates the program's address to read the instruction; PAR_EL1 is the
/// program's all the same.
fn result_of_a_translation_is_kept() -> TestResult {
    let value: u64;
    // SAFETY: translates an address of this program.
    unsafe {
        asm!(
            "at s1e1r, {at}", "isb", "mrs {before}, par_el1",
            "ldr {value:w}, [{fr}], #4", "mrs {after}, par_el1", "eor {value}, {before}, {after}",
            at = in(reg) &raw const PLACE, before = out(reg) _, after = out(reg) _,
            value = out(reg) value, fr = inout(reg) FR => _, options(nostack)
        );
    }
    expect_eq!(value, 0);
    Ok(())
}

static PLACE: u64 = 0;

fn expect_abort(fault: Option<Fault>, address: u64, write: bool) -> TestResult {
    let Some(fault) = fault else {
        fail!("no exception at {address:#x}");
    };
    let seen = (fault.class(), fault.status(), fault.far, fault.is_write());
    expect_eq!(seen, (EC_DATA_ABORT, EXTERNAL_ABORT, address, write));
    Ok(())
}

fn what_is_not_emulated_aborts() -> TestResult {
    macro_rules! refused {
        ($text:literal, $write:literal) => {{
            let mut base = IBRD;
            let fault = trap::catch(|| {
                // SAFETY: an access to a device, which aborts and is stepped over.
                unsafe {
                    asm!(
                        ".arch armv8.1-a", $text, b = inout(reg) base, out("x8") _, out("x9") _,
                        options(nostack)
                    );
                }
            });
            expect_abort(fault, IBRD, $write)?;
            expect_eq!(base, IBRD);
        }};
    }
    refused!("ldxr w8, [{b}]", false);
    msr!("CPACR_EL1", mrs!("CPACR_EL1") | 3 << 20);
    refused!("ldr s0, [{b}], #4", false);
    refused!("stp s0, s1, [{b}, #0]!", true);
    Ok(())
}

fn pair_into_a_hole() -> TestResult {
    let hole = 0x0b00_0000_u64;
    let mut base = hole;
    let fault = trap::catch(|| {
        // SAFETY: a load from where nothing is.
        unsafe {
            asm!(
                "ldp x8, x9, [{b}], #16", b = inout(reg) base, out("x8") _, out("x9") _,
                options(nostack)
            );
        }
    });
    expect_abort(fault, hole, false)?;
    expect_eq!(base, hole);
    let fault = trap::catch(|| {
        // SAFETY: a store to where nothing is.
        unsafe { asm!("str wzr, [{b}, #4]!", b = inout(reg) base, options(nostack)) };
    });
    expect_abort(fault, hole + 4, true)?;
    expect_eq!(base, hole);
    Ok(())
}

/// Behind the UART's page is something else: its last word and the next page's first are no pair.
fn pair_over_the_end_of_a_page() -> TestResult {
    let last = IMSC & !0xfff | 0xffc;
    let fault = trap::catch(|| {
        // SAFETY: a load from a device.
        unsafe {
            asm!(
                "ldp w8, w9, [{b}]", b = in(reg) last, out("x8") _, out("x9") _, options(nostack)
            );
        }
    });
    expect_abort(fault, last, false)
}
