//! The architecture as data: encodings, registers, syndromes, descriptors. No hardware here.

pub mod descriptor;
pub mod encoding;
pub mod esr;
pub mod features;
pub mod sysreg;
