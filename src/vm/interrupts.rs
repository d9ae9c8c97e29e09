//! Interrupts of the machine that arrive while a guest runs.

use super::{
    gic::{Answer, Gic, Here, HostLists, HwIntid, Kicks},
    host::{GUEST_PHYSICAL_TIMER, GUEST_VIRTUAL_TIMER, KICK, NUDGE},
    input,
    vcpu::{Exit, Vcpu},
};
use crate::{
    cpu::{switch::Next, timer as el2},
    dev::gic::v3,
};

/// Takes the interrupt that made the guest exit.
#[inline(always)]
pub(super) fn take(vcpu: &mut Vcpu) -> Next {
    let intid = v3::acknowledge();
    let known = &vcpu.vm.host.interrupts;
    if intid == known.virtual_timer {
        forward(vcpu, intid, GUEST_VIRTUAL_TIMER);
    } else if intid == known.physical_timer {
        forward(vcpu, intid, GUEST_PHYSICAL_TIMER);
    } else if intid == NUDGE {
        return take_nudge(vcpu);
    } else {
        return take_own(vcpu, intid);
    }
    Next::resume(&mut vcpu.frame)
}

/// Takes another CPU's word that a vCPU here has an interrupt. If it can only be this one, it is
/// done at once: an IPI between vCPUs that have a CPU each costs no turn of the run loop.
#[inline(never)]
fn take_nudge(vcpu: &mut Vcpu) -> Next {
    v3::priority_drop(NUDGE);
    v3::deactivate(NUDGE);
    if vcpu.shares_cpu {
        return vcpu.leave(Exit::Interrupted);
    }
    if vcpu.vm.take_ring(vcpu.index) {
        vcpu.sync_interrupts();
    }
    Next::resume(&mut vcpu.frame)
}

/// Takes an interrupt that is EL2's own business.
#[inline(never)]
fn take_own(vcpu: &mut Vcpu, intid: u32) -> Next {
    if intid >= FIRST_SPECIAL {
        return Next::resume(&mut vcpu.frame);
    }
    v3::priority_drop(intid);
    let known = vcpu.vm.host.interrupts;
    let mut leaves = false;
    if intid == known.maintenance {
        vcpu.maintain_interrupts();
    } else if intid == KICK {
        leaves = true;
    } else if intid == known.hypervisor_timer {
        el2::stop();
        leaves = true;
    } else if known.console == Some(intid) {
        input::receive(Some(vcpu));
        leaves = input::has_command();
    } else {
        vcpu.vm.note_stray(intid);
    }
    v3::deactivate(intid);
    if leaves {
        return vcpu.leave(Exit::Interrupted);
    }
    Next::resume(&mut vcpu.frame)
}

/// INTIDs from here on are no interrupts: 1023 says that nothing is pending any more.
const FIRST_SPECIAL: u32 = 1020;

/// Gives a timer's interrupt to the guest. It stays active until the guest deactivates its own.
#[inline(always)]
fn forward(vcpu: &mut Vcpu, physical: u32, guest: u32) {
    v3::priority_drop(physical);
    if let Some(hw) = HwIntid::new(physical) {
        let index = vcpu.index;
        vcpu.with_gic(|gic, here| gic.inject_hw(here, index, guest, hw));
    }
}

impl Vcpu {
    /// Lets `f` change the interrupt controller as this vCPU, and tells other vCPUs what of it
    /// concerns them.
    #[inline(always)]
    pub(super) fn with_gic(&mut self, f: impl FnOnce(&mut Gic, &mut Here<'_, HostLists>) -> Kicks) {
        let mut here = Here::new(self.index, &mut self.lists);
        let kicks = f(&mut self.vm.gic.lock(), &mut here);
        self.vm.kick(kicks);
    }

    /// Lets `f` read the interrupt controller as this vCPU.
    #[inline(always)]
    pub(super) fn read_gic(
        &mut self,
        f: impl FnOnce(&mut Gic, &mut Here<'_, HostLists>) -> Answer,
    ) -> u64 {
        let mut here = Here::new(self.index, &mut self.lists);
        let answer = f(&mut self.vm.gic.lock(), &mut here);
        self.vm.kick(answer.stale);
        answer.value
    }

    /// Returns whether an interrupt waits for the guest.
    pub(super) fn has_deliverable_interrupt(&mut self) -> bool {
        let here = Here::new(self.index, &mut self.lists);
        self.vm.gic.lock().has_deliverable_here(&here)
    }

    /// Answers a maintenance interrupt of this vCPU, which is loaded.
    pub fn maintain_interrupts(&mut self) {
        self.with_gic(|gic, here| gic.maintenance(here));
    }

    /// Sets the level of the UART's interrupt.
    pub(super) fn set_uart_line(&mut self, level: bool) {
        self.set_line(self.vm.map.uart.intid(), level);
    }

    /// Sets the level of a device's interrupt.
    pub(super) fn set_line(&mut self, intid: u32, level: bool) {
        let index = self.index;
        self.with_gic(|gic, here| gic.set_level(here, index, intid, level));
    }
}
