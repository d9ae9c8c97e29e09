//! The console's commands for a guest that is debugged.

use super::{Debugger, NoneLeft};
use crate::{
    boot::guests,
    log::print,
    sync::{Rank, SpinLock},
    vm::{
        Vm,
        debug::{
            control::Parked,
            session::{Kind, Watch},
        },
        vcpu::Vcpu,
    },
};
use alloc::{string::String, sync::Arc, vec::Vec};

/// The VMs that are being debugged.
static DEBUGGERS: SpinLock<Vec<Debugger>> = SpinLock::new(Rank::Debuggers, Vec::new());

/// Returns whether this is one of the commands here.
pub fn is_command(verb: &str) -> bool {
    matches!(
        verb,
        "halt" | "go" | "detach" | "break" | "watch" | "clear" | "regs" | "step"
    )
}

/// Does a command about the VM named so; returns whether the next is to be asked for.
pub fn command(verb: &str, name: &str, rest: &[&str]) -> bool {
    let numbers: Option<Vec<u64>> = rest.iter().copied().map(number).collect();
    let (Some(vm), Some(numbers)) = (guests::named(name), numbers) else {
        print(format_args!(
            "{verb} NAME, of a VM that runs, and numbers\n"
        ));
        return true;
    };
    if verb == "detach" {
        forget(&vm);
        return true;
    }
    let mut all = DEBUGGERS.lock();
    let place = all.iter().position(|it| Arc::ptr_eq(it.vm(), &vm));
    let place = place.unwrap_or_else(|| {
        all.push(Debugger::new(&vm));
        all.len() - 1
    });
    if let Some(debugger) = all.get_mut(place)
        && let Err(why) = perform(debugger, verb, &numbers)
    {
        print(format_args!("{why}\n"));
    }
    true
}

fn perform(debugger: &mut Debugger, verb: &str, numbers: &[u64]) -> Result<(), &'static str> {
    let none_left = |NoneLeft| "the CPU has no more of them";
    match (verb, numbers) {
        ("halt", []) => debugger.halt(),
        ("clear", []) => debugger.clear(),
        ("break", &[address]) => debugger.break_at(address).map_err(none_left)?,
        ("watch", &[address, size]) => {
            let range = Watch::new(address, size, Kind::Any);
            let range = range.ok_or("no range that a watchpoint can watch")?;
            debugger.watch(range).map_err(none_left)?;
        }
        _ if !debugger.is_halted() => return Err("it does not stand still"),
        ("go", []) => debugger.go(give),
        ("regs", []) => registers(debugger, 0),
        ("regs", &[index]) => registers(debugger, index as usize),
        ("step", []) => debugger.step(0, give),
        ("step", &[index]) => debugger.step(index as usize, give),
        _ => return Err("not so; help tells how"),
    }
    Ok(())
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn give(parked: Parked) {
    let host = parked.vcpu.vm().host.clone();
    crate::boot::hand_over(&host, parked.home, parked.vcpu);
}

fn registers(debugger: &Debugger, index: usize) {
    if debugger.with_vcpu(index, print_registers).is_none() {
        print(format_args!("there is no vCPU {index}\n"));
    }
}

fn print_registers(vcpu: &mut Vcpu) {
    let mut text = String::new();
    for n in 0..31 {
        let end = if n % 4 == 3 { "\n" } else { "" };
        text += &alloc::format!("  x{n:<2} {:016x}{end}", vcpu.x(n));
    }
    let (pc, pstate) = (vcpu.sysregs().pc(), vcpu.sysregs().pstate());
    print(format_args!(
        "{text}\n  pc  {pc:016x}  pstate {pstate:08x}\n"
    ));
}

/// Says that a VM stands still, and why.
pub fn halted(vm: &Arc<Vm>) {
    let all = DEBUGGERS.lock();
    let Some(debugger) = all.iter().find(|it| Arc::ptr_eq(it.vm(), vm)) else {
        return;
    };
    let stops = debugger.stops();
    for &(index, why) in &stops {
        let pc = debugger.with_vcpu(index, |vcpu| vcpu.sysregs().pc());
        let pc = pc.unwrap_or(0);
        log::info!("{}: vCPU {index} stands at {pc:#x}: {why:x?}", vm.name);
    }
    if stops.is_empty() {
        log::info!("{}: stands still", vm.name);
    }
}

/// Lets a VM go on undisturbed, if it was debugged.
pub fn forget(vm: &Arc<Vm>) {
    let mut all = DEBUGGERS.lock();
    let place = all.iter().position(|it| Arc::ptr_eq(it.vm(), vm));
    let debugger = match place {
        Some(place) => all.remove(place),
        None => return,
    };
    drop(all);
    debugger.detach(give);
}
