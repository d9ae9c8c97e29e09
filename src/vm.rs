//! Everything a guest sees.

pub mod gic;
