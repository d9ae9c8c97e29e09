//! Exceptions taken to EL2. The code is in `vectors.S`.
//!
//! A guest's exceptions call `guest_hypercall`, `guest_system_register`, `guest_data_abort`,
//! `guest_synchronous`, `guest_interrupt` and `guest_system_error`, which the `vm` layer defines; a fault of EL2 itself calls
//! `hypervisor_fault`, which the edge defines. They are reached by symbol, because no layer calls
//! a higher one.

#![cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "exceptions arrive in assembly")
)]

/// What EL2's registers held when it faulted; the assembly writes it.
#[repr(C)]
pub struct Fault {
    /// x0 to x30.
    pub x: [u64; 31],
    /// The stack pointer.
    pub sp: u64,
    /// ELR_EL2: where.
    pub elr: u64,
    /// SPSR_EL2.
    pub spsr: u64,
    /// ESR_EL2: what.
    pub esr: u64,
    /// FAR_EL2: which address.
    pub far: u64,
}

/// The names of the eight vectors of EL2's own exceptions, by the kind the assembly passes.
pub const OWN: [&str; 8] = [
    "synchronous exception on SP_EL0",
    "IRQ on SP_EL0",
    "FIQ on SP_EL0",
    "SError on SP_EL0",
    "synchronous exception",
    "IRQ",
    "FIQ",
    "SError",
];

#[cfg(target_os = "none")]
core::arch::global_asm!(
    include_str!("vectors.S"),
    host_sp = const core::mem::offset_of!(super::switch::Frame, host_sp),
    resume_all = const super::switch::RESUME_ALL,
    emergency_stack = const core::mem::offset_of!(super::local::Local, emergency_stack),
    fault_size = const size_of::<Fault>(),
);

const _: () = assert!(size_of::<Fault>() == 8 * 36, "vectors.S writes 36 words");
