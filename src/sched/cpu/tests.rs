//! The loop on the fake machine: whose turn it is, and what is done to the machine in between.

use super::*;
use crate::{
    cpu::{fake::Event as Done, switch::Next},
    isa::{encoding::Encoding, esr::class, gic::icc, sysreg::SysReg},
    vm::{
        smccc::Start,
        tests::fixture::{Build, Guest, IL, USUAL, exit, msr, peek, script, set_count, take_log},
    },
};
use alloc::rc::Rc;
use core::cell::RefCell;

const CNTHP_CTL_EL2: u32 = Encoding::new(3, 4, 14, 2, 1).iss();
const CNTHP_CVAL_EL2: u32 = Encoding::new(3, 4, 14, 2, 2).iss();
const ICC_SGI1R_EL1: Encoding = Encoding::new(3, 0, 12, 11, 5);
/// Where the guest has its distributor, and the second vCPU's registers of SGIs.
const GICD: u64 = 0x0800_0000;
const GICR_SGI: u64 = 0x080a_0000 + 0x2_0000 + 0x1_0000;
const WFI: u64 = class::WFX << 26 | IL;

/// A CPU with the two vCPUs of a VM, both on, and whose turns there were.
struct Bench {
    cpu: Cpu,
    turns: Rc<RefCell<Vec<usize>>>,
    _guest: Guest,
}

impl Bench {
    fn new() -> Self {
        let mut guest = Guest::build(Build { cpus: 2, ..USUAL });
        // The second vCPU's SGIs are enabled, in a group that is.
        guest.store(GICD, 4, 0b11);
        guest.store(GICR_SGI + 0x80, 4, 0xffff);
        guest.store(GICR_SGI + 0x100, 4, 0xffff);
        guest.vcpu.put();
        let inbox: &'static Inbox = Box::leak(Box::default());
        for index in 0..2 {
            let claim = guest.vm.switches[index]
                .claim()
                .unwrap_or_else(|_| panic!());
            claim.publish(Start::default());
            inbox.send(guest.another(index));
        }
        take_log();
        Self {
            cpu: Cpu::new(&guest.vm.host.clone(), inbox),
            turns: Rc::default(),
            _guest: guest,
        }
    }

    /// Adds a turn in which the guest exits like this.
    fn turn(&self, exit: impl FnOnce(&mut Vcpu) -> Next + 'static) {
        let turns = self.turns.clone();
        script(move |vcpu| {
            turns.borrow_mut().push(vcpu.index());
            exit(vcpu)
        });
    }

    /// Runs until the script is over; returns whose turns there were.
    fn run(mut self) -> Vec<usize> {
        self.turn(|vcpu| {
            vcpu.vm().end(Ending::Off);
            Next::leave()
        });
        assert!(matches!(self.cpu.run(), Event::Left(_)));
        let mut turns = self.turns.take();
        turns.pop();
        turns
    }
}

fn rest(_: &mut Vcpu) -> Next {
    Next::leave()
}

#[test]
fn what_a_sibling_cached_is_forgotten_before_another_runs() {
    let bench = Bench::new();
    (0..3).for_each(|_| bench.turn(rest));
    bench.turn(|_| {
        let log = take_log().into_iter();
        let forgotten = log.filter(|done| matches!(done, Done::TlbSibling(_)));
        assert_eq!(forgotten.count(), 3, "at each turn but the first");
        Next::leave()
    });
    assert_eq!(bench.run(), [1, 0, 1, 0]);
}

#[test]
fn who_waits_for_its_timer_is_woken_by_el2s() {
    let bench = Bench::new();
    bench.turn(|vcpu| {
        vcpu.write_sys_reg(SysReg::CNTV_CVAL_EL0, 7000);
        vcpu.write_sys_reg(SysReg::CNTV_CTL_EL0, 1);
        exit(vcpu, WFI)
    });
    let alarm = || (peek(CNTHP_CTL_EL2), peek(CNTHP_CVAL_EL2));
    // It is gone from the CPU, and EL2 waits in its place.
    bench.turn(move |_| {
        assert_eq!(alarm(), (1, 7000));
        set_count(6999);
        Next::leave()
    });
    bench.turn(|_| {
        set_count(7000);
        Next::leave()
    });
    bench.turn(move |_| {
        assert_eq!(alarm(), (1, 7000 + 4000), "a slice, as the other could run");
        Next::leave()
    });
    assert_eq!(bench.run(), [1, 0, 0, 1]);
}

#[test]
fn an_alarm_is_off_when_nobody_waits_for_it() {
    let bench = Bench::new();
    bench.turn(|vcpu| exit(vcpu, WFI));
    bench.turn(|_| {
        assert_eq!(peek(CNTHP_CTL_EL2), 0, "the other waits for no timer");
        Next::leave()
    });
    bench.turn(rest);
    assert_eq!(bench.run(), [1, 0, 0]);
}

#[test]
fn an_sgi_for_a_sibling_here_ends_the_turn_and_wakes_it() {
    let bench = Bench::new();
    bench.turn(|vcpu| exit(vcpu, WFI));
    bench.turn(|vcpu| {
        take_log();
        let next = msr(vcpu, ICC_SGI1R_EL1, 1 << 1);
        assert!(next.leaves());
        let sent = |done: &Done| matches!(done, Done::Write(icc::SGI1R_EL1, _));
        assert!(!take_log().iter().any(sent), "an interrupt to itself");
        next
    });
    bench.turn(rest);
    assert_eq!(bench.run(), [1, 0, 1]);
}
