//! What makes `run` return, and what it returns.

use super::fixture::*;
use crate::{
    cpu::fake,
    isa::{esr::class, psci, sysreg::SysReg},
    vm::{
        exits,
        vcpu::{Exit, Vcpu},
    },
};
use alloc::{rc::Rc, vec::Vec};
use core::cell::RefCell;

const HVC: u64 = class::HVC << 26 | IL;
const SMC: u64 = class::SMC << 26 | IL;

fn call(vcpu: &mut Vcpu, function: u32, smc: bool) -> crate::cpu::switch::Next {
    vcpu.frame.write(0, function.into());
    if smc {
        exits::guest_synchronous(vcpu, SMC)
    } else {
        exits::guest_hypercall(vcpu, HVC)
    }
}

#[test]
fn each_way_to_end_has_its_exit() {
    for smc in [false, true] {
        for (function, expected) in [
            (psci::CPU_OFF, Exit::Off),
            (psci::SYSTEM_OFF, Exit::SystemOff),
            (psci::SYSTEM_RESET, Exit::SystemReset),
        ] {
            let mut guest = Guest::new();
            script(move |vcpu| call(vcpu, function, smc));
            script(|_| panic!("the guest runs after its end"));
            assert_eq!(guest.vcpu.run(), expected, "smc={smc}");
            fake::with(|cpu| cpu.script.clear());
        }
    }
}

#[test]
fn an_serror_stops_the_guest() {
    let mut guest = Guest::new();
    script(|vcpu| exits::guest_system_error(vcpu));
    assert!(matches!(guest.vcpu.run(), Exit::Stopped(why) if why.contains("SError")));
}

/// A fetch from where nothing is.
fn fetch(vcpu: &mut Vcpu, status: u64) -> crate::cpu::switch::Next {
    exits::guest_synchronous(vcpu, class::INSTRUCTION_ABORT << 26 | IL | status)
}

#[test]
fn a_guest_without_vectors_is_stopped() {
    const EL1H: u64 = 0x3c5;
    const VBAR: u64 = 0x3000_0000;
    for (status, walk) in [(0b0101, 0), (0b0110, 0), (0b0110, 1 << 7)] {
        let mut guest = Guest::new();
        guest.set_reg(SysReg::VBAR_EL1, VBAR);
        guest.set_pstate(EL1H);
        script(move |vcpu| {
            let next = fetch(vcpu, status);
            assert_eq!(
                vcpu.sysregs().pc(),
                VBAR + 0x200,
                "one abort is the guest's own"
            );
            assert_eq!(vcpu.sysregs().pstate() & 0x3ff, EL1H);
            next
        });
        script(move |vcpu| fetch(vcpu, status | walk));
        script(|vcpu| call(vcpu, psci::SYSTEM_OFF, false));
        let exit = guest.vcpu.run();
        match walk {
            0 => assert!(matches!(exit, Exit::Stopped(why) if why.contains("vectors"))),
            _ => assert_eq!(exit, Exit::SystemOff, "its tables may yet be mended"),
        }
        fake::with(|cpu| cpu.script.clear());
    }
}

#[test]
fn an_earlier_exit_is_forgotten() {
    let mut guest = Guest::new();
    script(|vcpu| call(vcpu, psci::CPU_OFF, false));
    assert_eq!(guest.vcpu.run(), Exit::Off);
    assert_eq!(guest.vcpu.run(), Exit::Interrupted);
}

#[test]
fn a_guest_runs_on_until_it_ends() {
    let mut guest = Guest::new();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let note = |seen: &Rc<RefCell<Vec<u64>>>| {
        let seen = seen.clone();
        move |vcpu: &Vcpu| seen.borrow_mut().push(vcpu.x(0))
    };
    let (first, second, third) = (note(&seen), note(&seen), note(&seen));
    script(|vcpu| call(vcpu, psci::VERSION, false));
    script(move |vcpu| {
        first(vcpu);
        call(vcpu, psci::VERSION, true)
    });
    script(move |vcpu| {
        second(vcpu);
        call(vcpu, psci::CPU_SUSPEND, false)
    });
    script(move |vcpu| {
        third(vcpu);
        call(vcpu, psci::SYSTEM_OFF, false)
    });
    assert_eq!(guest.vcpu.run(), Exit::Wait);
    assert_eq!(guest.vcpu.run(), Exit::SystemOff);
    assert_eq!(*seen.borrow(), [0x1_0001, 0x1_0001, 0]);
    assert_eq!(guest.pc(), PC + 4, "one SMC was skipped");
}
