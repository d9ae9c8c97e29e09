//! Start-up.
#![allow(unsafe_code, clippy::all)]

use crate::{
    addr::{Pa, PaRange},
    isa::descriptor::stage1::Regime,
    log,
    mem::stage1,
    mmio::Mmio,
    sync::Once,
    sync::SpinLock,
};

static UART: Once<SpinLock<Mmio>> = Once::new();

fn sink(text: &str) {
    if let Some(u) = UART.get() {
        let u = u.lock();
        for b in text.bytes() {
            u.write32(0, b.into());
        }
    }
}

/// x
pub fn start(_tree: u64, image: u64) -> ! {
    init(image, Regime::El2);
    ::log::info!("hello");
    stage1::drop_identity_map().unwrap();
    ::log::info!("hello again");
    // SAFETY: x
    unsafe {
        (0x1234_0000_0000 as *const u8).read_volatile();
    }
    panic!("end")
}
fn init(image: u64, r: Regime) {
    unsafe extern "C" {
        static __boot_tables_start: u8;
        static __image_end: u8;
        static __image_start: u8;
    }
    let size = (&raw const __image_end as u64) - (&raw const __image_start as u64);
    let root = (&raw const __boot_tables_start as u64) - (&raw const __image_start as u64) + image;
    stage1::init(
        PaRange::new(Pa::new(image), size).unwrap(),
        Pa::new(root),
        r,
    );
    let m = stage1::map_device(PaRange::new(Pa::new(0x900_0000), 0x1000).unwrap()).unwrap();
    UART.call_once(|| SpinLock::new(m));
    log::init(sink);
}

/// x
pub fn refuse_el1(_tree: u64, image: u64) -> ! {
    init(image, Regime::El2And0);
    ::log::info!("started at EL1");
    loop {}
}
#[unsafe(no_mangle)] extern "C" fn guest_hypercall() {}
#[unsafe(no_mangle)] extern "C" fn guest_interrupt() {}
#[unsafe(no_mangle)] extern "C" fn guest_system_error() {}
#[unsafe(no_mangle)] extern "C" fn guest_synchronous() {}
