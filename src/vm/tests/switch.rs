//! What is moved between a guest and the machine, and when: at load and put, and not by exits.

use super::fixture::*;
use crate::{
    cpu::{
        fake::{self, Event},
        fp::FpRegs,
        switch::Next,
    },
    dev::gic::v3,
    isa::{
        esr::class,
        features::IdReg,
        gic::{gicr, icc, ich},
        psci,
        sysreg::{ALL, Class, SysReg},
    },
    vm::{exits, fdt::VIRT},
};

fn touched(log: &[Event]) -> impl Iterator<Item = u32> {
    log.iter().filter_map(|event| match *event {
        Event::Read(iss) | Event::Write(iss, _) => Some(iss),
        _ => None,
    })
}

/// Does an exit and returns the registers it used.
fn registers_used(
    guest: &mut Guest,
    exit: impl FnOnce(&mut Guest) -> Next,
) -> alloc::vec::Vec<u32> {
    take_log();
    let next = exit(guest);
    assert!(!next.leaves());
    touched(&take_log()).collect()
}

#[test]
fn the_shortest_calls_touch_no_register() {
    for function in [psci::VERSION, psci::MIGRATE_INFO_TYPE, 0x8000_0000] {
        let mut guest = Guest::new();
        guest.set_x(0, function.into());
        assert_eq!(registers_used(&mut guest, |guest| guest.hvc(0)), []);
    }
    let mut guest = Guest::new();
    guest.set_x(0, psci::FEATURES.into());
    assert_eq!(registers_used(&mut guest, |guest| guest.hvc(0)), []);
}

#[test]
fn a_trapped_id_register_costs_reading_pstate_and_moving_the_pc() {
    let mut guest = Guest::new();
    let used = registers_used(&mut guest, |guest| {
        guest.mrs(IdReg::ID_AA64PFR0.encoding(), 1)
    });
    assert_eq!(used, [SPSR_EL2, ELR_EL2, ELR_EL2]);
}

#[test]
fn a_device_access_adds_the_address_and_nothing_else() {
    let mut guest = Guest::new();
    let flags = VIRT.uart.base + 0x18;
    set_fault(flags, flags);
    let used = registers_used(&mut guest, |guest| guest.exit(abort_esr(load(4, 1))));
    assert_eq!(used, [HPFAR_EL2, FAR_EL2, SPSR_EL2, ELR_EL2, ELR_EL2]);
}

#[test]
fn an_interrupt_of_the_timer_costs_a_list_register() {
    let mut guest = Guest::new();
    take_timers(&mut guest);
    let timer = |guest: &mut Guest| guest.interrupt(INTERRUPTS.virtual_timer);
    let first = ich::lr_el2(0);
    let used = registers_used(&mut guest, timer);
    assert_eq!(used, [icc::IAR1_EL1, icc::EOIR1_EL1, first]);
    // The guest has ended it: its list register is looked at before it is used again.
    poke(first, peek(first) & !(0b11 << 62));
    let used = registers_used(&mut guest, timer);
    assert_eq!(used, [icc::IAR1_EL1, icc::EOIR1_EL1, first, first]);
}

#[test]
fn an_sgi_to_itself_costs_a_list_register_and_the_pc() {
    let mut guest = Guest::new();
    take_timers(&mut guest);
    guest.store(0x080a_0000 + 0x1_0100, 4, 1 << 5);
    // To Aff0 0 in the list, INTID 5.
    guest.set_x(2, 5 << 24 | 1);
    let sgi = crate::isa::encoding::Encoding::from_iss(icc::SGI1R_EL1);
    let used = registers_used(&mut guest, |guest| guest.msr(sgi, 2));
    assert_eq!(used, [ich::lr_el2(0), SPSR_EL2, ELR_EL2, ELR_EL2]);
    let [first, ..] = lists();
    assert_eq!((first >> 61, first as u32), (0b010, 5));
}

#[test]
fn an_exit_moves_no_register_of_the_guest() {
    for vhe in [false, true] {
        let mut guest = Guest::build(Build { vhe, ..USUAL });
        let exits: [fn(&mut Guest) -> Next; 12] = [
            |guest| guest.hvc(0),
            |guest| guest.smc(0),
            |guest| guest.hvc(7),
            |guest| guest.mrs(IdReg::ID_AA64MMFR0.encoding(), 20),
            |guest| guest.msr(SysReg::MDSCR_EL1.info().encoding, 3),
            |guest| guest.access(VIRT.uart.base, store(1, 3)),
            |guest| guest.access(0x0800_0004, load(4, 3)),
            |guest| guest.interrupt(INTERRUPTS.virtual_timer),
            |guest| guest.interrupt(INTERRUPTS.maintenance),
            |guest| guest.interrupt(40),
            |guest| guest.interrupt(1023),
            |guest| guest.exit(class::FP << 26 | IL),
        ];
        for (n, exit) in exits.into_iter().enumerate() {
            let used = registers_used(&mut guest, exit);
            let moved = used.iter().filter(|&&iss| is_deferred(iss)).count();
            assert_eq!(moved, 0, "exit {n} moved some of {used:x?}");
        }
        // The count would be zero too if nothing were ever recognised.
        let used = registers_used(&mut guest, |guest| guest.exit(IL));
        assert!(used.into_iter().filter(|&iss| is_deferred(iss)).count() >= 4);
    }
}

