//! What the test guests have in common: start-up, exceptions, console, devices.
//!
//! A guest is a `no_std` binary of this package: [`entry!`] names its main
//! function, which runs at EL1 with the MMU and caches on. The same binaries run
//! under the hypervisor and, for comparison, straight on QEMU's `virt` machine.

#![cfg_attr(target_os = "none", no_std)]

pub mod fdt;
pub mod outcome;
pub mod text;

#[cfg(target_os = "none")]
pub mod rt;
