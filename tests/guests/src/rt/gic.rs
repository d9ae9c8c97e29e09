//! A driver of the GIC, as small as it gets: one CPU, and one group.
//!
//! A GICv3 is driven by affinity routing, in group 1; a GICv2 in group 0, as at reset.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::mmio::{read8, read32, read64, write8, write32, write64};
use super::sysreg::{field, sync};
use crate::{mrs, msr};

/// The distributor.
pub const GICD: u64 = 0x0800_0000;
/// The first redistributor.
pub const GICR: u64 = 0x080a_0000;
/// The size of a redistributor's two frames.
pub const GICR_STRIDE: u64 = 0x2_0000;

/// A GICv2's CPU interface.
pub const GICC: u64 = 0x0801_0000;

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
const ITARGETSR: u64 = 0x800;
const ICFGR: u64 = 0xc00;
const SGIR: u64 = 0xf00;
const CPENDSGIR: u64 = 0xf10;
const SPENDSGIR: u64 = 0xf20;
const IROUTER: u64 = 0x6000;

/// Offsets in a GICv2's CPU interface.
mod gicc {
    pub const CTLR: u64 = 0x0;
    pub const PMR: u64 = 0x4;
    pub const BPR: u64 = 0x8;
    pub const IAR: u64 = 0xc;
    pub const EOIR: u64 = 0x10;
    pub const RPR: u64 = 0x14;
    pub const HPPIR: u64 = 0x18;
    pub const APR: u64 = 0xd0;
    pub const DIR: u64 = 0x1000;

    pub const ENABLE: u32 = 1 << 0;
    pub const EOIMODE: u32 = 1 << 9;
    /// The number of an interrupt, without the CPU that sent it.
    pub const INTID: u32 = 0x3ff;
}

static IS_V2: AtomicBool = AtomicBool::new(false);

