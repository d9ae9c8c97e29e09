//! The hypervisor's image: the symbols that `cpu/entry.S` and `cpu/vectors.S` jump to.

#![cfg_attr(target_os = "none", no_std, no_main)]
#![cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "assembly finds these by name")
)]

#[cfg(target_os = "none")]
mod symbols {
    use entresol::{boot, cpu::vectors::Fault, trace};

    // SAFETY: no other symbol has this name.
    #[unsafe(no_mangle)]
    extern "C" fn hypervisor_main(tree: u64, image: u64) -> ! {
        boot::start(tree, image)
    }

    // SAFETY: no other symbol has this name.
    #[unsafe(no_mangle)]
    extern "C" fn hypervisor_secondary() -> ! {
        boot::start_secondary()
    }

    // SAFETY: no other symbol has this name.
    #[unsafe(no_mangle)]
    extern "C" fn hypervisor_at_el1(tree: u64, image: u64) -> ! {
        boot::refuse_el1(tree, image)
    }

    // SAFETY: no other symbol has this name.
    #[unsafe(no_mangle)]
    extern "C" fn hypervisor_fault(fault: &Fault, kind: usize) -> ! {
        trace::report_fault(fault, kind)
    }

    #[panic_handler]
    fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
        trace::report_panic(info)
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("Entresol runs at EL2 of an Arm machine; scripts/run boots it in QEMU.");
    std::process::exit(2);
}
