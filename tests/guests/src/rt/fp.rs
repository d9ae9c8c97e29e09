//! The vector registers, all at once: the programs are built without using them.

use core::arch::global_asm;

global_asm!(
    ".arch_extension fp",
    ".arch_extension simd",
    ".global guest_fp_load, guest_fp_store",
    "guest_fp_load:",
    "ldp q0, q1, [x0]",
    "ldp q2, q3, [x0, #32]",
    "ldp q4, q5, [x0, #64]",
    "ldp q6, q7, [x0, #96]",
    "ldp q8, q9, [x0, #128]",
    "ldp q10, q11, [x0, #160]",
    "ldp q12, q13, [x0, #192]",
    "ldp q14, q15, [x0, #224]",
    "ldp q16, q17, [x0, #256]",
    "ldp q18, q19, [x0, #288]",
    "ldp q20, q21, [x0, #320]",
    "ldp q22, q23, [x0, #352]",
    "ldp q24, q25, [x0, #384]",
    "ldp q26, q27, [x0, #416]",
    "ldp q28, q29, [x0, #448]",
    "ldp q30, q31, [x0, #480]",
    "ret",
    "guest_fp_store:",
    "stp q0, q1, [x0]",
    "stp q2, q3, [x0, #32]",
    "stp q4, q5, [x0, #64]",
    "stp q6, q7, [x0, #96]",
    "stp q8, q9, [x0, #128]",
    "stp q10, q11, [x0, #160]",
    "stp q12, q13, [x0, #192]",
    "stp q14, q15, [x0, #224]",
    "stp q16, q17, [x0, #256]",
    "stp q18, q19, [x0, #288]",
    "stp q20, q21, [x0, #320]",
    "stp q22, q23, [x0, #352]",
    "stp q24, q25, [x0, #384]",
    "stp q26, q27, [x0, #416]",
    "stp q28, q29, [x0, #448]",
    "stp q30, q31, [x0, #480]",
    "ret",
);

/// V0 to V31.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C, align(16))]
pub struct Vectors(pub [u128; 32]);

unsafe extern "C" {
    fn guest_fp_load(values: *const Vectors);
    fn guest_fp_store(values: *mut Vectors);
}

/// Fills the vector registers.
pub fn load(values: &Vectors) {
    // SAFETY: reads the array; the compiler keeps nothing in vector registers here.
    unsafe { guest_fp_load(values) }
}

/// Reads the vector registers.
pub fn store() -> Vectors {
    let mut values = Vectors([0; 32]);
    // SAFETY: fills the array.
    unsafe { guest_fp_store(&mut values) };
    values
}
