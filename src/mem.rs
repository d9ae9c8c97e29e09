//! Memory: physical frames and their owners, EL2's heap, translation tables.

pub mod frames;
pub mod heap;
#[cfg(target_os = "none")]
pub mod stage1;
pub mod stage2;
pub mod table;
pub mod vmids;
pub mod window;
