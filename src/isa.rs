//! The architecture as data: encodings, registers, syndromes, descriptors. No hardware here.

pub mod aarch32;
pub mod affinity;
pub mod descriptor;
pub mod encoding;
pub mod esr;
pub mod features;
pub mod gic;
pub mod instruction;
pub mod psci;
pub mod smccc;
pub mod speculation;
pub mod sysreg;