#[test]
fn put_and_load_lose_nothing() {
    for vhe in [false, true] {
        let mut guest = Guest::build(Build { vhe, ..USUAL });
        let present = guest.vcpu.sysregs().state().present;
        let deferred = |reg: SysReg| matches!(reg.class(), Class::Deferred | Class::Timer);
        let own = |reg: SysReg| deferred(reg) && present.has(reg);
        for (value, reg) in (1000..).zip(ALL).filter(|(_, reg)| own(*reg)) {
            guest.set_reg(reg, value);
        }
        guest.set_pstate(0x6000_0345);
        guest.vcpu.put();
        // Another vCPU's turn, and it changes everything.
        let mut other = guest.another(0);
        other.load();
        for reg in ALL.into_iter().filter(|reg| own(*reg)) {
            other.write_sys_reg(reg, 7);
        }
        other.sysregs_mut().set_pc(0x7000);
        other.sysregs_mut().set_pstate(0x5);
        other.put();
        for _ in 0..2 {
            guest.vcpu.load();
            for (value, reg) in (1000..).zip(ALL).filter(|(_, reg)| own(*reg)) {
                assert_eq!(guest.reg(reg), value, "{reg:?} vhe={vhe}");
            }
            assert_eq!((guest.pc(), guest.pstate()), (PC, 0x6000_0345));
            guest.vcpu.put();
        }
        assert_eq!((guest.pc(), guest.pstate()), (PC, 0x6000_0345), "in memory");
    }
}

/// Returns whether the guest's FP instructions trap.
fn fp_traps(vhe: bool) -> bool {
    let cptr = peek(CPTR_EL2);
    if vhe {
        cptr >> 20 & 3 != 3
    } else {
        cptr >> 10 & 1 != 0
    }
}

fn fp_of(n: u64) -> FpRegs {
    FpRegs {
        q: [u128::from(n) << 64 | u128::from(n); 32],
        fpcr: n,
        fpsr: n + 1,
    }
}

#[test]
fn fp_registers_follow_their_vcpu_and_are_seen_by_no_other() {
    for vhe in [false, true] {
        let mut guest = Guest::build(Build { vhe, ..USUAL });
        let mut other = guest.another(0);
        let use_fp = |vcpu: &mut _| {
            assert!(fp_traps(vhe));
            let next = exits::guest_synchronous(vcpu, class::FP << 26 | IL);
            assert!(!next.leaves() && !fp_traps(vhe));
        };
        use_fp(&mut guest.vcpu);
        assert_eq!(guest.pc(), PC, "the instruction is done again");
        assert_eq!(fake::with(|cpu| cpu.fp.clone()), FpRegs::ZERO);
        fake::with(|cpu| cpu.fp = fp_of(3));
        guest.vcpu.put();
        assert!(fp_traps(vhe));

        other.load();
        assert!(fp_traps(vhe), "the other's registers are still on the CPU");
        use_fp(&mut other);
        assert_eq!(fake::with(|cpu| cpu.fp.clone()), FpRegs::ZERO);
        fake::with(|cpu| cpu.fp = fp_of(9));
        other.put();

        guest.vcpu.load();
        use_fp(&mut guest.vcpu);
        assert_eq!(fake::with(|cpu| cpu.fp.clone()), fp_of(3));
        guest.vcpu.put();
        other.load();
        use_fp(&mut other);
        assert_eq!(fake::with(|cpu| cpu.fp.clone()), fp_of(9));
    }
}

#[test]
fn fp_registers_that_were_not_used_are_not_saved() {
    let mut guest = Guest::new();
    fake::with(|cpu| cpu.fp = fp_of(5));
    guest.vcpu.put();
    guest.vcpu.load();
    let _ = guest.exit(class::FP << 26 | IL);
    let seen = fake::with(|cpu| cpu.fp.clone());
    assert_eq!(seen, FpRegs::ZERO, "what somebody else left was saved");
}

/// Turns the guest's interrupt controller on for its timers.
fn take_timers(guest: &mut Guest) {
    guest.store(0x0800_0000, 4, 2);
    let frame = 0x080a_0000 + 0x1_0000;
    guest.store(frame + 0x80, 4, u32::MAX.into());
    guest.store(frame + 0x100, 4, 1 << 27 | 1 << 30);
}

