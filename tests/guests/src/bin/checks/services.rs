//! The firmware services beyond turning CPUs on: the rest of PSCI, workarounds, random numbers,
//! stolen time; and that an SMC gets no further than an HVC.

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use guests::rt::smccc::{
    ARCH_FEATURES, INVALID_PARAMETERS, NOT_SUPPORTED, PSCI_FEATURES, call, hvc, smc,
};
use guests::rt::timer::{ENABLE, Timer, ticks};
use guests::rt::trap::{self, EC_DATA_ABORT};
use guests::rt::{entry, gic, mmio};
use guests::{checks, expect, expect_eq, mrs, msr, outcome::TestResult};

const SYSTEM_SUSPEND: u32 = 0xc400_000e;
const SYSTEM_RESET2: u32 = 0xc400_0012;
const MEM_PROTECT: u32 = 0x8400_0013;
const MEM_PROTECT_CHECK_RANGE: u32 = 0xc400_0014;
const DENIED: i32 = -3;
const INVALID_ADDRESS: i32 = -9;

const TRNG_VERSION: u32 = 0x8400_0050;
const TRNG_FEATURES: u32 = 0x8400_0051;
const TRNG_UUID: u32 = 0x8400_0052;
const TRNG_RND: u32 = 0x8400_0053;
const TRNG_RND_64: u32 = 0xc400_0053;

const PV_TIME_FEATURES: u32 = 0xc500_0020;
const PV_TIME_ST: u32 = 0xc500_0021;

checks! {
    hypervisor("QEMU's PSCI has less") optional_functions_are_there_or_not;
    hypervisor("QEMU's PSCI has less") reset_of_an_unknown_type_is_refused;
    hypervisor("QEMU's PSCI has less") memory_can_be_protected;
    hypervisor("QEMU's PSCI has less") suspend_to_nowhere_is_refused;
    hypervisor("QEMU's PSCI has less") suspend_comes_back_at_its_entry;
    hypervisor("QEMU has no SMCCC") workarounds_are_not_invented;
    hypervisor("QEMU has no SMCCC") no_soc_id;
    hypervisor("QEMU has no TRNG") random_numbers_of_every_size;
    hypervisor("QEMU has no TRNG") random_numbers_differ;
    hypervisor("QEMU has no TRNG") too_many_random_bits_are_refused;
    hypervisor("nothing steals time") stolen_time_is_readable;
    hypervisor("nothing steals time") stolen_time_is_not_writable;
    hypervisor("the machine has no EL3 to call") smc_reaches_no_firmware;
}

fn optional_functions_are_there_or_not() -> TestResult {
    let features = |function: u32| call(PSCI_FEATURES, [u64::from(function), 0, 0]);
    for function in [
        SYSTEM_SUSPEND,
        0x8400_000e,
        SYSTEM_RESET2,
        0x8400_0012,
        MEM_PROTECT,
        MEM_PROTECT_CHECK_RANGE,
        0x8400_0014,
    ] {
        expect!(features(function) == 0, "no {function:#x}");
    }
    // CPU_FREEZE, CPU_DEFAULT_SUSPEND, NODE_HW_STATE, SET_SUSPEND_MODE, STAT_*.
    for function in [
        0x8400_000b_u32,
        0xc400_000c,
        0xc400_000d,
        0x8400_000f,
        0xc400_0010,
        0xc400_0011,
    ] {
        expect!(
            features(function) == NOT_SUPPORTED,
            "{function:#x} is announced"
        );
        expect_eq!(call(function, [0; 3]), NOT_SUPPORTED);
    }
    Ok(())
}

fn reset_of_an_unknown_type_is_refused() -> TestResult {
    for kind in [1, 0x8000_0000, 0x8000_0001] {
        expect_eq!(call(SYSTEM_RESET2, [kind, 0, 0]), INVALID_PARAMETERS);
        expect_eq!(
            smc(SYSTEM_RESET2, [kind, 0, 0])[0] as i32,
            INVALID_PARAMETERS
        );
    }
    Ok(())
}

