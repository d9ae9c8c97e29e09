//! The machine: one instruction family a file.
//!
//! On the bare target these are the instructions themselves. Anywhere else the
//! same functions act on [`fake`], a machine per thread that tests can look into.

pub mod barrier;
pub mod cache;
#[cfg(target_os = "none")]
mod entry;
#[cfg(not(target_os = "none"))]
pub mod fake;
pub mod fp;
pub mod id;
pub mod local;
pub mod random;
pub mod regs;
#[cfg(target_os = "none")]
pub mod secondary;
pub mod smc;
pub mod switch;
pub mod timer;
pub mod tlb;
pub mod translate;
pub mod vectors;
pub mod vhe;
