//! A guest's exits on the fake machine: everything between the vectors and the way back.

mod aarch32;
mod debug;
mod debugger;
mod ends;
mod export;
pub(crate) mod fixture;
mod hidden;
mod inject;
mod interrupts;
mod mmio;
mod noise;
mod psci;
mod random;
mod setway;
mod switch;
mod system;