fn memory_can_be_protected() -> TestResult {
    expect_eq!(call(MEM_PROTECT, [1, 0, 0]), 0);
    expect_eq!(call(MEM_PROTECT, [0, 0, 0]), 1);
    expect_eq!(call(MEM_PROTECT, [0, 0, 0]), 0);
    let (start, end) = entry::ram();
    let check = |base, size| call(MEM_PROTECT_CHECK_RANGE, [base, size, 0]);
    expect_eq!(check(start, end - start), 0);
    expect_eq!(check(start, end - start + 1), DENIED);
    expect_eq!(check(0x0900_0000, 0x1000), DENIED);
    Ok(())
}

fn suspend_to_nowhere_is_refused() -> TestResult {
    for entry in [0, 0x0900_0000, entry::ram().1] {
        expect_eq!(call(SYSTEM_SUSPEND, [entry, 0, 0]), INVALID_ADDRESS);
    }
    Ok(())
}

/// What the way back needs before the MMU is on, and what it saw.
#[repr(C, align(64))]
struct Way {
    sp: AtomicU64,
    /// SCTLR_EL1, TTBR0_EL1, TCR_EL1, MAIR_EL1, VBAR_EL1, TPIDR_EL1, CPACR_EL1.
    registers: [AtomicU64; 7],
    /// SCTLR_EL1 and CurrentEL at the entry, and X0.
    seen: [AtomicU64; 3],
}

static WAY: Way = Way {
    sp: AtomicU64::new(0),
    registers: [const { AtomicU64::new(0) }; 7],
    seen: [const { AtomicU64::new(0) }; 3],
};

// suspend_and_return(way, entry): keeps what SYSTEM_SUSPEND loses and calls it; the context is
// the way's address. Returns 0 when it came back by the entry, else the answer.
global_asm!(
    ".global suspend_and_return",
    "suspend_and_return:",
    "stp x29, x30, [sp, #-96]!",
    "stp x19, x20, [sp, #16]",
    "stp x21, x22, [sp, #32]",
    "stp x23, x24, [sp, #48]",
    "stp x25, x26, [sp, #64]",
    "stp x27, x28, [sp, #80]",
    "mov x2, sp",
    "str x2, [x0]",
    "mrs x2, sctlr_el1",
    "mrs x3, ttbr0_el1",
    "stp x2, x3, [x0, #8]",
    "mrs x2, tcr_el1",
    "mrs x3, mair_el1",
    "stp x2, x3, [x0, #24]",
    "mrs x2, vbar_el1",
    "mrs x3, tpidr_el1",
    "stp x2, x3, [x0, #40]",
    "mrs x2, cpacr_el1",
    "str x2, [x0, #56]",
    // The way back reads this with its caches off.
    "dc civac, x0",
    "add x2, x0, #64",
    "dc civac, x2",
    "dsb sy",
    "mov x2, x0",
    "mov w0, #0x000e",
    "movk w0, #0xc400, lsl #16",
    "hvc #0",
    "b 1f",
    ".global suspend_entry",
    "suspend_entry:",
    "mov x1, x0",
    "mrs x2, sctlr_el1",
    "mrs x3, currentel",
    "ldp x4, x5, [x1, #8]",
    "msr ttbr0_el1, x5",
    "ldp x5, x6, [x1, #24]",
    "msr tcr_el1, x5",
    "msr mair_el1, x6",
    "ldp x5, x6, [x1, #40]",
    "msr vbar_el1, x5",
    "msr tpidr_el1, x6",
    "ldr x5, [x1, #56]",
    "msr cpacr_el1, x5",
    "dsb sy",
    "tlbi vmalle1",
    "dsb sy",
    "isb",
    "msr sctlr_el1, x4",
    "isb",
    "stp x2, x3, [x1, #64]",
    "str x0, [x1, #80]",
    "ldr x2, [x1]",
    "mov sp, x2",
    "mov x0, #0",
    "1:",
    "ldp x19, x20, [sp, #16]",
    "ldp x21, x22, [sp, #32]",
    "ldp x23, x24, [sp, #48]",
    "ldp x25, x26, [sp, #64]",
    "ldp x27, x28, [sp, #80]",
    "ldp x29, x30, [sp], #96",
    "ret",
);

