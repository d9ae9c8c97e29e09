//! The architecture as data: encodings, registers, syndromes, descriptors. No hardware here.

pub mod affinity;
pub mod encoding;
pub mod gic;
pub mod psci;
pub mod smccc;
