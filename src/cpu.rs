//! The machine: one instruction family a file.
//!
//! On the bare target these are the instructions themselves. Anywhere else the
//! same functions act on [`fake`], a machine per thread that tests can look into.

pub mod barrier;
#[cfg(not(target_os = "none"))]
pub mod fake;
pub mod regs;
pub mod smc;