unsafe extern "C" {
    fn suspend_and_return(way: *const Way, entry: u64) -> u64;
    safe fn suspend_entry();
}

fn suspend_comes_back_at_its_entry() -> TestResult {
    let timer = Timer::Virtual;
    gic::enable(timer.intid());
    let when = timer.count() + ticks(2000);
    timer.set_cval(when);
    timer.set_ctl(ENABLE);
    msr!("TPIDR_EL0", 0x1234);
    // SAFETY: keeps what the C ABI says is kept, SP and the MMU included; the program is mapped
    // one to one, so the entry's address is physical too.
    let result = unsafe { suspend_and_return(&raw const WAY, suspend_entry as *const () as u64) };
    let woken = timer.count();
    timer.set_ctl(0);
    expect_eq!(result, 0);
    let [sctlr, el, context] = [0, 1, 2].map(|n: usize| WAY.seen[n].load(Relaxed));
    expect_eq!(context, &raw const WAY as u64);
    expect_eq!(sctlr & 0b1_0000_0000_0101, 0);
    expect_eq!(el, 0b0100);
    expect_eq!(mrs!("TPIDR_EL0"), 0);
    expect!(woken >= when, "woken {} ticks early", when - woken);
    expect!(woken < when + ticks(1_000_000), "slept past the timer");
    Ok(())
}

/// Nothing is done on the way into EL2, so no workaround may be said to work: each is unknown, or
/// not needed.
fn workarounds_are_not_invented() -> TestResult {
    let csv2 = mrs!("ID_AA64PFR0_EL1") >> 56 & 0xf;
    for (function, not_needed) in [(0x8000_8000_u32, 1), (0x8000_7fff, -2), (0x8000_3fff, 1)] {
        let answer = call(ARCH_FEATURES, [u64::from(function), 0, 0]);
        expect!(
            answer == NOT_SUPPORTED || answer == not_needed,
            "{function:#x} is {answer}"
        );
        let called = call(function, [0; 3]);
        expect_eq!(
            called,
            if answer == NOT_SUPPORTED {
                NOT_SUPPORTED
            } else {
                0
            }
        );
        if function == 0x8000_8000 && csv2 != 0 {
            expect_eq!(answer, 1);
        }
    }
    Ok(())
}

fn no_soc_id() -> TestResult {
    expect_eq!(call(ARCH_FEATURES, [0x8000_0002, 0, 0]), NOT_SUPPORTED);
    expect_eq!(call(0x8000_0002, [0; 3]), NOT_SUPPORTED);
    Ok(())
}

fn random_numbers_of_every_size() -> TestResult {
    let version = call(TRNG_VERSION, [0; 3]);
    expect!(
        (0x1_0000..0x2_0000).contains(&version),
        "TRNG_VERSION {version:#x}"
    );
    for function in [
        TRNG_VERSION,
        TRNG_FEATURES,
        TRNG_UUID,
        TRNG_RND,
        TRNG_RND_64,
    ] {
        expect!(call(TRNG_FEATURES, [u64::from(function), 0, 0]) >= 0);
    }
    expect_eq!(call(TRNG_FEATURES, [0x8400_0054, 0, 0]), NOT_SUPPORTED);
    expect!(hvc(TRNG_UUID, [0; 3])[0] as i32 != NOT_SUPPORTED);
    for (function, width) in [(TRNG_RND, 32_u64), (TRNG_RND_64, 64)] {
        for bits in 1..=3 * width {
            let x = hvc(function, [bits, 0, 0]);
            expect_eq!(x[0], 0);
            for n in 0..3 {
                let here = bits.saturating_sub(n * width).min(width);
                let above = x[3 - n as usize].checked_shr(here as u32).unwrap_or(0);
                expect!(
                    above == 0,
                    "{bits} bits: X{} is {:#x}",
                    3 - n,
                    x[3 - n as usize]
                );
            }
        }
    }
    Ok(())
}

