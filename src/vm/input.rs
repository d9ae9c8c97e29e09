//! What is typed on the machine's console, on its way to the guest that has it.

use super::{
    Vm,
    gic::{Here, HostLists},
    vcpu::Vcpu,
};
use crate::{dev::console, sync::SpinLock};
use alloc::sync::{Arc, Weak};

/// The VM that gets what is typed.
static READER: SpinLock<Weak<Vm>> = SpinLock::new(Weak::new());

/// Gives the input to a VM from now on.
pub fn give_to(vm: &Arc<Vm>) {
    *READER.lock() = Arc::downgrade(vm);
}

/// Moves what was typed into the UART of the VM that reads it, as far as it has room. The rest
/// waits in the console's own FIFO, without interrupts, until the guest has read. `here` is the
/// vCPU loaded on this CPU, if any.
pub fn receive(here: Option<&mut Vcpu>) {
    let Some(vm) = READER.lock().upgrade() else {
        // Nobody reads: what is typed is lost, as on a machine that is off.
        return console::receive(|next| {
            while next().is_some() {}
            true
        });
    };
    let line = {
        let mut uart = vm.uart.lock();
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
    let intid = vm.map.uart.intid();
    match here {
        Some(vcpu) if Arc::ptr_eq(&vcpu.vm, &vm) => vcpu.set_line(intid, line),
        _ => {
            let mut lists = HostLists::probe();
            let mut here = Here::nobody(&mut lists);
            let kicks = vm.gic.lock().set_level(&mut here, 0, intid, line);
            vm.kick(kicks);
        }
    }
}
