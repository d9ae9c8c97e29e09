//! The first process of a Linux: runs the bench guest under KVM, then turns the machine off.
//!
//! The folder it starts in holds the guest as `bench` and its device tree as `bench.dtb`. With
//! a file `shared` there, both vCPUs run on the first CPU.

#![cfg_attr(target_os = "none", no_std, no_main)]
#![cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "every system call is an instruction")
)]

#[cfg(target_os = "none")]
mod linux;
#[cfg(target_os = "none")]
mod process;
#[cfg(target_os = "none")]
mod vm;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("kvm is the first process of an arm64 Linux: scripts/bench --vs kvm runs it");
    std::process::exit(2);
}