#[test]
fn a_timer_in_flight_is_active_while_its_vcpu_is_loaded() {
    let mut guest = Guest::new();
    take_timers(&mut guest);
    let _ = guest.interrupt(INTERRUPTS.physical_timer);
    // On, and its line is high.
    guest.set_reg(SysReg::CNTP_CTL_EL0, 0b101);
    take_log();
    guest.vcpu.put();
    let log = take_log();
    let at = |event| log.iter().position(|done| *done == event);
    let ended = at(Event::Write(icc::DIR_EL1, INTERRUPTS.physical_timer.into()));
    let silent = at(Event::Write(SysReg::CNTP_CTL_EL0.info().encoding.iss(), 0));
    assert!(ended.is_some() && silent < ended, "it would fire at once");
    assert_eq!(
        at(Event::Write(icc::DIR_EL1, INTERRUPTS.virtual_timer.into())),
        None
    );
    assert_eq!(lists(), [0; LISTS as usize]);

    guest.redistributor.write32(gicr::ISACTIVER0, 0);
    guest.vcpu.load();
    let active = guest.redistributor.read32(gicr::ISACTIVER0);
    assert_eq!(active, 1 << INTERRUPTS.physical_timer);
    let [first, ..] = lists();
    assert_eq!(first >> 61, 0b011, "pending, linked: {first:#x}");
    assert_eq!((first as u32, first >> 32 & 0x3ff), (30, 22));

    // The guest acknowledges and ends it: the hardware clears both.
    poke(ich::lr_el2(0), first & !(0b11 << 62));
    guest.redistributor.write32(gicr::ISACTIVER0, 0);
    guest.vcpu.put();
    guest.vcpu.load();
    assert_eq!(
        guest.redistributor.read32(gicr::ISACTIVER0),
        0,
        "it has ended"
    );
}

#[test]
fn load_makes_nothing_active_without_a_reason() {
    let mut guest = Guest::new();
    take_timers(&mut guest);
    guest.vcpu.put();
    take_log();
    guest.vcpu.load();
    guest.vcpu.put();
    assert_eq!(guest.redistributor.read32(gicr::ISACTIVER0), 0);
    let ended = take_log()
        .into_iter()
        .any(|event| matches!(event, Event::Write(icc::DIR_EL1, _)));
    assert!(!ended);
    assert_eq!(v3::highest_pending(), 0);
}

/// A timer that expires while its vCPU is not on a CPU: EL2 knows when, and it goes on at load.
#[test]
fn a_timer_is_known_while_its_vcpu_is_away() {
    for vhe in [false, true] {
        let mut guest = Guest::build(Build { vhe, ..USUAL });
        let offset = guest.reg(SysReg::RUN_CNTVOFF_EL2);
        let timers = [
            (SysReg::CNTV_CTL_EL0, SysReg::CNTV_CVAL_EL0, 5000 + offset),
            (SysReg::CNTP_CTL_EL0, SysReg::CNTP_CVAL_EL0, 5000),
        ];
        for (control, compare, due) in timers {
            // Off, on, on and masked, expired, expired and masked.
            for (value, wakes) in [(0, false), (1, true), (3, false), (5, true), (7, false)] {
                guest.set_reg(compare, 5000);
                guest.set_reg(control, value);
                guest.vcpu.put();
                let deadline = guest.vcpu.deadline();
                assert_eq!(deadline, wakes.then_some(due), "{control:?} {value} {vhe}");
                guest.vcpu.load();
                assert_eq!(guest.reg(compare), 5000);
                assert_eq!(guest.reg(control) & 3, value & 3);
            }
            guest.set_reg(control, 0);
        }
        for (control, compare, _) in timers {
            guest.set_reg(compare, 9000);
            guest.set_reg(control, 1);
        }
        guest.set_reg(SysReg::CNTP_CVAL_EL0, 10);
        guest.vcpu.put();
        assert_eq!(guest.vcpu.deadline(), Some(10), "the first of both");
    }
}

/// Siblings have one VMID: whoever runs on a CPU after another of them forgets what that one cached
/// there. What a vCPU itself forgets, it forgets wherever it ran: HCR_EL2.FB.
#[test]
fn a_sibling_that_ran_before_is_noticed_on_each_cpu() {
    let guest = Guest::new();
    let vm = guest.vcpu.vm();
    for (vcpu, met) in [(0, false), (0, false), (1, true), (1, false), (0, true)] {
        assert_eq!(vm.note_run(0, vcpu), met, "{vcpu}");
    }
    const FB: u64 = 1 << 9;
    assert_ne!(guest.reg(SysReg::RUN_HCR_EL2) & FB, 0);
}
