//! Guest memory: atomics, cache and TLB maintenance, code that changes itself.

use core::arch::asm;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

use guests::rt::mmu::{LEVEL1, Table};
use guests::rt::sysreg::{field, sync};
use guests::{checks, expect, expect_eq, ignore, mrs, outcome::TestResult};

checks! {
    everywhere exclusives;
    everywhere atomic_instructions;
    everywhere zeroing_by_block;
    everywhere code_that_changes_itself;
    everywhere maintenance_by_address;
    everywhere maintenance_by_set_and_way;
    everywhere tlbi_by_address;
    everywhere tlbi_by_address_inner_shareable;
    everywhere tlbi_all;
    everywhere tlbi_all_inner_shareable;
    everywhere caches_off_and_on;
}

static WORD: AtomicU64 = AtomicU64::new(0);

fn exclusives() -> TestResult {
    WORD.store(0, SeqCst);
    for n in 0..1000 {
        expect_eq!(WORD.fetch_add(3, SeqCst), 3 * n);
    }
    expect_eq!(WORD.compare_exchange(3000, 7, SeqCst, SeqCst), Ok(3000));
    expect_eq!(WORD.compare_exchange(3000, 8, SeqCst, SeqCst), Err(7));
    Ok(())
}

fn atomic_instructions() -> TestResult {
    if field(mrs!("ID_AA64ISAR0_EL1"), 20, 4) < 2 {
        ignore!("ID_AA64ISAR0_EL1 shows no atomic instructions");
    }
    WORD.store(40, SeqCst);
    let (added, swapped, compared): (u64, u64, u64);
    // SAFETY: acts on WORD alone; the CPU has the instructions.
    unsafe {
        asm!(
            ".arch_extension lse",
            "ldaddal {two}, {added}, [{word}]",
            "swpal {nine}, {swapped}, [{word}]",
            "casal {compared}, {two}, [{word}]",
            ".arch_extension nolse",
            two = in(reg) 2_u64, nine = in(reg) 9_u64, added = out(reg) added,
            swapped = out(reg) swapped, compared = inout(reg) 9_u64 => compared,
            word = in(reg) WORD.as_ptr(), options(nostack)
        );
    }
    expect_eq!(
        [added, swapped, compared, WORD.load(SeqCst)],
        [40, 42, 9, 2]
    );
    Ok(())
}

#[repr(C, align(4096))]
struct Page([AtomicU32; 1024]);

impl Page {
    const fn new() -> Self {
        Self([const { AtomicU32::new(0) }; 1024])
    }

    fn address(&self) -> u64 {
        self.0.as_ptr() as u64
    }
}

static FIRST: Page = Page::new();
static SECOND: Page = Page::new();

fn zeroing_by_block() -> TestResult {
    let dczid = mrs!("DCZID_EL0");
    if dczid & 1 << 4 != 0 {
        ignore!("DCZID_EL0 prohibits DC ZVA");
    }
    let words = 1 << (dczid & 0xf);
    FIRST.0.iter().for_each(|word| word.store(u32::MAX, SeqCst));
    // SAFETY: zeroes a block of FIRST, whose words are atomics.
    unsafe { asm!("dc zva, {}", in(reg) FIRST.address() + 2048, options(nostack)) };
    for (n, word) in FIRST.0.iter().enumerate() {
        let zeroed = (512..512 + words).contains(&n);
        expect_eq!(word.load(SeqCst), if zeroed { 0 } else { u32::MAX });
    }
    Ok(())
}

fn code_that_changes_itself() -> TestResult {
    const MOV_W0: u32 = 0x5280_0000;
    const RET: u32 = 0xd65f_03c0;
    for number in [17, 4711, 3] {
        FIRST.0[0].store(MOV_W0 | number << 5, SeqCst);
        FIRST.0[1].store(RET, SeqCst);
        // SAFETY: makes the two instructions visible to fetches, then calls them: they
        // change W0 alone, and RAM is mapped executable.
        let result = unsafe {
            asm!(
                "dc cvau, {0}", "dsb ish", "ic ivau, {0}", "dsb ish", "isb",
                in(reg) FIRST.address(), options(nostack)
            );
            let code: extern "C" fn() -> u32 = core::mem::transmute(FIRST.address());
            code()
        };
        expect_eq!(result, number);
    }
    Ok(())
}

