//! Memory: physical frames and their owners, EL2's heap, translation tables.

pub mod frames;
pub mod heap;
pub mod stage2;
pub mod table;