/// Returns whether this is a GICv2: known once [`init`] was called.
pub fn is_v2() -> bool {
    IS_V2.load(Relaxed)
}

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
    if intid < 32 && !is_v2() {
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

/// Finds out which version it is, enables the distributor, the redistributor and the CPU
/// interface, and resets the rest.
pub fn init() {
    IS_V2.store(mrs!("ID_AA64PFR0_EL1") >> 24 & 0xf == 0, Relaxed);
    if is_v2() {
        write32(GICD + CTLR, 1);
        return reset();
    }
    write32(GICD + CTLR, 0x12);
    let frame = redistributor();
    write32(frame + WAKER, read32(frame + WAKER) & !2);
    while read32(frame + WAKER) & 4 != 0 {}
    msr!("ICC_SRE_EL1", mrs!("ICC_SRE_EL1") | 1);
    reset();
}

/// Brings SGIs, PPIs and the first 32 SPIs back to disabled, idle, default priority.
pub fn reset() {
    reset_interface();
    for first in [0, 32] {
        let base = registers(first) + u64::from(first / 32) * 4;
        write32(base + ICENABLER, u32::MAX);
        wait_for_writes();
        write32(base + ICPENDR, u32::MAX);
        write32(base + ICACTIVER, u32::MAX);
        write32(base + IGROUPR, if is_v2() { 0 } else { u32::MAX });
    }
    for intid in 0..64 {
        set_priority(intid, DEFAULT_PRIORITY);
    }
    if is_v2() {
        (0..16).for_each(unpend);
    }
    clear_active_priorities();
    set_signalled(true);
}

fn reset_interface() {
    if is_v2() {
        write32(GICC + gicc::CTLR, 0);
        write32(GICC + gicc::BPR, 0);
    } else {
        msr!("ICC_CTLR_EL1", 0);
        msr!("ICC_BPR1_EL1", 0);
    }
    set_mask(0xff);
}

/// Lets only interrupts more urgent than this be taken.
pub fn set_mask(priority: u8) {
    if is_v2() {
        write32(GICC + gicc::PMR, priority.into());
    } else {
        msr!("ICC_PMR_EL1", u64::from(priority));
    }
}

/// Lets the CPU interface signal interrupts, or not.
pub fn set_signalled(signalled: bool) {
    if is_v2() {
        let others = read32(GICC + gicc::CTLR) & !gicc::ENABLE;
        write32(GICC + gicc::CTLR, others | u32::from(signalled));
    } else {
        msr!("ICC_IGRPEN1_EL1", u64::from(signalled));
    }
    sync();
}

/// Makes [`end`] only drop the priority (EOImode 1).
pub fn end_in_two_steps() {
    if is_v2() {
        write32(GICC + gicc::CTLR, gicc::ENABLE | gicc::EOIMODE);
    } else {
        msr!("ICC_CTLR_EL1", 1 << 1);
    }
}

/// Forgets the priorities of interrupts that were taken and not ended.
pub fn clear_active_priorities() {
    if is_v2() {
        write32(GICC + gicc::APR, 0);
    } else {
        msr!("ICC_AP1R0_EL1", 0);
    }
}

/// Returns the priority of what runs; 0xff when nothing does.
pub fn running_priority() -> u32 {
    if is_v2() {
        read32(GICC + gicc::RPR)
    } else {
        mrs!("ICC_RPR_EL1") as u32 & 0xff
    }
}

/// Returns the number of the most urgent pending interrupt; 1023 means there is none.
pub fn highest_pending() -> u32 {
    if is_v2() {
        read32(GICC + gicc::HPPIR) & gicc::INTID
    } else {
        mrs!("ICC_HPPIR1_EL1") as u32
    }
}

/// Waits until disabling an interrupt has taken effect.
pub fn wait_for_writes() {
    if is_v2() {
        return;
    }
    while u64::from(read32(GICD + CTLR)) & RWP != 0 {}
    let frame = redistributor();
    while read32(frame + CTLR) & 1 << 3 != 0 {}
}

/// Enables an interrupt; an SPI is routed to this CPU.
pub fn enable(intid: u32) {
    if intid >= 32 && is_v2() {
        let own = read8(GICD + ITARGETSR);
        write8(GICD + ITARGETSR + u64::from(intid), own);
    } else if intid >= 32 {
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
    if is_v2() && intid < 16 {
        return write8(GICD + SPENDSGIR + u64::from(intid), 1);
    }
    write_bit(intid, ISPENDR);
}

/// Withdraws a pending interrupt.
pub fn unpend(intid: u32) {
    if is_v2() && intid < 16 {
        return write8(GICD + CPENDSGIR + u64::from(intid), 0xff);
    }
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
    if is_v2() {
        // Every SGI here is sent by this CPU, number 0: nothing is lost with the sender's number.
        return read32(GICC + gicc::IAR) & gicc::INTID;
    }
    let intid = mrs!("ICC_IAR1_EL1") as u32;
    sync();
    intid
}

/// Drops the running priority and, in EOImode 0, deactivates.
pub fn end(intid: u32) {
    if is_v2() {
        return write32(GICC + gicc::EOIR, intid);
    }
    msr!("ICC_EOIR1_EL1", u64::from(intid));
}

/// Deactivates an interrupt, in EOImode 1.
pub fn deactivate(intid: u32) {
    if is_v2() {
        return write32(GICC + gicc::DIR, intid);
    }
    msr!("ICC_DIR_EL1", u64::from(intid));
}

/// Sends a software-generated interrupt to this CPU.
pub fn send_to_self(sgi: u32) {
    if is_v2() {
        return write32(GICD + SGIR, 2 << 24 | sgi);
    }
    let own = affinity();
    let target = field(own, 32, 8) << 48 | field(own, 16, 8) << 32 | field(own, 8, 8) << 16;
    let list = field(own, 4, 4) << 44 | 1 << field(own, 0, 4);
    msr!("ICC_SGI1R_EL1", target | list | u64::from(sgi) << 24);
    sync();
}
