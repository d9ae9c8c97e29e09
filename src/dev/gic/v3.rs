//! GICv3 and up, with affinity routing and the CPU interface in system registers.
//!
//! Three parts, as in the hardware: the [`Distributor`] for the machine, a [`Redistributor`] for
//! each CPU, and the CPU interface of the CPU that runs, which is the functions here. Group 1 is
//! all that is used: in a machine with two security states it is what belongs to EL2, in one
//! without, the group signalled as IRQ.
//!
//! Ending an interrupt takes two steps (EOImode 1): [`priority_drop`] lets the CPU take others of
//! its priority, [`deactivate`] lets the same one come again. An interrupt handed to a guest gets
//! only the first from EL2; the second is the guest's.

#![expect(unsafe_code, reason = "the CPU interface is system registers")]

mod distributor;
mod redistributor;

pub use distributor::{Distributor, Spi};
pub use redistributor::{Redistributor, Region};

use super::{CpuInterface, DEFAULT_PRIORITY, Taken, configure};
use crate::{
    bits::field,
    cpu::{
        barrier::{dsb_ishst, isb},
        regs::{read, write},
    },
    error::Refusal,
    isa::{
        affinity::Affinity,
        gic::{icc, sgi_to},
    },
    refuse,
};

/// The CPU interface of the CPU this runs on.
#[derive(Clone, Copy, Debug)]
pub struct Interface;

impl CpuInterface for Interface {
    #[inline(always)]
    fn acknowledge(self) -> Taken {
        Taken::from_intid(acknowledge())
    }

    #[inline(always)]
    fn highest_pending(self) -> u32 {
        highest_pending()
    }

    #[inline(always)]
    fn priority_drop(self, taken: Taken) {
        priority_drop(taken.intid);
    }

    #[inline(always)]
    fn deactivate(self, taken: Taken) {
        deactivate(taken.intid);
    }
}

/// Makes this CPU take interrupts through system registers, of any priority, in two steps.
///
/// Call it after this CPU's [`Redistributor::init`].
///
/// # Errors
///
/// Refuses when firmware keeps the system registers off.
pub fn init_cpu_interface() -> Result<(), Refusal> {
    enable_system_registers()?;
    // SAFETY: these decide what interrupts this CPU is given; the code that runs has them masked
    // in PSTATE until it is ready. Clearing active priorities forgets interrupts that whoever ran
    // before took and never ended.
    unsafe {
        clear_active_priorities();
        write::<{ icc::CTLR_EL1 }>(icc::CTLR_EOI_MODE);
        write::<{ icc::BPR1_EL1 }>(0);
        write::<{ icc::PMR_EL1 }>(0xff);
        write::<{ icc::IGRPEN1_EL1 }>(1);
    }
    isb();
    Ok(())
}

/// Makes this CPU take no more interrupts, before it is turned off.
pub fn stop_cpu_interface() {
    // SAFETY: it only stops interrupts from being signalled.
    unsafe { write::<{ icc::IGRPEN1_EL1 }>(0) };
    isb();
}

/// Takes the most urgent pending interrupt; [`SPURIOUS`](crate::isa::gic::SPURIOUS) when there is
/// none. From now until [`deactivate`] it is active.
///
/// That it is active is sure to be seen in the distributor's registers only after a DSB.
#[inline(always)]
pub fn acknowledge() -> u32 {
    read::<{ icc::IAR1_EL1 }>() as u32
}

/// Returns what [`acknowledge`] would, and takes nothing.
#[inline(always)]
pub fn highest_pending() -> u32 {
    read::<{ icc::HPPIR1_EL1 }>() as u32
}

/// Lets this CPU take interrupts of this one's priority again. Interrupts are dropped in the
/// reverse order of [`acknowledge`].
#[inline(always)]
pub fn priority_drop(intid: u32) {
    // SAFETY: at worst an interrupt is signalled earlier than wanted, and PSTATE masks that.
    unsafe { write::<{ icc::EOIR1_EL1 }>(intid.into()) };
}

/// Lets the interrupt come again, from any CPU.
#[inline(always)]
pub fn deactivate(intid: u32) {
    // SAFETY: as for `priority_drop`.
    unsafe { write::<{ icc::DIR_EL1 }>(intid.into()) };
}

/// A CPU as the one target of a software interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target(u64);

impl Target {
    /// Names a CPU by its affinity.
    pub const fn new(affinity: Affinity) -> Self {
        Self(sgi_to(0, affinity))
    }
}

/// Sends software interrupt `intid`, 0 to 15, to one CPU; what was stored before is seen there by
/// the time it arrives.
///
/// It is sure to be sent by the time this CPU enters a guest or executes an ISB.
#[inline(always)]
pub fn send_sgi(intid: u32, target: Target) {
    dsb_ishst();
    // SAFETY: the target masks interrupts wherever one would harm it.
    unsafe { write::<{ icc::SGI1R_EL1 }>(target.0 | (intid as u64 & 0xf) << 24) };
}

