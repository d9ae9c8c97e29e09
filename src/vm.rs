//! Everything a guest sees.

pub mod dev;
pub mod fdt;
pub mod image;
pub mod psci;
pub mod smccc;
pub mod sysregs;
