//! A debugger of a whole VM, with the CPU's own loop below it and a guest that is a script.

use super::fixture::*;
use crate::{
    cpu::switch::Next,
    debugger::{Debugger, NoneLeft},
    isa::{encoding::Encoding, esr::class, sysreg::SysReg},
    sched::cpu::{Cpu, Event, Inbox},
    vm::{
        debug::{
            control::Parked,
            session::{Kind, Stop, Watch},
        },
        exits,
        smccc::Start,
        vcpu::Vcpu,
    },
};
use alloc::boxed::Box;

const MDSCR_EL1: u32 = Encoding::new(2, 0, 0, 2, 2).iss();
const DBGBVR0_EL1: u32 = Encoding::new(2, 0, 0, 0, 4).iss();
const DBGBCR1_EL1: u32 = Encoding::new(2, 0, 0, 1, 5).iss();
const DBGWVR0_EL1: u32 = Encoding::new(2, 0, 0, 0, 6).iss();
const DBGWCR0_EL1: u32 = Encoding::new(2, 0, 0, 0, 7).iss();
const MDCR_EL2: u32 = Encoding::new(3, 4, 1, 1, 1).iss();

const SS: u64 = 1;
const MDE: u64 = 1 << 15;
const TDE: u64 = 1 << 8;
const PSTATE_SS: u64 = 1 << 21;

/// A VM that one CPU has in its care, and a debugger.
struct Bench {
    inbox: &'static Inbox,
    cpu: Cpu,
    debugger: Debugger,
    _guest: Guest,
}

impl Bench {
    fn new(cpus: u8) -> Self {
        let mut guest = Guest::build(Build { cpus, ..USUAL });
        guest.vcpu.put();
        let inbox: &'static Inbox = Box::leak(Box::new(Inbox::new()));
        let cpu = Cpu::new(&guest.vm.host, inbox);
        let entry = Start {
            entry: PC,
            context: 0,
            rest: [0; 2],
        };
        guest.vm.switches[0].claim().unwrap().publish(entry);
        for n in 0..cpus.into() {
            inbox.send(guest.another(n));
        }
        Self {
            inbox,
            cpu,
            debugger: Debugger::new(&guest.vm),
            _guest: guest,
        }
    }

    /// Runs the CPU's loop until the VM stands still.
    fn run_until_halted(&mut self) {
        let event = self.cpu.run();
        assert!(matches!(event, Event::Halted(_)) && self.debugger.is_halted());
    }

    /// Makes it stand still from the start.
    fn halted(cpus: u8) -> Self {
        let mut bench = Self::new(cpus);
        bench.debugger.halt();
        bench.run_until_halted();
        assert_eq!(bench.debugger.stops(), []);
        bench
    }

    fn give(&self) -> impl FnMut(Parked) + use<> {
        let inbox = self.inbox;
        move |parked| inbox.send(parked.vcpu)
    }

    fn go(&mut self) {
        self.debugger.go(self.give());
        self.run_until_halted();
    }

    fn step(&mut self, index: usize) {
        self.debugger.step(index, self.give());
        self.run_until_halted();
    }

    fn pc(&self) -> u64 {
        let pc = self.debugger.with_vcpu(0, |vcpu| vcpu.sysregs().pc());
        pc.unwrap()
    }
}

/// Lets the guest run to an address and take a debug exception there.
fn meets(pc: u64, class: u64) {
    script(move |vcpu| take(vcpu, pc, class));
}

fn take(vcpu: &mut Vcpu, pc: u64, class: u64) -> Next {
    vcpu.sysregs_mut().set_pc(pc);
    // Whatever step there was is done.
    let pstate = vcpu.sysregs().pstate() & !PSTATE_SS;
    vcpu.sysregs_mut().set_pstate(pstate);
    exits::guest_synchronous(vcpu, class << 26 | IL)
}

/// Lets the guest do one instruction, which must be what it was let do.
fn steps(pc: u64) {
    script(move |vcpu| {
        assert_eq!(vcpu.sysregs().pstate() & PSTATE_SS, PSTATE_SS);
        assert_eq!(peek(MDSCR_EL1), SS, "neither breakpoints nor watchpoints");
        take(vcpu, pc, class::SOFTWARE_STEP)
    });
}

