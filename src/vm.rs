//! Everything a guest sees.

pub mod sysregs;
