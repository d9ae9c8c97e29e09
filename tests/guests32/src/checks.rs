//! Registers, calls, devices, and the second CPU.

use crate::{
    mcr, mrc,
    rt::{self, Failed, SCRATCH},
    same,
};
use core::arch::asm;

// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
static mut boot_registers: [u32; 5] = [0; 5];
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
static mut second_cpu_saw: [u32; 2] = [0; 2];

fn booted_with() -> [u32; 5] {
    // SAFETY: it was written before anything of Rust ran.
    unsafe { (&raw const boot_registers).read_volatile() }
}

/// Returns the device tree that the boot protocol hands over.
pub fn device_tree() -> &'static [u8] {
    let at = booted_with()[2] as *const u32;
    // SAFETY: the tree is at r2, and its second word is its size.
    unsafe {
        let size = u32::from_be(at.add(1).read_volatile());
        core::slice::from_raw_parts(at.cast(), size as usize)
    }
}

/// r0 = 0, r1 = no board, r2 = the device tree; Supervisor mode, A32, all masked, MMU and caches off.
pub fn boot_protocol() -> Result<(), Failed> {
    let [r0, r1, _, r3, cpsr] = booted_with();
    same!(r0, 0);
    same!(r1, u32::MAX);
    same!(r3, 0);
    same!(cpsr, 0x1d3);
    same!(
        u32::from_be_bytes(*device_tree().first_chunk().unwrap_or(&[0; 4])),
        0xd00d_feed_u32
    );
    let sctlr = mrc!("p15, 0", "c1, c0, 0");
    // M, A, C, I, V, EE, TRE, AFE, TE.
    same!(sctlr & 0x7200_3007, 0);
    same!(mrc!("p15, 0", "c0, c0, 5") >> 31, 1);
    Ok(())
}

pub fn calls() -> Result<(), Failed> {
    const VERSION: u32 = 0x8400_0000;
    const NOT_SUPPORTED: u32 = u32::MAX;
    same!(rt::hvc([VERSION, 0, 0, 0]), 0x1_0001);
    same!(rt::smc(VERSION), 0x1_0001);
    // CPU_ON by its 64-bit name, and whether there is such a function.
    same!(rt::hvc([0xc400_0003, 1, 0x4008_0000, 0]), NOT_SUPPORTED);
    same!(rt::hvc([0x8400_000a, 0xc400_0003, 0, 0]), NOT_SUPPORTED);
    same!(rt::hvc([0x8400_000a, 0x8400_0003, 0, 0]), 0);
    Ok(())
}

pub fn id_registers() -> Result<(), Failed> {
    // A32, T32 with Thumb-2.
    same!(mrc!("p15, 0", "c0, c1, 0") & 0xff, 0x31);
    // Security and virtualisation extensions are not for guests, nor is the PMU.
    same!(mrc!("p15, 0", "c0, c1, 1") & 0xf0f0, 0);
    same!(mrc!("p15, 0", "c0, c1, 2") >> 24 & 0xf, 0);
    // ID_MMFR0.VMSA: long descriptors.
    same!(mrc!("p15, 0", "c0, c1, 4") & 0xf, 5);
    // Unallocated, and one that AArch64 has there.
    same!(mrc!("p15, 0", "c0, c4, 0"), 0);
    same!(mrc!("p15, 0", "c0, c7, 7"), 0);
    Ok(())
}

pub fn actlr_is_memory() -> Result<(), Failed> {
    mcr!("p15, 0", "c1, c0, 1", 0x1234_5678);
    same!(mrc!("p15, 0", "c1, c0, 1"), 0x1234_5678);
    // ID_MMFR4.AC2: there is an ACTLR2.
    if mrc!("p15, 0", "c0, c2, 6") >> 4 & 0xf != 0 {
        mcr!("p15, 0", "c1, c0, 3", 0x9abc_def0);
        same!(mrc!("p15, 0", "c1, c0, 1"), 0x1234_5678);
        same!(mrc!("p15, 0", "c1, c0, 3"), 0x9abc_def0_u32);
    }
    Ok(())
}

/// DBGOSLAR locks by a key, and DBGOSLSR tells.
pub fn os_lock() -> Result<(), Failed> {
    for (value, status) in [(0, 0x8), (0xc5ac_ce55, 0xa), (1, 0x8)] {
        mcr!("p14, 0", "c1, c0, 4", value);
        same!(mrc!("p14, 0", "c1, c1, 4"), status);
    }
    Ok(())
}

pub fn debug_registers() -> Result<(), Failed> {
    const MDE: u32 = 1 << 15;
    let id = mrc!("p14, 0", "c0, c0, 0");
    // Version 6 or newer, and RES1.
    same!(id >> 16 & 0xf >= 6, true);
    same!(id >> 15 & 1, 1);
    same!(mrc!("p14, 0", "c1, c0, 0"), 0);
    mcr!("p14, 0", "c0, c2, 2", MDE);
    same!(mrc!("p14, 0", "c0, c1, 0"), MDE);
    mcr!("p14, 0", "c0, c2, 2", 0);
    same!(mrc!("p14, 0", "c0, c1, 0"), 0);
    mcr!("p14, 0", "c0, c0, 4", 0x4567_89a8);
    same!(mrc!("p14, 0", "c0, c0, 4"), 0x4567_89a8);
    // To the flags instead of a register.
    let flags: u32;
    // SAFETY: changes nothing but the flags.
    unsafe {
        asm!("cmp {0}, {0}", "mrc p14, 0, APSR_nzcv, c0, c1, 0", "mrs {0}, cpsr", out(reg) flags);
    }
    same!(flags >> 28, 0);
    Ok(())
}

