//! Registers that must be there still after another guest ran on the CPU.

use crate::{
    mcr, mcrr, mrc, mrrc,
    rt::{self, Failed},
    same, say,
};
use core::arch::asm;

/// How often this guest gives up the CPU.
const ROUNDS: u32 = 5000;

/// Returns a number that neither the other guest nor another round has.
fn value(seed: u32, round: u32, register: u32) -> u32 {
    let n = seed << 28 | round << 8 | register;
    n.wrapping_mul(0x9e37_79b1) ^ n
}

macro_rules! banked {
    (write $name:literal $value:expr) => {
        // SAFETY: what belongs to a mode that this guest is not in is nobody's.
        unsafe {
            asm!(".arch_extension virt", concat!("msr ", $name, ", {}"), in(reg) $value);
        }
    };
    (read $name:literal) => {{
        let value: u32;
        // SAFETY: reading has no effect.
        unsafe {
            asm!(".arch_extension virt", concat!("mrs {}, ", $name), out(reg) value);
        }
        value
    }};
}

macro_rules! families {
    (
        banked { $($name:literal $mask:literal;)* }
        words { $($back:literal $bits:literal;)* }
        pairs { $($front:literal $crm:literal $wide:literal;)* }
    ) => {
        fn set(seed: u32, round: u32) {
            let mut n = 0;
            $(n += 1; banked!(write $name value(seed, round, n) & $mask);)*
            $(n += 1; mcr!("p15, 0", $back, value(seed, round, n) & $bits);)*
            $(n += 2; mcrr!($front, $crm, wide(seed, round, n) & $wide);)*
            let _ = n;
        }

        fn check(seed: u32, round: u32) -> Result<(), Failed> {
            let mut n = 0;
            $(n += 1; same!(banked!(read $name), value(seed, round, n) & $mask);)*
            $(n += 1; same!(mrc!("p15, 0", $back), value(seed, round, n) & $bits);)*
            $(n += 2; same!(mrrc!($front, $crm), wide(seed, round, n) & $wide);)*
            let _ = n;
            Ok(())
        }
    };
}

fn wide(seed: u32, round: u32, n: u32) -> u64 {
    u64::from(value(seed, round, n)) << 32 | u64::from(value(seed, round, n + 1))
}

families! {
    banked {
        // Flags and masks, and a mode that is one.
        "spsr_abt" 0xf800_01df; "spsr_und" 0xf800_01df; "spsr_irq" 0xf800_01df;
        "spsr_fiq" 0xf800_01df;
        "sp_abt" 0xffff_ffff; "lr_abt" 0xffff_ffff; "sp_und" 0xffff_ffff; "lr_und" 0xffff_ffff;
        "sp_irq" 0xffff_ffff; "lr_irq" 0xffff_ffff; "sp_fiq" 0xffff_ffff; "lr_fiq" 0xffff_ffff;
        "r8_fiq" 0xffff_ffff; "r9_fiq" 0xffff_ffff; "r10_fiq" 0xffff_ffff;
        "r11_fiq" 0xffff_ffff; "r12_fiq" 0xffff_ffff; "sp_usr" 0xffff_ffff;
        "lr_usr" 0xffff_ffff;
    }
    words {
        // DACR, IFSR, DFSR, DFAR, IFAR, PRRR, NMRR.
        "c3, c0, 0" 0xffff_ffff; "c5, c0, 1" 0x140f; "c5, c0, 0" 0x3cff;
        "c6, c0, 0" 0xffff_ffff; "c6, c0, 2" 0xffff_ffff; "c10, c2, 0" 0xffff_ffff;
        "c10, c2, 1" 0xffff_ffff;
        // CONTEXTIDR and the thread pointers; ACTLR, which is memory.
        "c13, c0, 1" 0xffff_ffff; "c13, c0, 2" 0xffff_ffff; "c13, c0, 3" 0xffff_ffff;
        "c13, c0, 4" 0xffff_ffff; "c1, c0, 1" 0xffff_ffff;
    }
    pairs {
        // TTBR1, PAR, CNTP_CVAL.
        "p15, 1" "c2" 0x00ff_00ff_ffff_c000; "p15, 2" "c14" 0xffff_ffff_ffff_ffff;
    }
}

