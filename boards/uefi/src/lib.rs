//! What the UEFI loader knows: ACPI's tables and UEFI's memory map in, a device tree out.
//!
//! Nothing here touches the machine, so all of it is tested on the development machine; the
//! application in `main.rs` does the rest. What firmware says is checked like anything else that
//! is read: lengths, checksums, addresses. What makes no sense ends in a [`Refusal`].

#![cfg_attr(target_os = "uefi", no_std)]

extern crate alloc;

pub mod acpi;
pub mod adopt;
pub mod arguments;
pub mod clock;
pub mod machine;
pub mod memory;
pub mod tree;

/// The hypervisor's own writer of device trees.
#[path = "../../../src/vm/fdt/writer.rs"]
pub mod writer;

/// The hypervisor's own reader of device trees' tokens.
#[path = "../../../src/board/fdt/token.rs"]
mod token;

/// Why the hypervisor can't be started, for a person to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal(pub alloc::string::String);

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes a [`Refusal`] as `format!` makes a string.
#[macro_export]
macro_rules! refuse {
    ($($text:tt)*) => { $crate::Refusal(alloc::format!($($text)*)) };
}
