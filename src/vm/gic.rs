//! The guest's interrupt controller, GICv3: a state machine and the glue to the list registers.
//!
//! State is kept 32 interrupts at a time in banks, independent of any register layout.
//! An interrupt is either *in the bank* or *homed* in a list register of one vCPU. Only a loaded
//! vCPU has homed interrupts, and its list registers stay live from [`Gic::load`] to [`Gic::put`]:
//! an exit that did not concern interrupts reads and writes nothing.
//!
//! # Interrupts homed on another CPU
//!
//! The list registers of a vCPU loaded elsewhere can't be reached. A change to an interrupt homed
//! there is recorded in the bank, the vCPU is marked for a *resync* and named in the [`Kicks`]
//! that the call returns; its own CPU then calls [`Gic::sync`], which folds the list registers
//! back and applies what was asked. Until that happens:
//!
//! - a writer reads back its own write: what it cleared is clear, what it set is set;
//! - a disabled, rerouted or cleared interrupt may still be acknowledged by the other vCPU, as it
//!   may on hardware, where the distributor's effects also take time to reach a CPU interface;
//! - an edge that comes while an earlier one waits in the other vCPU's list register may be
//!   delivered on its own, where hardware could have merged the two; none is lost;
//! - a read of pending or active state returns what was true when the interrupt was last placed
//!   in the list register, and names the vCPU in [`Answer::stale`]. The caller
//!   (`vm::interrupts::read`) kicks those vCPUs, waits (lock dropped) until [`Gic::is_synced`],
//!   and reads again: that second answer is no older than the first read, so one wait is enough.
//!
//! # Hardware-linked interrupts
//!
//! [`Gic::inject_hw`] says that a physical interrupt fired and was left active. The link lasts
//! (is *in flight*) until the physical interrupt is deactivated: by the guest's own EOI through the
//! list register, or by [`ListRegisters::deactivate_physical`] wherever software ends the interrupt (line
//! found low, ICPENDR, ICACTIVER, a deactivation that met no list register). For level-sensitive
//! interrupts deactivation *is* resampling: if the line is still high, the interrupt fires anew. One that
//! waits disabled stays in flight, so that it doesn't storm, and is resampled when enabled.
//!
//! # More active interrupts than list registers
//!
//! A deactivation that meets no list register is only counted by hardware (EOIcount), so the
//! acknowledged interrupt that runs at the highest priority is taken to be meant. That is exact
//! for a guest that ends interrupts in the reverse order of their acknowledge, as EOImode 0 asks;
//! a guest that also clears the active state of one of them through ICACTIVER and then still
//! writes its EOI may end the next one too. With EOImode 1 the guest names what it deactivates,
//! so ICC_DIR_EL1 is trapped ([`Gic::dir`]) while interrupts lack list registers, and always
//! with several vCPUs. A CPU that can't trap it alone (ICH_VTR_EL2.TDS) counts there too, and
//! does not notice the deactivation of an interrupt that is active on another vCPU.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod bank;
mod change;
mod deliver;
mod dist;
mod dist_v2;
mod fold;
mod interface;
mod kicks;
mod line;
mod list_register;
pub mod lists;
mod redist;
mod residency;
mod sender;
mod setup;
mod sgi;
mod sort;
mod word;

#[cfg(test)]
mod tests;

pub use kicks::{Answer, Here, Kicks};
pub use line::HwIntid;
pub(in crate::vm) use lists::on_lists;
pub use lists::{HostLists, ListRegisters};
pub use redist::REDIST_SIZE;
pub use setup::{Affinity, Config, Version};

use alloc::boxed::Box;
use bank::{Bank, Open};
use interface::{Face, Vcpu};

/// How many vCPUs one interrupt controller serves at most.
pub const MAX_VCPUS: usize = 64;

/// How many of them if it is a GICv2.
pub const MAX_VCPUS_V2: usize = 8;

/// Bank numbers below this are shared ones (bank 0 stands empty: INTIDs 0 to 31 are nobody's in
/// the distributor); from here up each vCPU has its own.
const PRIVATE: usize = 32;

/// One VM's interrupt controller: distributor, redistributors and the vCPUs' interfaces.
pub struct Gic {
    version: Version,
    shared: Box<[Bank; PRIVATE]>,
    vcpus: Box<[Vcpu]>,
    /// GICD_IROUTER of each INTID from 32 up, as Aff3.Aff2.Aff1.Aff0; with GICv2 its byte of
    /// GICD_ITARGETSR.
    routers: Box<[u32]>,
    open: Open,
    /// How many 32-interrupt words of SPIs there are.
    spi_words: u32,
    /// The implemented bits of a priority.
    priority_mask: u8,
    /// Whether an SGI can aim at Aff0 values above 15.
    wide_aff0: bool,
}

impl Gic {
    /// Finds an interrupt's bank and its place there, or `None` where there is no such interrupt.
    #[inline(always)]
    fn locate(&self, vcpu: usize, intid: u32) -> Option<(usize, u32)> {
        let n = intid & 31;
        if intid < 32 {
            return (vcpu < self.vcpus.len()).then_some((private(vcpu), n));
        }
        let id = (intid >> 5) as usize;
        let bank = self.shared.get(id)?;
        (bank.valid & bank::mask(n) != 0).then_some((id, n))
    }

    /// Borrows a bank by its number.
    #[inline(always)]
    fn bank(&self, id: usize) -> Option<&Bank> {
        match id.checked_sub(PRIVATE) {
            None => self.shared.get(id),
            Some(vcpu) => self.vcpus.get(vcpu).map(|vcpu| &vcpu.bank),
        }
    }

    /// Borrows a bank by its number, to change it.
    #[inline(always)]
    fn bank_mut(&mut self, id: usize) -> Option<&mut Bank> {
        match id.checked_sub(PRIVATE) {
            None => self.shared.get_mut(id),
            Some(vcpu) => self.vcpus.get_mut(vcpu).map(|vcpu| &mut vcpu.bank),
        }
    }

    /// Borrows a vCPU's face, if there is such a vCPU.
    #[inline(always)]
    fn face(&self, vcpu: usize) -> Option<&Face> {
        self.vcpus.get(vcpu).map(|vcpu| &vcpu.face)
    }

    /// Borrows a vCPU's face, to change it.
    #[inline(always)]
    fn face_mut(&mut self, vcpu: usize) -> Option<&mut Face> {
        self.vcpus.get_mut(vcpu).map(|vcpu| &mut vcpu.face)
    }

    /// Borrows a bank and a vCPU's face together; a private bank must be that vCPU's.
    #[inline(always)]
    fn pair(&mut self, id: usize, vcpu: usize) -> Option<(&mut Bank, &mut Face)> {
        let vcpu = self.vcpus.get_mut(vcpu)?;
        let bank = match id < PRIVATE {
            true => self.shared.get_mut(id)?,
            false => &mut vcpu.bank,
        };
        Some((bank, &mut vcpu.face))
    }
}

/// Returns the number of a vCPU's own bank.
#[inline(always)]
const fn private(vcpu: usize) -> usize {
    vcpu.wrapping_add(PRIVATE)
}