fn maintenance_by_address() -> TestResult {
    SECOND.0[0].store(0x1234_5678, SeqCst);
    // SAFETY: cleans and invalidates lines of our own, losing nothing; IVAC comes after
    // the line was cleaned.
    unsafe {
        asm!(
            "dc cvac, {0}", "dc civac, {0}", "dsb sy", "dc ivac, {0}", "dsb sy",
            "ic iallu", "ic ialluis", "dsb sy", "isb",
            in(reg) SECOND.address(), options(nostack)
        );
    }
    expect_eq!(SECOND.0[0].load(SeqCst), 0x1234_5678);
    Ok(())
}

fn maintenance_by_set_and_way() -> TestResult {
    SECOND.0[0].store(0x8765_4321, SeqCst);
    for set in 0..64_u64 {
        // SAFETY: cleaning level 1, way 0, loses nothing.
        unsafe {
            asm!("dc csw, {0}", "dc cisw, {0}", in(reg) set << 6, options(nostack));
        }
    }
    sync();
    expect_eq!(SECOND.0[0].load(SeqCst), 0x8765_4321);
    Ok(())
}

static LEVEL2: Table = Table::new();
static LEVEL3: Table = Table::new();

/// Where the two pages are mapped in turn: the last GiB of the lower half.
const VIEW: usize = 511;

/// Maps one page, reads it, maps the other in its place, and reads that.
fn remap(invalidate: fn(u64)) -> TestResult {
    let address = (VIEW as u64) << 30;
    FIRST.0[0].store(1, SeqCst);
    SECOND.0[0].store(2, SeqCst);
    LEVEL2.set(0, LEVEL3.address() | 3);
    LEVEL1.set(VIEW, 0);
    invalidate(address);
    LEVEL1.set(VIEW, LEVEL2.address() | 3);
    let mut seen = [0; 20];
    for (n, seen) in seen.iter_mut().enumerate() {
        let page = if n % 2 == 0 { &FIRST } else { &SECOND };
        LEVEL3.set(0, 0);
        invalidate(address);
        LEVEL3.set(0, page.address() | Table::RAM_PAGE);
        // SAFETY: just mapped to a page of atomics.
        *seen = unsafe { (address as *const u32).read_volatile() };
    }
    LEVEL1.set(VIEW, 0);
    invalidate(address);
    LEVEL1.set(VIEW, address | Table::DEVICE_BLOCK);
    for (n, seen) in seen.into_iter().enumerate() {
        expect_eq!(seen, if n % 2 == 0 { 1 } else { 2 });
    }
    Ok(())
}

macro_rules! tlbi {
    ($($check:ident $operation:literal;)*) => {$(
        fn $check() -> TestResult {
            remap(|_address| {
                // SAFETY: invalidating the TLB loses nothing but time.
                unsafe {
                    asm!(
                        "dsb ish", concat!("tlbi ", $operation), "dsb ish", "isb",
                        in("x0") _address >> 12, options(nostack)
                    );
                }
            })
        }
    )*};
}

tlbi! {
    tlbi_by_address "vae1, x0";
    tlbi_by_address_inner_shareable "vae1is, x0";
    tlbi_all "vmalle1";
    tlbi_all_inner_shareable "vmalle1is";
}

/// SCTLR_EL1.C and .I off and on again: what was written before is still there.
fn caches_off_and_on() -> TestResult {
    let sctlr = mrs!("SCTLR_EL1");
    let enables = 1 << 2 | 1 << 12;
    for round in 0..3 {
        SECOND.0[1].store(round, SeqCst);
        // SAFETY: cleans the line, so that uncached loads see it.
        unsafe { asm!("dc civac, {}", "dsb sy", in(reg) SECOND.address(), options(nostack)) };
        let (off, seen): (u64, u32);
        // SAFETY: between the two writes only a cleaned line is loaded, past the caches;
        // nothing that is dirty in them, such as the stack, is touched.
        unsafe {
            asm!(
                "msr SCTLR_EL1, {without}", "isb",
                "mrs {off}, SCTLR_EL1",
                "ldr {seen:w}, [{word}, #4]",
                "msr SCTLR_EL1, {with}", "isb",
                without = in(reg) sctlr & !enables, with = in(reg) sctlr,
                word = in(reg) SECOND.address(), off = out(reg) off, seen = out(reg) seen,
                options(nostack)
            );
        }
        expect_eq!(off & enables, 0);
        expect_eq!(mrs!("SCTLR_EL1") & enables, enables);
        expect!(seen == round, "read {seen} in round {round}");
    }
    Ok(())
}
