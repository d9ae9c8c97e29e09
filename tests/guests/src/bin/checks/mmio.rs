//! Device accesses of every kind, and accesses to where nothing is.

use core::arch::asm;

use guests::rt::console::{FR, FR_RXFE, IBRD, IMSC};
use guests::rt::mmio::{read8, read16, read32, read64, write8, write16, write32, write64};
use guests::rt::trap::{
    self, ALIGNMENT_FAULT, EC_DATA_ABORT, EC_INSTRUCTION_ABORT, EXTERNAL_ABORT, Fault,
};
use guests::rt::{entry, gic, mmu};
use guests::{checks, expect, expect_eq, fail, ignore, mrs, msr, outcome::TestResult};

checks! {
    everywhere loads_of_every_size;
    everywhere sign_extended_byte;
    everywhere sign_extended_halfword;
    everywhere sign_extended_word;
    everywhere stores_of_every_size;
    everywhere stores_of_the_zero_register;
    everywhere load_to_the_zero_register;
    everywhere unaligned_is_a_fault_with_sctlr_a;
    everywhere unaligned_is_answered;
    everywhere accesses_without_syndrome;
    everywhere hole_below_the_devices;
    hypervisor("QEMU has its PCI window there") hole_in_the_pci_window;
    everywhere hole_past_ram;
    everywhere hole_survives_many;
    everywhere execution_from_a_hole;
}

/// A word of priorities: a register that keeps 32 bits, 0xf8 in every byte.
fn priorities() -> u64 {
    let address = gic::priority_register(40);
    write32(address, 0xf8f8_f8f8);
    address
}

fn loads_of_every_size() -> TestResult {
    let word = read32(FR);
    expect!(word & FR_RXFE != 0, "UARTFR {word:#x}");
    expect_eq!(u32::from(read16(FR)), word & 0xffff);
    expect_eq!(u32::from(read8(FR)), word & 0xff);
    // A GICv2 has no register of 64 bits.
    if !gic::is_v2() {
        let typer = read64(gic::redistributor() + 8);
        expect_eq!(read32(gic::redistributor() + 8), typer as u32);
    }
    Ok(())
}

macro_rules! load {
    ($instruction:literal, $address:expr) => {{
        // Not a value that the load may leave in place unseen.
        let mut value = 0x5555_5555_5555_5555_u64;
        // SAFETY: a load from a device.
        unsafe {
            asm!(
                concat!($instruction, ", [{}]"), inout(reg) value, in(reg) $address,
                options(nostack)
            );
        }
        value
    }};
}

fn sign_extended_byte() -> TestResult {
    let address = priorities();
    let byte = u64::from(read8(address));
    expect_eq!(byte & 0xf0, 0xf0);
    expect_eq!(load!("ldrsb {}", address), byte | !0xff);
    expect_eq!(
        load!("ldrsb {:w}", address),
        (byte | 0xffff_ff00) & 0xffff_ffff
    );
    Ok(())
}

fn sign_extended_halfword() -> TestResult {
    let before = read32(IBRD);
    write32(IBRD, 0x8001);
    let (long, short) = (load!("ldrsh {}", IBRD), load!("ldrsh {:w}", IBRD));
    write32(IBRD, before);
    expect_eq!(long, 0xffff_ffff_ffff_8001);
    expect_eq!(short, 0xffff_8001);
    Ok(())
}

fn sign_extended_word() -> TestResult {
    let address = priorities();
    let word = u64::from(read32(address));
    expect_eq!(word >> 31, 1);
    expect_eq!(load!("ldrsw {}", address), word | 0xffff_ffff_0000_0000);
    expect_eq!(load!("ldr {:w}", address), word);
    Ok(())
}

fn stores_of_every_size() -> TestResult {
    write8(IMSC, 0x10);
    expect_eq!(read32(IMSC), 0x10);
    write16(IMSC, 0x40);
    expect_eq!(read32(IMSC), 0x40);
    write32(IMSC, 0x50);
    expect_eq!(read32(IMSC), 0x50);
    if !gic::is_v2() {
        let router = gic::GICD + 0x6000 + 8 * 44;
        write64(router, gic::affinity());
        expect_eq!(read64(router), gic::affinity());
    }
    Ok(())
}

fn stores_of_the_zero_register() -> TestResult {
    macro_rules! zero {
        ($instruction:literal) => {{
            write32(IMSC, 0x10);
            // SAFETY: a store to a device.
            unsafe { asm!(concat!($instruction, ", [{}]"), in(reg) IMSC, options(nostack)) };
            expect_eq!(read32(IMSC), 0);
        }};
    }
    zero!("str wzr");
    zero!("strb wzr");
    zero!("strh wzr");
    Ok(())
}

fn load_to_the_zero_register() -> TestResult {
    // SAFETY: a load from a device; SP, which has the same number, must stay.
    let moved = unsafe {
        let moved: u64;
        asm!(
            "mov {old}, sp", "ldr wzr, [{fr}]", "mov {new}, sp", "sub {new}, {new}, {old}",
            fr = in(reg) FR, old = out(reg) _, new = out(reg) moved, options(nostack)
        );
        moved
    };
    expect_eq!(moved, 0);
    Ok(())
}