#[test]
fn breaks_looks_steps_over_watches_and_goes_on() {
    let mut bench = Bench::halted(1);
    assert_eq!(bench.pc(), PC);
    bench.debugger.break_at(PC + 0x100).unwrap();
    script(|vcpu| {
        assert_eq!(peek(DBGBVR0_EL1), PC + 0x100);
        assert_eq!((peek(MDSCR_EL1), peek(MDCR_EL2) & TDE), (MDE, TDE));
        vcpu.frame.write(7, 77);
        take(vcpu, PC + 0x100, class::BREAKPOINT)
    });
    bench.go();
    assert_eq!(bench.debugger.stops(), [(0, Stop::Breakpoint)]);
    assert_eq!(bench.pc(), PC + 0x100);
    let seven = bench.debugger.with_vcpu(0, |vcpu| vcpu.x(7));
    assert_eq!(seven, Some(77));

    // Over the instruction at the breakpoint, by a step and by going on.
    steps(PC + 0x104);
    bench.step(0);
    assert_eq!(bench.debugger.stops(), [(0, Stop::Step)]);
    assert_eq!(bench.pc(), PC + 0x104);
    meets(PC + 0x100, class::BREAKPOINT);
    bench.go();
    let variable = Watch::new(0x5004, 4, Kind::Write).unwrap();
    bench.debugger.watch(variable).unwrap();
    steps(PC + 0x104);
    script(|vcpu| {
        assert_eq!(peek(MDSCR_EL1), MDE, "it is past the breakpoint");
        assert_eq!((peek(DBGWVR0_EL1), peek(DBGWCR0_EL1)), (0x5000, 0x1e17));
        set_fault(0x5004, 0);
        take(vcpu, PC + 0x200, class::WATCHPOINT)
    });
    bench.go();
    assert_eq!(bench.debugger.stops(), [(0, Stop::Watchpoint(0x5004))]);
    // The access is done before it is watched again.
    steps(PC + 0x204);
    meets(PC + 0x100, class::BREAKPOINT);
    bench.go();

    bench.debugger.do_not_break_at(PC + 0x100);
    bench.debugger.do_not_watch(variable);
    let vm = bench.debugger.vm().clone();
    script(move |vcpu| {
        assert_eq!(peek(MDCR_EL2) & TDE, 0);
        assert_eq!(vcpu.sysregs().pstate() & PSTATE_SS, 0);
        vm.halt();
        Next::leave()
    });
    let give = bench.give();
    let halted = Debugger::new(bench.debugger.vm());
    core::mem::replace(&mut bench.debugger, halted).detach(give);
    bench.run_until_halted();
}

/// An interrupt that comes instead of the instruction is handled with the breakpoints on, and the
/// instruction follows.
#[test]
fn an_interrupt_does_not_end_a_step() {
    for asked in [false, true] {
        let mut bench = Bench::halted(1);
        bench.debugger.with_vcpu(0, |vcpu| {
            vcpu.write_sys_reg(SysReg::VBAR_EL1, 0x8000);
        });
        if !asked {
            bench.debugger.break_at(PC).unwrap();
        }
        script(|vcpu| {
            vcpu.write_sys_reg(SysReg::ELR_EL1, PC);
            take(vcpu, 0x8280, class::SOFTWARE_STEP)
        });
        script(|vcpu| {
            assert_eq!((peek(MDSCR_EL1), peek(DBGBVR0_EL1)), (MDE, PC));
            take(vcpu, PC, class::BREAKPOINT)
        });
        steps(PC + 4);
        if asked {
            bench.step(0);
            assert_eq!(bench.debugger.stops(), [(0, Stop::Step)]);
            assert_eq!(bench.pc(), PC + 4);
        } else {
            meets(PC, class::BREAKPOINT);
            bench.go();
            assert_eq!(bench.debugger.stops(), [(0, Stop::Breakpoint)]);
        }
    }
}

#[test]
fn all_vcpus_stop_with_one_and_one_steps_alone() {
    let mut bench = Bench::halted(2);
    bench.debugger.break_at(PC + 8).unwrap();
    meets(PC + 8, class::BREAKPOINT);
    bench.go();
    assert_eq!(bench.debugger.stops(), [(0, Stop::Breakpoint)]);
    let still = bench.debugger.with_vcpu(1, |vcpu| vcpu.debug_stop());
    assert_eq!(still, Some(None), "it stands still, and not by itself");
    steps(PC + 12);
    bench.step(0);
    assert_eq!(bench.pc(), PC + 12);
    assert_eq!(bench.debugger.with_vcpu(2, |_| ()), None);
}

#[test]
fn there_are_as_many_breakpoints_as_the_cpu_has() {
    let mut bench = Bench::halted(1);
    for n in 0..6 {
        bench.debugger.break_at(n << 4).unwrap();
    }
    assert_eq!(bench.debugger.break_at(0x60), Err(NoneLeft));
    assert_eq!(bench.debugger.break_at(0x50), Ok(()), "it is there");
    bench.debugger.clear();
    bench.debugger.break_at(0x60).unwrap();
    meets(0x60, class::BREAKPOINT);
    bench.go();
    assert_eq!(peek(DBGBCR1_EL1), 0);
}

#[test]
fn a_range_is_one_that_a_watchpoint_can_watch() {
    for (address, size, can) in [
        (0x1000, 1, true),
        (0x1007, 1, true),
        (0x1004, 4, true),
        (0x1005, 4, false),
        (0x1000, 8, true),
        (0x1000, 0, false),
        (0x1000, 9, false),
        (0x1000, 16, true),
        (0x1008, 16, false),
        (0x8000_0000, 1 << 31, true),
        (0, 1 << 32, false),
        (u64::MAX, 1, true),
        (u64::MAX, 2, false),
    ] {
        let watch = Watch::new(address, size, Kind::Any);
        assert_eq!(watch.is_some(), can, "{address:#x} {size:#x}");
    }
}

#[test]
fn a_vm_that_ends_takes_those_with_it_that_stand_still() {
    let mut bench = Bench::halted(2);
    bench.debugger.vm().end(crate::vm::Ending::Off);
    let give = bench.give();
    let vm = bench.debugger.vm().clone();
    Debugger::new(&vm).detach(give);
    assert!(matches!(bench.cpu.run(), Event::Left(_)));
}
