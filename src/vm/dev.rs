//! The devices a guest has.

pub mod pl011;
pub mod pl031;
