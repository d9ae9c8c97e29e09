//! A guest's exits on the fake machine: everything between the vectors and the way back.

mod ends;
mod fixture;
mod inject;
mod interrupts;
mod mmio;
mod noise;
mod psci;
mod random;
mod switch;
mod system;
