//! Everything a guest sees.

pub mod fdt;
pub mod image;
pub mod sysregs;