/// Sets three of the FP registers and FPSCR; returns what they hold with `check`.
fn fp(word: u32, check: bool) -> [u32; 3] {
    let (low, high, status): (u32, u32, u32);
    // SAFETY: nobody else uses FP.
    unsafe {
        if !check {
            asm!(".fpu neon", "vmov d0, {0}, {1}", "vmov d31, {1}, {0}", "vmsr fpscr, {2}",
                in(reg) word, in(reg) !word, in(reg) word & 0xf000_009f);
        }
        asm!(".fpu neon", "vmov {0}, {2}, d0", "vmov {2}, {1}, d31", "vmrs {2}, fpscr",
            out(reg) low, out(reg) high, out(reg) status);
    }
    [low, high, status]
}

/// Lets the virtual timer's interrupt wake this guest, which masks it all the same.
fn enable_timer_interrupt() {
    const GICD_CTLR: usize = 0x0800_0000;
    const GICR_WAKER: usize = 0x080a_0014;
    const GICR_IGROUPR0: usize = 0x080b_0080;
    const GICR_ISENABLER0: usize = 0x080b_0100;
    for (register, value) in [
        // Affinity routing and group 1.
        (GICD_CTLR, 1 << 4 | 1 << 1),
        (GICR_WAKER, 0),
        (GICR_IGROUPR0, u32::MAX),
        (GICR_ISENABLER0, 1 << 27),
    ] {
        // SAFETY: they are the interrupt controller's.
        unsafe { (register as *mut u32).write_volatile(value) }
    }
    // ICC_SRE, ICC_PMR, ICC_IGRPEN1.
    mcr!("p15, 0", "c12, c12, 5", 7);
    mcr!("p15, 0", "c4, c6, 0", 0xff);
    mcr!("p15, 0", "c12, c12, 7", 1);
}

/// Lets the other guest run, until a timer of this one wants it.
fn give_up() {
    const ENABLE: u32 = 1;
    let ticks = mrc!("p15, 0", "c14, c0, 0") / 20_000;
    mcr!("p15, 0", "c14, c3, 0", ticks);
    mcr!("p15, 0", "c14, c3, 1", ENABLE);
    // SAFETY: waits.
    unsafe { asm!("wfi") }
    mcr!("p15, 0", "c14, c3, 1", 0);
    // ICC_IAR1 and ICC_EOIR1.
    let intid = mrc!("p15, 0", "c12, c12, 0");
    if intid < 1020 {
        mcr!("p15, 0", "c12, c12, 1", intid);
    }
}

/// Writes all, gives up the CPU, and reads all back.
pub fn registers_hold(seed: u32) -> Result<(), Failed> {
    const EN: u32 = 1 << 30;
    // Access to FP for all, then FPEXC.EN.
    mcr!("p15, 0", "c1, c0, 2", 0b1111 << 20);
    // SAFETY: nobody else uses FP.
    unsafe { asm!(".fpu neon", "vmsr fpexc, {}", in(reg) EN) }
    enable_timer_interrupt();
    say!("guest {seed} holds its registers");
    let start = rt::count();
    for round in 0..ROUNDS {
        set(seed, round);
        let word = value(seed, round, 0);
        let uses_fp = round % 3 != seed % 3;
        if uses_fp {
            fp(word, false);
        }
        give_up();
        check(seed, round)?;
        if uses_fp {
            let [low, high, status] = fp(word, true);
            same!(low, word);
            same!(high, word);
            same!(status, word & 0xf000_009f);
        }
    }
    say!(
        "guest {seed}: {ROUNDS} rounds in {} counts",
        rt::count() - start
    );
    Ok(())
}
