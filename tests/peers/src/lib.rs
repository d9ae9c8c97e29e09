//! What is needed to run the bench guest under KVM, as a lower bound of what any other user of
//! KVM makes it cost: one VM, no devices but the kernel's GIC and the registers of a UART.
//!
//! The program `kvm` is the first process of a Linux that has nothing else. It is built for the
//! bare target, as the hypervisor is, and makes its system calls itself: no C library is needed,
//! and nothing happens that isn't written here. This library is its part without system calls.

#![cfg_attr(target_os = "none", no_std)]

pub mod abi;
pub mod uart;
