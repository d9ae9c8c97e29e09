//! A driver of the GICv3, as small as it gets: one CPU, group 1, affinity routing.

use super::mmio::{read8, read32, read64, write8, write32, write64};
use super::sysreg::{field, sync};
use crate::{mrs, msr};

/// The distributor.
pub const GICD: u64 = 0x0800_0000;
/// The first redistributor.
pub const GICR: u64 = 0x080a_0000;
/// The size of a redistributor's two frames.
pub const GICR_STRIDE: u64 = 0x2_0000;

/// The priority everything starts with.
pub const DEFAULT_PRIORITY: u8 = 0xa0;
/// INTIDs from here up are no interrupts.
pub const SPECIAL: u32 = 1020;

const CTLR: u64 = 0;
const RWP: u64 = 1 << 31;
const WAKER: u64 = 0x14;
const IGROUPR: u64 = 0x80;
const ISENABLER: u64 = 0x100;
const ICENABLER: u64 = 0x180;
const ISPENDR: u64 = 0x200;
const ICPENDR: u64 = 0x280;
const ISACTIVER: u64 = 0x300;
const ICACTIVER: u64 = 0x380;
const IPRIORITYR: u64 = 0x400;
const ICFGR: u64 = 0xc00;
const IROUTER: u64 = 0x6000;

/// Returns MPIDR_EL1's affinity bits.
pub fn affinity() -> u64 {
    mrs!("MPIDR_EL1") & 0xff_00ff_ffff
}

/// Returns the redistributor of this CPU; the last one when none has its affinity.
pub fn redistributor() -> u64 {
    let own = affinity();
    let packed = (own >> 8 & 0xff00_0000) | (own & 0xff_ffff);
    let mut frame = GICR;
    loop {
        let typer = read64(frame + 8);
        if typer >> 32 == packed || typer & 1 << 4 != 0 {
            return frame;
        }
        frame += GICR_STRIDE;
    }
}

fn registers(intid: u32) -> u64 {
    if intid < 32 {
        redistributor() + 0x1_0000
    } else {
        GICD
    }
}

fn bit_register(intid: u32, offset: u64) -> (u64, u32) {
    let address = registers(intid) + offset + u64::from(intid / 32) * 4;
    (address, 1 << (intid % 32))
}

fn write_bit(intid: u32, offset: u64) {
    let (address, bit) = bit_register(intid, offset);
    write32(address, bit);
    sync();
}

fn read_bit(intid: u32, offset: u64) -> bool {
    let (address, bit) = bit_register(intid, offset);
    read32(address) & bit != 0
}

/// Enables the distributor, the redistributor and the CPU interface, and resets the rest.
pub fn init() {
    write32(GICD + CTLR, 0x12);
    let frame = redistributor();
    write32(frame + WAKER, read32(frame + WAKER) & !2);
    while read32(frame + WAKER) & 4 != 0 {}
    msr!("ICC_SRE_EL1", mrs!("ICC_SRE_EL1") | 1);
    reset();
}

/// Brings SGIs, PPIs and the first 32 SPIs back to disabled, idle, default priority.
pub fn reset() {
    msr!("ICC_CTLR_EL1", 0);
    msr!("ICC_BPR1_EL1", 0);
    msr!("ICC_PMR_EL1", 0xff);
    for first in [0, 32] {
        let base = registers(first) + u64::from(first / 32) * 4;
        write32(base + ICENABLER, u32::MAX);
        wait_for_writes();
        write32(base + ICPENDR, u32::MAX);
        write32(base + ICACTIVER, u32::MAX);
        write32(base + IGROUPR, u32::MAX);
    }
    for intid in 0..64 {
        set_priority(intid, DEFAULT_PRIORITY);
    }
    msr!("ICC_AP1R0_EL1", 0);
    msr!("ICC_IGRPEN1_EL1", 1);
    sync();
}

/// Waits until disabling an interrupt has taken effect.
pub fn wait_for_writes() {
    while u64::from(read32(GICD + CTLR)) & RWP != 0 {}
    let frame = redistributor();
    while read32(frame + CTLR) & 1 << 3 != 0 {}
}

/// Enables an interrupt; an SPI is routed to this CPU.
pub fn enable(intid: u32) {
    if intid >= 32 {
        write64(GICD + IROUTER + u64::from(intid) * 8, affinity());
    }
    write_bit(intid, ISENABLER);
}

/// Disables an interrupt.
pub fn disable(intid: u32) {
    write_bit(intid, ICENABLER);
    wait_for_writes();
}

/// Returns whether an interrupt is enabled.
pub fn is_enabled(intid: u32) -> bool {
    read_bit(intid, ISENABLER)
}

/// Makes an interrupt pending.
pub fn pend(intid: u32) {
    write_bit(intid, ISPENDR);
}

/// Withdraws a pending interrupt.
pub fn unpend(intid: u32) {
    write_bit(intid, ICPENDR);
}

/// Returns whether an interrupt is pending.
pub fn is_pending(intid: u32) -> bool {
    read_bit(intid, ISPENDR)
}

/// Makes an interrupt active.
pub fn activate(intid: u32) {
    write_bit(intid, ISACTIVER);
}

/// Makes an interrupt inactive.
pub fn clear_active(intid: u32) {
    write_bit(intid, ICACTIVER);
}

/// Returns whether an interrupt is active.
pub fn is_active(intid: u32) -> bool {
    read_bit(intid, ISACTIVER)
}

/// Returns the address of an interrupt's priority byte.
pub fn priority_register(intid: u32) -> u64 {
    registers(intid) + IPRIORITYR + u64::from(intid)
}

/// Sets a priority by a byte access.
pub fn set_priority(intid: u32, priority: u8) {
    write8(priority_register(intid), priority);
}

/// Reads a priority by a byte access.
pub fn priority(intid: u32) -> u8 {
    read8(priority_register(intid))
}

/// Makes an SPI edge-triggered, or level-sensitive.
pub fn set_edge(intid: u32, edge: bool) {
    let address = registers(intid) + ICFGR + u64::from(intid / 16) * 4;
    let bit = 2 << (intid % 16 * 2);
    let others = read32(address) & !bit;
    write32(address, if edge { others | bit } else { others });
}

/// Acknowledges the interrupt to be taken; [`SPECIAL`] and above mean there is none.
pub fn acknowledge() -> u32 {
    let intid = mrs!("ICC_IAR1_EL1") as u32;
    sync();
    intid
}

/// Drops the running priority and, in EOImode 0, deactivates.
pub fn end(intid: u32) {
    msr!("ICC_EOIR1_EL1", u64::from(intid));
}

/// Deactivates an interrupt, in EOImode 1.
pub fn deactivate(intid: u32) {
    msr!("ICC_DIR_EL1", u64::from(intid));
}

/// Sends a software-generated interrupt to this CPU.
pub fn send_to_self(sgi: u32) {
    let own = affinity();
    let target = field(own, 32, 8) << 48 | field(own, 16, 8) << 32 | field(own, 8, 8) << 16;
    let list = field(own, 4, 4) << 44 | 1 << field(own, 0, 4);
    msr!("ICC_SGI1R_EL1", target | list | u64::from(sgi) << 24);
    sync();
}
