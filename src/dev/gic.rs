//! The host's interrupt controller.

pub mod v3;
