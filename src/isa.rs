//! The architecture as data: encodings, registers, syndromes, descriptors. No hardware here.

pub mod descriptor;
pub mod encoding;
