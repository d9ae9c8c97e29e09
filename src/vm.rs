//! Everything a guest sees.

pub mod dev;
pub mod psci;
pub mod smccc;
