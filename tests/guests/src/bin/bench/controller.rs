//! The interrupt controller, as the device tree describes it.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use guests::fdt;
use guests::rt::{entry, gic, mmio::write32};
use guests::{msr, println};

const SGIR: u64 = gic::GICD + 0xf00;

/// Where a GICv2's CPU interface is, or 0.
static INTERFACE: AtomicU64 = AtomicU64::new(0);

/// Looks for the controller in the device tree; returns whether there is one.
pub fn find() -> bool {
    let v2 = is_there("arm,cortex-a15-gic") || is_there("arm,gic-400");
    INTERFACE.store(if v2 { gic::GICC } else { 0 }, Relaxed);
    let found = v2 || is_there("arm,gic-v3");
    if !found {
        println!("bench: the device tree has no interrupt controller");
    }
    found
}

/// Gets the controller going; returns whether it is the one that was found.
pub fn init() -> bool {
    gic::init();
    let same = gic::is_v2() == (interface() != 0);
    if !same {
        println!("bench: the CPU and the device tree tell of two interrupt controllers");
    }
    same
}

fn is_there(kind: &str) -> bool {
    entry::device_tree().is_some_and(|tree| fdt::compatible(tree, kind, "reg").is_some())
}

/// How software interrupts are sent. To be had once for many, so that it isn't found out in the
/// loop that is counted.
#[derive(Clone, Copy)]
pub struct Sender {
    interface: u64,
}

impl Sender {
    /// Returns this machine's; [`find`] came before.
    #[inline(always)]
    pub fn get() -> Self {
        Self {
            interface: interface(),
        }
    }

    /// Sends SGI `intid` to CPU `index`.
    #[inline(always)]
    pub fn send(self, index: u64, intid: u64) {
        if self.interface == 0 {
            msr!("ICC_SGI1R_EL1", intid << 24 | 1 << index);
        } else {
            write32(SGIR, (1_u64 << (16 + index) | intid) as u32);
        }
    }
}

/// Returns where a GICv2's CPU interface is; 0 if it is a GICv3.
pub fn interface() -> u64 {
    INTERFACE.load(Relaxed)
}
