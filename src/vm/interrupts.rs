//! Interrupts of the machine that arrive while a guest runs.

use super::{
    gic::{Answer, Gic, Here, HostLists, HwIntid, Kicks},
    host::{GUEST_PHYSICAL_TIMER, GUEST_VIRTUAL_TIMER},
    vcpu::Vcpu,
};
use crate::dev::{console, gic::v3};

/// Takes the interrupt that made the guest exit.
pub(super) fn take(vcpu: &mut Vcpu) {
    let intid = v3::acknowledge();
    let known = vcpu.vm.host.interrupts;
    if intid == known.virtual_timer {
        return forward(vcpu, intid, GUEST_VIRTUAL_TIMER);
    }
    if intid == known.physical_timer {
        return forward(vcpu, intid, GUEST_PHYSICAL_TIMER);
    }
    if intid >= FIRST_SPECIAL {
        return;
    }
    v3::priority_drop(intid);
    if intid == known.maintenance {
        vcpu.with_gic(|gic, here| gic.maintenance(here));
    } else if known.console == Some(intid) {
        vcpu.receive_input();
    } else {
        vcpu.vm.note_stray(intid);
    }
    v3::deactivate(intid);
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

    /// Moves what was typed into the guest's UART, as far as it has room. The rest waits in the
    /// console's own FIFO, without interrupts, until the guest has read.
    pub(super) fn receive_input(&mut self) {
        let line = {
            let mut uart = self.vm.uart.lock();
            console::receive(|next| {
                while uart.has_room() {
                    match next() {
                        Some(byte) => uart.receive(byte),
                        None => return true,
                    };
                }
                false
            });
            uart.line()
        };
        self.set_uart_line(line);
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
