//! The bare machine at EL1, as every guest program needs it.

#![expect(
    unsafe_code,
    reason = "nearly every line here is an instruction of the machine"
)]

pub mod console;
pub mod entry;
pub mod fp;
pub mod gic;
pub mod irq;
pub mod mmio;
pub mod mmu;
pub mod place;
pub mod points;
pub mod run;
pub mod second;
pub mod smccc;
pub mod sysreg;
pub mod timer;
pub mod trap;