/// FP is off at reset, by FPEXC too; once on, its registers stay.
pub fn floating_point() -> Result<(), Failed> {
    const EN: u32 = 1 << 30;
    mcr!("p15, 0", "c1, c0, 2", 0b1111 << 20);
    let (before, after, mvfr0, low, high): (u32, u32, u32, u32, u32);
    // SAFETY: nobody else uses FP.
    unsafe {
        asm!(
            ".fpu neon",
            "vmrs {before}, fpexc",
            "vmsr fpexc, {en}",
            "vmrs {after}, fpexc",
            "vmrs {mvfr0}, mvfr0",
            "vmov d31, {one}, {two}",
            // An exit.
            "mcr p15, 0, {one}, c1, c0, 1",
            "vmov {low}, {high}, d31",
            before = out(reg) before,
            after = out(reg) after,
            mvfr0 = out(reg) mvfr0,
            en = in(reg) EN,
            one = in(reg) 0x1111_2222,
            two = in(reg) 0x3333_4444,
            low = lateout(reg) low,
            high = lateout(reg) high,
        );
    }
    same!(before & EN, 0);
    same!(after & EN, EN);
    // Thirty-two registers of double precision.
    same!(mvfr0 & 0xff, 0x22);
    same!(low, 0x1111_2222);
    same!(high, 0x3333_4444);
    Ok(())
}

pub fn second_cpu_starts_in_t32() -> Result<(), Failed> {
    const CPU_ON: u32 = 0x8400_0003;
    const AFFINITY_INFO: u32 = 0x8400_0004;
    unsafe extern "C" {
        fn second_cpu();
    }
    same!(
        rt::hvc([CPU_ON, 1, second_cpu as *const () as u32 | 1, 0x5a5a]),
        0
    );
    while rt::hvc([AFFINITY_INFO, 1, 0, 0]) != 1 {}
    // SAFETY: the other CPU is off.
    let [context, cpsr] = unsafe { (&raw const second_cpu_saw).read_volatile() };
    same!(context, 0x5a5a);
    // MRS reads T as zero; in A32 nothing of that code would have run.
    same!(cpsr, 0x1d3);
    Ok(())
}

/// Loads from a device to each register of each mode that has its own, and stores from it.
pub fn every_register_of_every_mode() -> Result<(), Failed> {
    macro_rules! through {
        ($($mode:literal $register:literal;)*) => {$(
            let (loaded, stored): (u32, u32);
            // SAFETY: the register is put back, and so is the mode. The rate of the UART is its own
            // affair.
            unsafe {
                (SCRATCH as *mut u32).write_volatile(0x1234);
                asm!(
                    concat!("cps #", $mode),
                    concat!("mov r3, ", $register),
                    concat!("ldr ", $register, ", [r0]"),
                    concat!("mov r1, ", $register),
                    concat!("movw ", $register, ", #0x4321"),
                    concat!("str ", $register, ", [r0]"),
                    // A coprocessor's register by way of the same.
                    concat!("mrc p15, 0, ", $register, ", c1, c0, 1"),
                    concat!("mcr p15, 0, ", $register, ", c1, c0, 1"),
                    concat!("mov ", $register, ", r3"),
                    "cps #0x13",
                    in("r0") SCRATCH,
                    out("r1") loaded,
                    out("r3") _,
                    out("r8") _, out("r12") _, out("lr") _,
                );
                stored = (SCRATCH as *const u32).read_volatile();
            }
            same!(loaded, 0x1234);
            same!(stored, 0x4321);
        )*};
    }
    mcr!("p15, 0", "c1, c0, 1", 0x77);
    through! {
        "0x13" "r8"; "0x13" "r12"; "0x13" "lr"; "0x13" "sp";
        "0x11" "r8"; "0x11" "r9"; "0x11" "r10"; "0x11" "r12"; "0x11" "lr"; "0x11" "sp";
        "0x12" "lr"; "0x12" "sp"; "0x12" "r12";
        "0x17" "lr"; "0x17" "sp";
        "0x1b" "lr"; "0x1b" "sp";
        "0x1f" "lr"; "0x1f" "sp"; "0x1f" "r8";
    }
    same!(mrc!("p15, 0", "c1, c0, 1"), 0x77);
    Ok(())
}

pub fn it_blocks_go_on() -> Result<(), Failed> {
    let (read, kept): (u32, u32);
    // SAFETY: the function is called as it says.
    unsafe {
        asm!("blx it_block", in("r0") 0x6789_abcd_u32, out("r1") read, out("r2") kept,
            out("r3") _, out("lr") _);
    }
    same!(read, 0x6789_abcd);
    same!(kept, 7);
    let (first, second, half): (u32, u32, u32);
    // SAFETY: as above; the rate of the UART is its own affair.
    unsafe {
        (SCRATCH as *mut u32).write_volatile(0x2468);
        asm!("blx it_block_of_loads", in("r0") SCRATCH, out("r1") first, out("r2") second,
            out("r3") half, out("lr") _);
    }
    same!(first, 0x2468);
    same!(second, 0x2468);
    same!(half, 0x2468);
    Ok(())
}
