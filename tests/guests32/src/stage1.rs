//! Maintenance by set/way, and the registers of stage 1, whose writes are trapped after it.

use crate::{mcr, mcrr, mrc, mrrc, rt::Failed, same};

const M: u32 = 1 << 0;
const C: u32 = 1 << 2;
const I: u32 = 1 << 12;

#[repr(C, align(16384))]
struct Table([u32; 4096]);

static mut TABLE: Table = Table([0; 4096]);

/// Maps everything as it is, in sections: devices below 1 GiB, memory above; returns TTBR0.
fn identity() -> u32 {
    // XN, read-write, device; and read-write, write-back with allocation.
    const DEVICE: u32 = 0b10 | 1 << 4 | 0b11 << 10 | 1 << 2;
    const MEMORY: u32 = 0b10 | 0b11 << 10 | 1 << 12 | 0b11 << 2;
    let table = (&raw mut TABLE).cast::<u32>();
    for n in 0..4096 {
        let kind = if n < 0x400 { DEVICE } else { MEMORY };
        // SAFETY: it is one of the table's words; nothing walks it but the MMU.
        unsafe { table.add(n as usize).write_volatile(n << 20 | kind) }
    }
    table as u32
}

macro_rules! by_set_way {
    ($operation:literal) => {
        mcr!("p15, 0", $operation, 0)
    };
}

fn clean_and_invalidate() {
    by_set_way!("c7, c14, 2");
}

/// DCCSW, DCCISW and DCISW, which cleans as well for a guest.
pub fn maintenance_by_set_way() -> Result<(), Failed> {
    let marked = core::hint::black_box([0x5a_u8; 1024]);
    by_set_way!("c7, c10, 2");
    by_set_way!("c7, c14, 2");
    by_set_way!("c7, c6, 2");
    for byte in core::hint::black_box(&marked) {
        same!(*byte, 0x5a);
    }
    Ok(())
}

macro_rules! hold {
    ($($back:literal $bits:literal;)*) => {$(
        let before = mrc!("p15, 0", $back);
        for value in [before ^ $bits, before] {
            clean_and_invalidate();
            mcr!("p15, 0", $back, value);
            same!(mrc!("p15, 0", $back), value);
        }
    )*};
}

/// What is read back is what the CPU has: reads are not trapped.
fn registers_hold() -> Result<(), Failed> {
    hold! {
        // SCTLR.nTWE, TTBR0.S, TTBR1, TTBCR.PD1, a domain nobody uses.
        "c1, c0, 0" 0x0004_0000;
        "c2, c0, 0" 0x0000_0002;
        "c2, c0, 1" 0x4444_0000;
        "c2, c0, 2" 0x0000_0020;
        "c3, c0, 0" 0xc000_0000;
        // DFSR, IFSR, DFAR, IFAR.
        "c5, c0, 0" 0x0000_0805;
        "c5, c0, 1" 0x0000_0005;
        "c6, c0, 0" 0x1234_5678;
        "c6, c0, 2" 0x8765_4321;
        // PRRR and NMRR, which count only with SCTLR.TRE; CONTEXTIDR.
        "c10, c2, 0" 0x0004_0000;
        "c10, c2, 1" 0x0400_0000;
        "c13, c0, 1" 0x7654_3210;
    }
    // Implementation defined: whatever they hold, they are there.
    clean_and_invalidate();
    mcr!("p15, 0", "c5, c1, 0", 0);
    mcr!("p15, 0", "c5, c1, 1", 0);
    mcr!("p15, 0", "c10, c3, 0", 0);
    mcr!("p15, 0", "c10, c3, 1", 0);
    halves_stay_apart()
}

fn halves_stay_apart() -> Result<(), Failed> {
    const ASID: u64 = 0x12 << 48;
    clean_and_invalidate();
    let before = mrrc!("p15, 0", "c2");
    mcrr!("p15, 0", "c2", before ^ ASID);
    same!(mrrc!("p15, 0", "c2"), before ^ ASID);
    mcr!("p15, 0", "c2, c0, 0", before as u32 ^ 2);
    same!(mrrc!("p15, 0", "c2"), before ^ ASID ^ 2);
    mcrr!("p15, 0", "c2", before);
    mcrr!("p15, 1", "c2", 0x34_0000_5555_4000);
    same!(mrrc!("p15, 1", "c2"), 0x34_0000_5555_4000_u64);
    mcr!("p15, 0", "c6, c0, 0", 0x1111_1111);
    mcr!("p15, 0", "c6, c0, 2", 0x2222_2222);
    mcr!("p15, 0", "c6, c0, 0", 0x3333_3333);
    same!(mrc!("p15, 0", "c6, c0, 2"), 0x2222_2222);
    let mair1 = mrc!("p15, 0", "c10, c2, 1");
    mcr!("p15, 0", "c10, c2, 0", 0x00ff_4404);
    same!(mrc!("p15, 0", "c10, c2, 1"), mair1);
    Ok(())
}

/// With the caches off, on, and off again.
pub fn registers_of_stage_1_after_it() -> Result<(), Failed> {
    let off = mrc!("p15, 0", "c1, c0, 0");
    mcr!("p15, 0", "c2, c0, 0", identity());
    mcr!("p15, 0", "c2, c0, 2", 0);
    mcr!("p15, 0", "c3, c0, 0", 1);
    mcr!("p15, 0", "c8, c7, 0", 0);
    let mut cells = [0_u32; 64];
    for (round, sctlr) in (1..).zip([off, off | M | C | I, off, off | M | C | I, off]) {
        core::hint::black_box(&mut cells).fill(round);
        clean_and_invalidate();
        mcr!("p15, 0", "c1, c0, 0", sctlr);
        same!(mrc!("p15, 0", "c1, c0, 0"), sctlr);
        same!(
            core::hint::black_box(&cells)
                .iter()
                .all(|&cell| cell == round),
            true
        );
        registers_hold()?;
    }
    Ok(())
}
