//! The interrupt controller, as the device tree describes it.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use guests::fdt;
use guests::rt::{entry, gic, mmio::write32};
use guests::{msr, println};

const SGIR: u64 = gic::GICD + 0xf00;

/// Where a GICv2's CPU interface is, or 0.
static INTERFACE: AtomicU64 = AtomicU64::new(0);

/// Reads the device tree and gets the controller going. Returns whether it is where this program
/// looks for it.
pub fn init() -> bool {
    let v2 = compatible("arm,cortex-a15-gic") || compatible("arm,gic-400");
    let (second, at) = if v2 {
        (gic::GICC, gic::GICC)
    } else {
        (gic::GICR, 0)
    };
    if (register(0), register(16)) != (Some(gic::GICD), Some(second)) {
        println!("bench: the device tree has no interrupt controller, or it is elsewhere");
        return false;
    }
    INTERFACE.store(at, Relaxed);
    gic::init();
    if gic::is_v2() != v2 {
        println!("bench: the CPU and the device tree tell of two interrupt controllers");
    }
    gic::is_v2() == v2
}

fn property(name: &str) -> Option<&'static [u8]> {
    fdt::property(entry::device_tree()?, "intc", name)
}

fn compatible(with: &str) -> bool {
    property("compatible").is_some_and(|list| {
        list.split(|&byte| byte == 0)
            .any(|one| one == with.as_bytes())
    })
}

fn register(at: usize) -> Option<u64> {
    fdt::double(property("reg")?, at)
}

/// How software interrupts are sent. To be had once for many, so that it isn't found out in the
/// loop that is counted.
#[derive(Clone, Copy)]
pub struct Sender {
    interface: u64,
}

impl Sender {
    /// Returns this machine's; [`init`] came before.
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
