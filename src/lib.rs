//! Entresol: a bare-metal type-1 hypervisor for 64-bit Arm.
//!
//! The modules are layers, lowest first; a module uses its own layer and lower
//! ones, never a higher one (`tests/layers.rs` holds that).
//!
//! | layer | modules | what |
//! |---|---|---|
//! | 0 | [`addr`], [`bits`], [`error`] | words of the trade |
//! | 1 | [`isa`] | the architecture as data |
//! | 2 | `cpu` | the machine: one instruction family a file |
//! | 3 | `sync`, `mmio`, `mem`, `log` | foundations |
//! | 4 | `dev` | the host's devices that EL2 drives |
//! | 5 | `board` | facts from the device tree |
//! | 6 | `vm` | everything a guest sees |
//! | 7 | `sched`, `config` | who runs where; what VMs there are |
//! | 8 | `boot`, `console`, `debugger` | start-up as one readable list; looking at guests |

#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

pub mod addr;
pub mod bits;
pub mod error;

pub mod isa;

pub mod cpu;

pub mod log;
pub mod mem;
pub mod mmio;
pub mod sync;

pub mod dev;

pub mod board;

pub mod vm;

pub mod config;
pub mod sched;

#[cfg(target_os = "none")]
pub mod boot;
/// Of start-up, what runs on any machine.
#[cfg(not(target_os = "none"))]
pub mod boot {
    pub mod arguments;
    pub mod restarts;
}
#[cfg(target_os = "none")]
pub mod console;
pub mod debugger;
pub mod trace;
