//! Every encoding of op0 2 and 3 as an instruction that can be called.

use core::arch::asm;
use core::cell::UnsafeCell;

/// How many encodings there are: one bit of op0, three of op1, four of CRn, four of CRm, three of op2.
pub const ENCODINGS: usize = 1 << 15;

/// Returns the place of an encoding among them.
pub const fn place(op0: usize, op1: usize, crn: usize, crm: usize, op2: usize) -> usize {
    (op0 & 1) << 14 | op1 << 11 | crn << 7 | crm << 3 | op2
}

/// Returns the place of an encoding by its name: `S3_0_C1_C0_0`.
pub fn place_of(name: &str) -> usize {
    let mut fields = name
        .split('_')
        .map(|field| field.trim_start_matches(['S', 'C']).parse().unwrap_or(0));
    let mut next = || fields.next().unwrap_or(0);
    place(next(), next(), next(), next(), next())
}

/// MRS and RET, MSR and RET, of each.
#[repr(C, align(4096))]
struct Code(UnsafeCell<[[u32; 4]; ENCODINGS]>);

// SAFETY: written once, before anything of it runs; one CPU.
unsafe impl Sync for Code {}

static CODE: Code = Code(UnsafeCell::new([[0; 4]; ENCODINGS]));

/// Makes the instructions. None may be called before.
pub fn make() {
    const RET: u32 = 0xd65f_03c0;
    let start = CODE.0.get().cast::<[u32; 4]>();
    for place in 0..ENCODINGS {
        let field = (place as u32) << 5;
        // SAFETY: within the array, which nobody else uses yet.
        unsafe {
            start
                .add(place)
                .write([0xd530_0000 | field, RET, 0xd510_0000 | field, RET]);
        }
    }
    let end = start.wrapping_add(ENCODINGS) as u64;
    for line in (start as u64..end).step_by(16) {
        // SAFETY: cleans what was just written.
        unsafe { asm!("dc cvau, {}", in(reg) line, options(nostack)) };
    }
    // SAFETY: instructions are fetched anew.
    unsafe { asm!("dsb ish", "ic iallu", "dsb ish", "isb", options(nostack)) };
}

/// Calls the instruction at a byte of a stub, with X0; returns X0.
fn call(place: usize, offset: u64, x0: u64) -> u64 {
    let address = CODE.0.get() as u64 + 16 * (place % ENCODINGS) as u64 + offset;
    let mut value = x0;
    // SAFETY: two instructions that `make` wrote: an access to a register, and RET. An UNDEFINED one
    // is stepped over by the vectors.
    unsafe {
        asm!("blr {}", in(reg) address, inout("x0") value, out("x30") _, options(nostack));
    }
    value
}

/// Reads a register by the place of its encoding.
pub fn read(place: usize) -> u64 {
    call(place, 0, 0)
}

/// Writes a register by the place of its encoding.
pub fn write(place: usize, value: u64) {
    call(place, 8, value);
    // SAFETY: makes it take effect.
    unsafe { asm!("isb", options(nostack)) };
}