fn random_numbers_differ() -> TestResult {
    let mut last = [0; 4];
    for conduit in [hvc, smc, hvc, smc] {
        let x = conduit(TRNG_RND_64, [192, 0, 0]);
        expect_eq!(x[0], 0);
        expect!(x[1] != x[2] && x[2] != x[3] && x[1] != x[3], "{x:x?}");
        expect!(x[1..] != last[1..], "the same again: {x:x?}");
        last = x;
    }
    Ok(())
}

fn too_many_random_bits_are_refused() -> TestResult {
    for (function, bits) in [
        (TRNG_RND, 0),
        (TRNG_RND, 97),
        (TRNG_RND_64, 0),
        (TRNG_RND_64, 193),
        (TRNG_RND_64, u64::MAX),
    ] {
        let x = hvc(function, [bits, 5, 6]);
        expect_eq!(
            (x[0] as i32, x[1], x[2], x[3]),
            (INVALID_PARAMETERS, 0, 0, 0)
        );
    }
    Ok(())
}

fn stolen_time_is_readable() -> TestResult {
    for function in [PV_TIME_FEATURES, PV_TIME_ST] {
        expect_eq!(call(PV_TIME_FEATURES, [u64::from(function), 0, 0]), 0);
    }
    expect_eq!(call(PV_TIME_FEATURES, [0xc500_0022, 0, 0]), NOT_SUPPORTED);
    expect_eq!(call(ARCH_FEATURES, [u64::from(PV_TIME_FEATURES), 0, 0]), 0);
    let address = hvc(PV_TIME_ST, [0; 3])[0];
    expect_eq!(smc(PV_TIME_ST, [0; 3])[0], address);
    let (start, end) = entry::ram();
    expect!(address.is_multiple_of(64), "it is at {address:#x}");
    expect!(
        !(start..end).contains(&address),
        "it is in RAM, at {address:#x}"
    );
    expect_eq!(mmio::read64(address), 0); // revision and attributes
    let before = mmio::read64(address + 8);
    let after = mmio::read64(address + 8);
    expect!(before <= after, "{before} ns, then {after} ns");
    Ok(())
}

fn stolen_time_is_not_writable() -> TestResult {
    let address = hvc(PV_TIME_ST, [0; 3])[0];
    let before = mmio::read64(address + 8);
    let fault = trap::catch(|| mmio::write64(address + 8, 0x5555_5555_5555_5555));
    let class = fault.map(|fault| (fault.class(), fault.far, fault.is_write()));
    expect_eq!(class, Some((EC_DATA_ABORT, address + 8, true)));
    let after = mmio::read64(address + 8);
    expect!(after >> 32 == before >> 32, "{before} ns became {after:#x}");
    Ok(())
}

/// Every service's range, by SMC: each call comes back with an answer of the hypervisor's own.
fn smc_reaches_no_firmware() -> TestResult {
    for owner in 0..64_u64 {
        for kind in [0_u64, 0x4000_0000, 0x8000_0000, 0xc000_0000] {
            for number in [0x7777_u64, 0xff20] {
                let function = (kind | owner << 24 | number) as u32;
                let x = smc(function, [1, 2, 3]);
                expect!(
                    x[0] as i32 == NOT_SUPPORTED,
                    "{function:#x} answers {:#x}",
                    x[0]
                );
                expect_eq!((x[1], x[2], x[3]), (1, 2, 3));
            }
        }
    }
    // A CPU of the machine that is not the guest's stays off: it has one vCPU, or has no such.
    let nobody = 0xff_00ff_fff7;
    let started = smc(0xc400_0003, [nobody, entry::image().0, 0]);
    expect_eq!(started[0] as i32, INVALID_PARAMETERS);
    Ok(())
}