/// Turns the system registers on, for EL2 and for EL1 below it.
fn enable_system_registers() -> Result<(), Refusal> {
    let on = icc::SRE_SRE | icc::SRE_DFB | icc::SRE_DIB | icc::SRE_ENABLE;
    // SAFETY: nothing here uses the memory-mapped CPU interface that this replaces.
    unsafe { write::<{ icc::SRE_EL2 }>(read::<{ icc::SRE_EL2 }>() | on) };
    isb();
    if read::<{ icc::SRE_EL2 }>() & icc::SRE_SRE == 0 {
        return Err(refuse!(
            "the firmware keeps the GIC's system registers off (ICC_SRE_EL2.SRE stays 0)"
        ));
    }
    Ok(())
}

/// Clears the active priorities of group 1: one register up to 5 bits of priority, two with 6,
/// four with more.
///
/// # Safety
///
/// No interrupt that was taken on this CPU may still have to be ended.
unsafe fn clear_active_priorities() {
    let bits = field(read::<{ icc::CTLR_EL1 }>(), icc::CTLR_PRI_BITS, 3) + 1;
    // SAFETY: the caller's promise; and the registers beyond the first are there by the number of
    // priority bits.
    unsafe {
        if bits > 6 {
            write::<{ icc::AP1R_EL1[3] }>(0);
            write::<{ icc::AP1R_EL1[2] }>(0);
        }
        if bits > 5 {
            write::<{ icc::AP1R_EL1[1] }>(0);
        }
        write::<{ icc::AP1R_EL1[0] }>(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::fake::{self, Event};

    #[test]
    fn the_interface_is_up_in_two_step_mode() {
        fake::reset();
        init_cpu_interface().unwrap();
        fake::with(|cpu| {
            assert_eq!(cpu.regs[&icc::SRE_EL2], 0xf);
            assert_eq!(cpu.regs[&icc::CTLR_EL1], 2);
            assert_eq!(cpu.regs[&icc::PMR_EL1], 0xff);
            assert_eq!(cpu.regs[&icc::IGRPEN1_EL1], 1);
            let position = |event| cpu.log.iter().position(|done| *done == event).unwrap();
            let sre = position(Event::Write(icc::SRE_EL2, 0xf));
            let mode = position(Event::Write(icc::CTLR_EL1, 2));
            let group = position(Event::Write(icc::IGRPEN1_EL1, 1));
            assert!(sre < mode && mode < group);
        });
        stop_cpu_interface();
        assert_eq!(fake::with(|cpu| cpu.regs[&icc::IGRPEN1_EL1]), 0);
    }

    #[test]
    fn only_the_active_priorities_there_are_get_cleared() {
        let mut cleared = [0, 0, 0, 0];
        for (bits, count) in [(5, 1), (6, 2), (7, 4), (8, 4)] {
            fake::reset();
            fake::with(|cpu| cpu.regs.insert(icc::CTLR_EL1, (bits - 1) << 8));
            init_cpu_interface().unwrap();
            for (n, register) in icc::AP1R_EL1.into_iter().enumerate() {
                let written = fake::with(|cpu| cpu.log.contains(&Event::Write(register, 0)));
                assert_eq!(written, n < count, "{bits} bits, register {n}");
                cleared[n] += u32::from(written);
            }
        }
        assert_eq!(cleared, [4, 3, 2, 2]);
    }

    #[test]
    fn firmware_that_forbids_system_registers_is_refused() {
        fake::reset();
        fake::with(|cpu| cpu.stuck.insert(icc::SRE_EL2, 0));
        assert!(init_cpu_interface().unwrap_err().0.contains("ICC_SRE_EL2"));
        assert!(!fake::with(|cpu| cpu.regs.contains_key(&icc::IGRPEN1_EL1)));
    }

    #[test]
    fn taking_and_ending_is_one_register_each() {
        fake::reset();
        fake::with(|cpu| cpu.regs.insert(icc::IAR1_EL1, 27));
        let intid = acknowledge();
        priority_drop(intid);
        deactivate(intid);
        assert_eq!(
            fake::with(|cpu| cpu.log.clone()),
            [
                Event::Read(icc::IAR1_EL1),
                Event::Write(icc::EOIR1_EL1, 27),
                Event::Write(icc::DIR_EL1, 27),
            ]
        );
        send_sgi(3, Target::new(Affinity::new(0, 0, 1, 2)));
        assert_eq!(
            fake::with(|cpu| cpu.regs[&icc::SGI1R_EL1]),
            3 << 24 | 1 << 16 | 4
        );
        fake::with(|cpu| cpu.regs.insert(icc::HPPIR1_EL1, 1023));
        assert_eq!(highest_pending(), crate::isa::gic::SPURIOUS);
    }
}
