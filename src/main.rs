//! The hypervisor's image. Everything is in the library; this names the entry.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("Entresol runs at EL2 of an Arm machine: try scripts/run");
    std::process::exit(2);
}
