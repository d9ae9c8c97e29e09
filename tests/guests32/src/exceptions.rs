//! Exceptions that the hypervisor injects: where they go and what they tell.
//!
//! Nothing is said of SPSR here: QEMU (10.0) keeps that of the current mode apart from SPSR_und and
//! its like, and does not exchange it when EL2 returns to another mode.

use crate::{
    attempt, mcr, mrc,
    rt::{self, Failed, HOLE, SCRATCH},
    same,
};
use core::arch::asm;

const UNDEFINED: u32 = 0x04;
const PREFETCH_ABORT: u32 = 0x0c;
const DATA_ABORT: u32 = 0x10;
/// Flags may be anything.
const NOT_FLAGS: u32 = 0x0fff_ffff;
const A_AND_I: u32 = 0b11 << 7;

/// What is implementation defined is not for guests.
pub fn undefined() -> Result<(), Failed> {
    let at = attempt!("nop", "mrc p15, 0, r1, c15, c0, 0", 0_u32);
    let seen = rt::noted();
    same!(seen.vector, UNDEFINED);
    same!(seen.link, at + 4);
    same!(seen.cpsr & NOT_FLAGS, 0x1db);
    // The PMU is hidden.
    attempt!("nop", "mrc p15, 0, r1, c9, c12, 0", 0_u32);
    same!(rt::noted().vector, UNDEFINED);
    // What fails its condition is not.
    attempt!("cmp r0, #1", "mrceq p15, 0, r1, c15, c0, 0", 0_u32);
    same!(rt::noted().vector, 0);
    Ok(())
}

pub fn undefined_in_t32() -> Result<(), Failed> {
    unsafe extern "C" {
        safe static undefined_in_t32: u32;
    }
    attempt!("nop", "blx undefined_in_it_block", 0_u32);
    let seen = rt::noted();
    same!(seen.vector, UNDEFINED);
    same!(seen.link, ((&raw const undefined_in_t32) as u32 & !1) + 2);
    same!(seen.cpsr & 0x1f, 0x1b);
    Ok(())
}

fn fault_status() -> u32 {
    mrc!("p15, 0", "c5, c0, 0")
}

pub fn data_aborts() -> Result<(), Failed> {
    const EAE: u32 = 1 << 31;
    for (long, load, store) in [(0, 0x008, 0x808), (EAE, 0x210, 0xa10), (0, 0x008, 0x808)] {
        mcr!("p15, 0", "c2, c0, 2", long);
        mcr!("p15, 0", "c6, c0, 2", 0x5555_aaaa);
        let at = attempt!("nop", "ldr r1, [r0]", HOLE + 0x24);
        let seen = rt::noted();
        same!(seen.vector, DATA_ABORT);
        same!(seen.link, at + 8);
        same!(seen.cpsr & 0x1ff, A_AND_I | 0x40 | 0x17);
        same!(fault_status(), load);
        same!(mrc!("p15, 0", "c6, c0, 0"), HOLE + 0x24);
        same!(mrc!("p15, 0", "c6, c0, 2"), 0x5555_aaaa);
        attempt!("nop", "strb r1, [r0]", HOLE + 0x31);
        same!(rt::noted().vector, DATA_ABORT);
        same!(fault_status(), store);
        same!(mrc!("p15, 0", "c6, c0, 0"), HOLE + 0x31);
    }
    Ok(())
}

/// An access to a device that leaves no syndrome is an abort.
pub fn pairs_abort() -> Result<(), Failed> {
    let at = attempt!("nop", "ldrd r2, r3, [r0]", SCRATCH & !7);
    let seen = rt::noted();
    same!(seen.vector, DATA_ABORT);
    same!(seen.link, at + 8);
    same!(fault_status(), 0x008);
    Ok(())
}

pub fn prefetch_aborts() -> Result<(), Failed> {
    mcr!("p15, 0", "c6, c0, 0", 0x1357_9bdf);
    attempt!("nop", "bx r0", HOLE + 0x40);
    let seen = rt::noted();
    same!(seen.vector, PREFETCH_ABORT);
    same!(seen.link, HOLE + 0x44);
    same!(mrc!("p15, 0", "c5, c0, 1"), 0x008);
    same!(mrc!("p15, 0", "c6, c0, 2"), HOLE + 0x40);
    same!(mrc!("p15, 0", "c6, c0, 0"), 0x1357_9bdf);
    Ok(())
}

/// User mode may read a few debug registers, and what else is trapped is UNDEFINED.
pub fn user_mode() -> Result<(), Failed> {
    let id = mrc!("p14, 0", "c0, c0, 0");
    let read: u32;
    // SAFETY: the access is UNDEFINED, which leads back to Supervisor mode.
    unsafe {
        rt::forget();
        asm!(
            "adr r0, 9f",
            "ldr r1, =record",
            "str r0, [r1, #16]",
            "cps #0x10",
            "mrc p14, 0, r2, c0, c0, 0",
            "mcr p14, 0, r2, c1, c0, 4",
            "9:",
            out("r0") _, out("r1") _, out("r2") read, out("lr") _,
        );
    }
    let seen = rt::noted();
    same!(seen.vector, UNDEFINED);
    same!(seen.spsr & 0x1f, 0x10);
    same!(read, id);
    Ok(())
}
