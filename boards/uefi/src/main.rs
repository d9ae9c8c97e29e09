//! A UEFI application that starts Entresol: it carries the hypervisor's image, finds the bundle
//! beside itself, and turns what the firmware says of the machine into a device tree.

#![cfg_attr(target_os = "uefi", no_std, no_main)]

#[cfg(target_os = "uefi")]
extern crate alloc;

#[cfg(target_os = "uefi")]
mod app {
    pub mod arena;
    pub mod enter;
    pub mod files;
    pub mod firmware;
    pub mod start;
}

#[cfg(not(target_os = "uefi"))]
fn main() {
    eprintln!("This is an application for UEFI; scripts/image uefi puts it on a disk.");
    std::process::exit(2);
}
