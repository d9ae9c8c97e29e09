//! Calls of the guest: by HVC and by SMC, known and unknown.

use super::fixture::*;
use crate::{
    cpu::switch::Next,
    isa::{psci, smccc},
    vm::{fdt::VIRT, smccc::Start},
};
use core::sync::atomic::Ordering;

const NOT_SUPPORTED: u64 = u64::MAX;
const RAM_AT: u64 = VIRT.ram.as_u64();

/// Calls with x0 to x3 and returns x0.
fn call(guest: &mut Guest, smc: bool, args: [u64; 4]) -> u64 {
    for (n, arg) in (0..).zip(args) {
        guest.set_x(n, arg);
    }
    let next = if smc { guest.smc(0) } else { guest.hvc(0) };
    let waits = args[0] as u32 == psci::CPU_SUSPEND && guest.vcpu.x(0) == 0;
    assert_eq!(next.leaves(), waits);
    guest.vcpu.x(0)
}

#[test]
fn smc_goes_on_after_itself_and_hvc_is_there_already() {
    for (smc, pc) in [(false, PC), (true, PC + 4)] {
        for function in [psci::VERSION, psci::FEATURES, 0x8400_1234] {
            let mut guest = Guest::new();
            call(&mut guest, smc, [function.into(), 0, 0, 0]);
            assert_eq!(guest.pc(), pc, "{function:#x} smc={smc}");
        }
    }
}

#[test]
fn known_calls_are_answered_the_same_by_both() {
    let two: u64 = 2;
    for (args, answer) in [
        ([psci::VERSION, 0, 0], 0x1_0001),
        ([smccc::VERSION, 0, 0], 0x1_0001),
        ([psci::MIGRATE_INFO_TYPE, 0, 0], two),
        ([psci::FEATURES, psci::CPU_ON_64, 0], 0),
        ([psci::FEATURES, 0x8400_0010, 0], NOT_SUPPORTED),
        (
            [smccc::ARCH_FEATURES, smccc::ARCH_WORKAROUND_2, 0],
            NOT_SUPPORTED,
        ),
        ([psci::AFFINITY_INFO, 0, 0], 1),
        ([psci::AFFINITY_INFO, 7, 0], -2_i64 as u64),
        ([psci::CPU_SUSPEND, 0, 0], 0),
        // A slow call, an Arm service that is not there, and nothing at all.
        ([0x0400_0000, 0, 0], NOT_SUPPORTED),
        ([0x8400_0005, 0, 0], NOT_SUPPORTED),
        ([0xffff_ffff, 0, 0], NOT_SUPPORTED),
    ] {
        for smc in [false, true] {
            let mut guest = Guest::new();
            let [x0, x1, x2] = args.map(u64::from);
            let got = call(&mut guest, smc, [x0, x1, x2, 0]);
            assert_eq!(got, answer, "{args:x?} smc={smc}");
        }
    }
}

#[test]
fn an_immediate_other_than_zero_calls_nothing() {
    for immediate in [1, 0x8000, 0xffff] {
        for smc in [false, true] {
            let mut guest = Guest::new();
            guest.set_x(0, psci::VERSION.into());
            let next = if smc {
                guest.smc(immediate)
            } else {
                guest.hvc(immediate)
            };
            assert_eq!(next, Next::resume(&mut guest.vcpu.frame));
            assert_eq!(guest.vcpu.x(0), NOT_SUPPORTED);
            guest.set_x(0, psci::SYSTEM_OFF.into());
            let next = if smc {
                guest.smc(immediate)
            } else {
                guest.hvc(immediate)
            };
            assert!(!next.leaves(), "SYSTEM_OFF by #{immediate}");
        }
    }
}

#[test]
fn a_call_changes_its_results_only() {
    for (function, results) in [
        (psci::VERSION, 1),
        (psci::AFFINITY_INFO, 1),
        (0x8400_ffff, 1),
        (smccc::VENDOR_HYP_UID, 4),
        (smccc::VENDOR_HYP_REVISION, 4),
    ] {
        let mut guest = Guest::new();
        for n in 0..31 {
            guest.set_x(n, 0xa000 + u64::from(n));
        }
        guest.set_x(0, function.into());
        let _ = guest.hvc(0);
        for n in results..31 {
            assert_eq!(guest.vcpu.x(n), 0xa000 + u64::from(n), "{function:#x} x{n}");
        }
    }
}

#[test]
fn the_vendor_says_who_it_is() {
    let mut guest = Guest::new();
    call(&mut guest, false, [smccc::VENDOR_HYP_UID.into(), 0, 0, 0]);
    let words: [u64; 4] = core::array::from_fn(|n| guest.vcpu.x(n as u8));
    // a2d4f81c-aa75-4b13-9ce8-e74bfd0cc61c, four bytes a word, the first lowest.
    assert_eq!(words, [0x1cf8_d4a2, 0x134b_75aa, 0x4be7_e89c, 0x1cc6_0cfd]);
}

#[test]
fn another_vcpu_is_turned_on_once() {
    let mut guest = Guest::build(Build { cpus: 2, ..USUAL });
    let on = |guest: &mut Guest, target, entry| {
        call(guest, false, [psci::CPU_ON_64.into(), target, entry, 0x77])
    };
    let info = |guest: &mut Guest| call(guest, true, [psci::AFFINITY_INFO_64.into(), 1, 0, 0]);
    let code = |n: i64| n as u64;

    assert_eq!(on(&mut guest, 2, RAM_AT), code(-2), "no such vCPU");
    assert_eq!(on(&mut guest, 1, RAM_AT + RAM), code(-9), "past RAM");
    assert_eq!(on(&mut guest, 1, RAM_AT - 4), code(-9), "before RAM");
    assert_eq!(on(&mut guest, 1, RAM_AT + 2), code(-9), "no instruction");
    assert_eq!(info(&mut guest), 1, "off");
    assert_eq!(on(&mut guest, 1, RAM_AT + 8), 0);
    assert_eq!(info(&mut guest), 2, "pending");
    assert_eq!(on(&mut guest, 1, RAM_AT), code(-5), "pending already");
    let start = Start {
        entry: RAM_AT + 8,
        context: 0x77,
        rest: [0; 2],
    };
    assert_eq!(guest.vm.switches[1].arrive(), Some(start));
    assert_eq!(info(&mut guest), 0, "on");
    assert_eq!(on(&mut guest, 1, RAM_AT), code(-4), "on already");

    let mut other = guest.another(1);
    other.start_at(start);
    assert_eq!((other.sysregs().pc(), other.x(0)), (RAM_AT + 8, 0x77));
    assert_eq!(other.sysregs().pstate(), 0x3c5, "EL1h, all masked");
}

#[test]
fn calls_that_do_not_exist_are_counted_and_questions_are_not() {
    let mut guest = Guest::new();
    let counted = |guest: &Guest| guest.vm.counters.unknown_calls.load(Ordering::Relaxed);
    call(
        &mut guest,
        false,
        [psci::FEATURES.into(), 0x8400_0010, 0, 0],
    );
    call(
        &mut guest,
        false,
        [smccc::ARCH_FEATURES.into(), 0x8400_0010, 0, 0],
    );
    assert_eq!(counted(&guest), 0);
    call(&mut guest, false, [0x8400_0010, 0, 0, 0]);
    call(&mut guest, true, [0x8400_0010, 0, 0, 0]);
    assert_eq!(counted(&guest), 2);
}