fn expect_abort(fault: Option<Fault>, status: u64, address: u64, write: bool) -> TestResult {
    let Some(fault) = fault else {
        fail!("no exception at {address:#x}");
    };
    expect!(
        fault.class() == EC_DATA_ABORT && fault.status() == status,
        "ESR {:#x} at {address:#x}",
        fault.esr
    );
    expect_eq!(fault.far, address);
    expect_eq!(fault.is_write(), write);
    Ok(())
}

fn unaligned_is_a_fault_with_sctlr_a() -> TestResult {
    const A: u64 = 1 << 1;
    let sctlr = mrs!("SCTLR_EL1");
    msr!("SCTLR_EL1", sctlr | A);
    let load = trap::catch(|| _ = read32(FR + 1));
    let store = trap::catch(|| write16(IMSC + 1, 0));
    msr!("SCTLR_EL1", sctlr);
    expect_abort(load, ALIGNMENT_FAULT, FR + 1, false)?;
    expect_abort(store, ALIGNMENT_FAULT, IMSC + 1, true)
}

/// The architecture wants an alignment fault; QEMU carries the access out; a hypervisor
/// that can't may call it an external abort. The program goes on in every case.
fn unaligned_is_answered() -> TestResult {
    for (address, write) in [(FR + 1, false), (FR + 3, false), (IMSC + 1, true)] {
        let fault = trap::catch(|| {
            if write {
                write32(address, 0);
            } else {
                read32(address);
            }
        });
        if let Some(fault) = fault {
            let status = fault.status();
            expect!(
                status == ALIGNMENT_FAULT || status == EXTERNAL_ABORT,
                "ESR {:#x}",
                fault.esr
            );
            expect_abort(Some(fault), status, address, write)?;
        }
    }
    Ok(())
}

/// Pairs, writeback and exclusives leave the hypervisor without a decoded syndrome: either
/// they work, or they end in an external abort at the right address.
fn accesses_without_syndrome() -> TestResult {
    let expected = read32(FR);
    let (mut value, mut address) = (expected, FR);
    let fault = trap::catch(|| {
        // SAFETY: a load from a device, with writeback.
        unsafe {
            asm!(
                "ldr {:w}, [{}], #4", inout(reg) value, inout(reg) address, options(nostack)
            );
        }
    });
    match fault {
        None => expect_eq!((value, address), (expected, FR + 4)),
        fault => expect_abort(fault, EXTERNAL_ABORT, FR, false)?,
    }

    let (mut first, mut second) = (expected, 0_u32);
    let fault = trap::catch(|| {
        // SAFETY: loads from a device: FR and the reserved word behind it.
        unsafe {
            asm!(
                "ldp {:w}, {:w}, [{}]", inout(reg) first, inout(reg) second, in(reg) FR,
                options(nostack)
            );
        }
    });
    match fault {
        None => expect_eq!(first, expected),
        fault => expect_abort(fault, EXTERNAL_ABORT, FR, false)?,
    }
    let _ = second;
    Ok(())
}

fn expect_hole(address: u64) -> TestResult {
    let mut value = 0x55;
    let load = trap::catch(|| value = read32(address));
    expect_abort(load, EXTERNAL_ABORT, address, false)?;
    expect_abort(
        trap::catch(|| write32(address, 1)),
        EXTERNAL_ABORT,
        address,
        true,
    )?;
    let byte = trap::catch(|| _ = read8(address + 3));
    expect_abort(byte, EXTERNAL_ABORT, address + 3, false)?;
    let double = trap::catch(|| write64(address + 8, 1));
    expect_abort(double, EXTERNAL_ABORT, address + 8, true)
}

fn hole_below_the_devices() -> TestResult {
    expect_hole(0x0b00_0000)
}

fn hole_in_the_pci_window() -> TestResult {
    expect_hole(0x3000_0000)
}

fn hole_past_ram() -> TestResult {
    let end = entry::ram().1;
    if end <= mmu::RAM_BASE || end >= 0x80_0000_0000 {
        ignore!("RAM does not end inside the address space of the guest");
    }
    expect_hole(end)
}

fn hole_survives_many() -> TestResult {
    for page in 0..256 {
        let address = 0x0b00_0000 + page * 0x1000;
        expect_abort(
            trap::catch(|| _ = read32(address)),
            EXTERNAL_ABORT,
            address,
            false,
        )?;
    }
    Ok(())
}

/// An entry of the first table is borrowed for an executable view of a hole.
fn execution_from_a_hole() -> TestResult {
    const VIEW: usize = 508;
    let device_block = (VIEW as u64) << 30 | mmu::Table::DEVICE_BLOCK;
    let executable = 0x401; // the first GiB, device memory, no XN
    mmu::LEVEL1.set(VIEW, executable);
    mmu::flush();
    let target = (VIEW as u64) << 30 | 0x0b00_0000;
    // SAFETY: the fetch faults, and `catch` returns from the call.
    let call: extern "C" fn() = unsafe { core::mem::transmute(target) };
    let fault = trap::catch(|| call());
    mmu::LEVEL1.set(VIEW, device_block);
    mmu::flush();
    let seen = fault.map(|fault| (fault.class(), fault.status(), fault.far));
    expect_eq!(seen, Some((EC_INSTRUCTION_ABORT, EXTERNAL_ABORT, target)));
    Ok(())
}
