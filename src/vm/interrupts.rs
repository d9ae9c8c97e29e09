//! Interrupts of the machine that arrive while a guest runs.

#![expect(unsafe_code, reason = "what is frequent has a section of its own")]

use super::{
    Vm,
    gic::{
        Answer, Gic, Here, HwIntid, Kicks, ListRegisters, lists::MemoryLists, lists::SystemLists,
        on_lists,
    },
    host::{GUEST_PHYSICAL_TIMER, GUEST_VIRTUAL_TIMER, KICK, NUDGE},
    input,
    vcpu::{Exit, Vcpu},
};
use crate::{
    cpu::{switch::Next, timer as el2},
    dev::gic::{CpuInterface, Taken},
};

/// Takes the interrupt that made the guest exit.
#[inline(always)]
pub(super) fn take(vcpu: &mut Vcpu) -> Next {
    match vcpu.lists.memory {
        None => take_by(vcpu, vcpu.lists.system),
        Some(lists) => take_v2(vcpu, lists),
    }
}

// SAFETY: the section is code, which the linker keeps together.
#[unsafe(link_section = ".text.hot")]
#[inline(never)]
fn take_v2(vcpu: &mut Vcpu, lists: MemoryLists) -> Next {
    take_by(vcpu, lists)
}

/// Takes an interrupt by one version's interfaces.
#[inline(always)]
fn take_by<L: CpuInterface + ListRegisters>(vcpu: &mut Vcpu, lists: L) -> Next {
    let taken = CpuInterface::acknowledge(lists);
    let known = &vcpu.vm.host.interrupts;
    if taken.intid() == known.virtual_timer {
        forward(vcpu, lists, taken, GUEST_VIRTUAL_TIMER);
    } else if taken.intid() == known.physical_timer {
        forward(vcpu, lists, taken, GUEST_PHYSICAL_TIMER);
    } else if taken.intid() == NUDGE {
        return take_nudge(vcpu, lists, taken);
    } else {
        return take_own(vcpu, lists, taken);
    }
    Next::resume(&mut vcpu.frame)
}

/// Takes another CPU's word that a vCPU here has an interrupt. If it can only be this one, it is
/// done at once: an IPI between vCPUs that have a CPU each costs no turn of the run loop.
// SAFETY: the section is code, which the linker keeps together.
#[unsafe(link_section = ".text.hot")]
#[inline(never)]
fn take_nudge<L: CpuInterface + ListRegisters>(
    vcpu: &mut Vcpu,
    mut lists: L,
    taken: Taken,
) -> Next {
    lists.priority_drop(taken);
    lists.deactivate(taken);
    if vcpu.shares_cpu {
        return vcpu.leave(Exit::Interrupted);
    }
    if !vcpu.vm.take_ring(vcpu.index)
        || (vcpu.vm.gic.lock()).sync_at_once(&mut Here::new(vcpu.index, &mut lists))
    {
        return Next::resume(&mut vcpu.frame);
    }
    look_up(vcpu)
}

