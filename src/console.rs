//! The hypervisor's commands, typed after the escape key.

use crate::refuse;
use crate::{
    boot::guests,
    cpu::timer,
    debugger::commands as debugger,
    dev::power::Last,
    log::{self, print},
    mem::heap,
    vm::{Vm, input, psci::Power, stats::NAMES},
};
use alloc::{sync::Arc, vec::Vec};

const HELP: &str = "\
  vms              the VMs, their vCPUs and memory; what memory is left
  stats            exits by reason and time run, per vCPU
  log              the hypervisor's latest messages
  console NAME     brings a VM to the front: its input and output
  start NAME       starts a VM of the bundle that does not run
  stop NAME        stops a VM
  restart NAME     stops a VM and starts it anew
  move NAME VCPU CPU  gives a vCPU to another CPU
  poweroff         stops all VMs and turns the machine off
  reset            stops all VMs and starts the machine anew
  halt NAME        makes a VM stand still; go NAME, go on; detach NAME, go on undisturbed
  break NAME ADDRESS, watch NAME ADDRESS SIZE   stop it there; clear NAME, nowhere
  regs NAME [VCPU], step NAME [VCPU]            of one that stands still
  an empty line, exit, or Ctrl-] goes back to the VM in front
";

/// Does a command and asks for the next.
pub fn run(line: &str) {
    let mut words = line.split_ascii_whitespace();
    let (verb, rest) = (words.next().unwrap_or(""), words.collect::<Vec<_>>());
    let stays = match (verb, rest.as_slice()) {
        ("" | "exit", []) => false,
        ("help", []) => {
            print(format_args!("{HELP}"));
            true
        }
        ("vms", []) => {
            vms();
            true
        }
        ("stats", []) => {
            stats();
            true
        }
        ("log", []) => {
            log::replay();
            true
        }
        ("console", [name]) => !bring_to_front(name),
        ("start", [name]) => say(guests::start_by_name(name)),
        ("stop", [name]) => say(guests::stop(name)),
        ("restart", [name]) => say(guests::restart(name)),
        ("move", [name, vcpu, cpu]) => match (vcpu.parse(), cpu.parse()) {
            (Ok(vcpu), Ok(cpu)) => say(guests::move_vcpu(name, vcpu, cpu)),
            _ => say(Err(refuse!("move takes a VM's name and two numbers"))),
        },
        ("poweroff", []) => {
            guests::stop_all(Last::Off);
            false
        }
        ("reset", []) => {
            guests::stop_all(Last::Reset);
            false
        }
        (verb, [name, rest @ ..]) if debugger::is_command(verb) => {
            debugger::command(verb, name, rest)
        }
        _ => {
            print(format_args!("unknown command {line:?}; help lists them\n"));
            true
        }
    };
    if stays {
        print(format_args!("{}", input::PROMPT));
    } else {
        input::close_command_line();
    }
    // Keys that came meanwhile.
    input::receive(None);
}

fn say(result: Result<(), crate::error::Refusal>) -> bool {
    if let Err(refusal) = result {
        print(format_args!("{refusal}\n"));
    }
    true
}

fn bring_to_front(name: &str) -> bool {
    match guests::named(name) {
        Some(vm) => {
            input::give_to(&vm, false);
            print(format_args!(
                "[entresol] {name} is in front; Ctrl-] comes back here\n"
            ));
            true
        }
        None => {
            match guests::starting().iter().any(|news| news.name == name) {
                true => print(format_args!("{name} is being started\n")),
                false => print(format_args!("no VM named {name:?} runs; vms lists them\n")),
            }
            false
        }
    }
}

fn vms() {
    for news in guests::starting() {
        print(format_args!(
            "  {:<16} starting: {} % of its memory\n",
            news.name,
            news.percent()
        ));
    }
    let front = input::reader();
    for vm in guests::running() {
        let is_front = front.as_ref().is_some_and(|front| Arc::ptr_eq(front, &vm));
        let on = vm
            .switches
            .iter()
            .filter(|s| s.power() == Power::On)
            .count();
        print(format_args!(
            "{}{:<16} {} of {} vCPUs on, {} MiB, VMID {}, on CPUs",
            if is_front { "* " } else { "  " },
            vm.name,
            on,
            vm.switches.len(),
            vm.memory.size() >> 20,
            vm.vttbr() >> 48
        ));
        for cpu in (0..vm.switches.len()).filter_map(|index| vm.home(index)) {
            print(format_args!(" {cpu}"));
        }
        print(format_args!("\n"));
    }
    let heap = heap::stats();
    print(format_args!(
        "free: {} KiB for VMs; heap: {} of {} bytes used\n",
        guests::free_bytes() >> 10,
        heap.used,
        heap.total
    ));
}

fn stats() {
    let vms = guests::running();
    ask_for_news(&vms);
    print(format_args!("{:<16} vCPU  run ms  EL2 ms wait ms", "VM"));
    for name in NAMES {
        print(format_args!(" {name:>11}"));
    }
    print(format_args!("\n"));
    for vm in &vms {
        for (index, stats) in vm.stats().iter().enumerate() {
            let reading = stats.read();
            let ms = |counts| (u128::from(counts) * 1000 / u128::from(vm.host.frequency)) as u64;
            print(format_args!(
                "{:<16} {index:>4} {:>7} {:>7} {:>7}",
                vm.name,
                ms(reading.run),
                ms(reading.el2),
                vm.stolen_time.get(index) / 1_000_000
            ));
            for count in reading.exits {
                print(format_args!(" {count:>11}"));
            }
            print(format_args!("\n"));
        }
    }
}

/// Makes all CPUs publish their vCPUs' counts, and gives them a moment: one that never leaves its
/// guest has not published for long.
fn ask_for_news(vms: &[Arc<Vm>]) {
    for vm in vms {
        (0..vm.switches.len()).for_each(|index| vm.ring(index));
    }
    let until = timer::count().saturating_add(timer::frequency() / 100);
    while timer::count() < until {
        core::hint::spin_loop();
    }
}