/// Lets `f` read a guest's GIC, and once more if other CPUs know better.
#[inline(always)]
pub(super) fn read<L: ListRegisters>(
    vm: &Vm,
    here: &mut Here<'_, L>,
    f: impl Fn(&mut Gic, &mut Here<'_, L>) -> Answer,
) -> u64 {
    let mut has_waited = false;
    loop {
        let answer = f(&mut vm.gic.lock(), here);
        if answer.stale.is_empty() {
            return answer.value;
        }
        if has_waited {
            vm.kick(answer.stale);
            return answer.value;
        }
        wait_for_sync(vm, here, answer.stale);
        has_waited = true;
    }
}

/// How often a CPU that waits for others spins before it takes the lock again.
const PAUSE: u32 = 64;

/// Waits until these vCPUs, each loaded on another CPU, have looked what their list registers hold:
/// a kick makes them exit for that. Meanwhile this CPU does what others ask of it, who may be
/// waiting likewise.
#[inline(never)]
fn wait_for_sync<L: ListRegisters>(vm: &Vm, here: &mut Here<'_, L>, stale: Kicks) {
    vm.kick(stale);
    loop {
        let mut gic = vm.gic.lock();
        let kicks = gic.sync(here);
        let is_synced = gic.is_synced(stale);
        drop(gic);
        vm.kick(kicks);
        if is_synced {
            return;
        }
        // Whoever is waited for needs the lock.
        (0..PAUSE).for_each(|_| core::hint::spin_loop());
    }
}

#[inline(never)]
fn look_up(vcpu: &mut Vcpu) -> Next {
    vcpu.sync_interrupts();
    Next::resume(&mut vcpu.frame)
}

/// Takes an interrupt that is EL2's own business.
#[inline(never)]
fn take_own<I: CpuInterface>(vcpu: &mut Vcpu, interface: I, taken: Taken) -> Next {
    let intid = taken.intid();
    if intid >= FIRST_SPECIAL {
        return Next::resume(&mut vcpu.frame);
    }
    interface.priority_drop(taken);
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
    interface.deactivate(taken);
    if leaves {
        return vcpu.leave(Exit::Interrupted);
    }
    Next::resume(&mut vcpu.frame)
}

/// INTIDs from here on are no interrupts: 1023 says that nothing is pending any more.
const FIRST_SPECIAL: u32 = 1020;

/// Gives a timer's interrupt to the guest. It stays active until the guest deactivates its own.
#[inline(always)]
fn forward<L: CpuInterface + ListRegisters>(
    vcpu: &Vcpu,
    mut lists: L,
    physical: Taken,
    guest: u32,
) {
    lists.priority_drop(physical);
    if let Some(hw) = HwIntid::new(physical.intid()) {
        let mut here = Here::new(vcpu.index, &mut lists);
        let kicks = vcpu
            .vm
            .gic
            .lock()
            .inject_hw(&mut here, vcpu.index, guest, hw);
        vcpu.vm.kick(kicks);
    }
}

impl Vcpu {
    /// Lets `f` change the GICv3 as this vCPU, and tells other vCPUs what of it concerns them.
    #[inline(always)]
    pub(super) fn with_gic(
        &mut self,
        f: impl FnOnce(&mut Gic, &mut Here<'_, SystemLists>) -> Kicks,
    ) {
        let mut here = Here::new(self.index, &mut self.lists.system);
        let kicks = f(&mut self.vm.gic.lock(), &mut here);
        self.vm.kick(kicks);
    }

    /// Lets `f` read the GICv3 as this vCPU.
    #[inline(always)]
    pub(super) fn read_gic(
        &mut self,
        f: impl Fn(&mut Gic, &mut Here<'_, SystemLists>) -> Answer,
    ) -> u64 {
        let mut here = Here::new(self.index, &mut self.lists.system);
        read(&self.vm, &mut here, f)
    }

    /// Returns whether an interrupt waits for the guest.
    pub(super) fn has_deliverable_interrupt(&mut self) -> bool {
        on_lists!(self.lists, lists => {
            let here = Here::new(self.index, lists);
            self.vm.gic.lock().has_deliverable_here(&here)
        })
    }

    /// Answers a maintenance interrupt of this vCPU, which is loaded.
    pub fn maintain_interrupts(&mut self) {
        let kicks = on_lists!(self.lists, lists => {
            let mut here = Here::new(self.index, lists);
            self.vm.gic.lock().maintenance(&mut here)
        });
        self.vm.kick(kicks);
    }

    /// Sets the level of the UART's interrupt.
    pub(super) fn set_uart_line(&mut self, level: bool) {
        self.set_line(self.vm.map.uart.intid(), level);
    }

    /// Sets the level of a device's interrupt.
    pub(super) fn set_line(&mut self, intid: u32, level: bool) {
        let kicks = on_lists!(self.lists, lists => {
            let mut here = Here::new(self.index, lists);
            self.vm.gic.lock().set_level(&mut here, self.index, intid, level)
        });
        self.vm.kick(kicks);
    }
}
