//! Trapped system registers.

use super::fixture::*;
use crate::{
    cpu::{fake::Event, switch::Next},
    isa::{
        encoding::Encoding,
        features::IdReg,
        sysreg::{SysReg, TABLE},
    },
};
use core::sync::atomic::Ordering;

const OSLAR: Encoding = Encoding::new(2, 0, 1, 0, 4);
const OSLSR: Encoding = Encoding::new(2, 0, 1, 1, 4);
const ACTLR: Encoding = Encoding::new(3, 0, 1, 0, 1);

fn read(guest: &mut Guest, encoding: Encoding) -> Option<u64> {
    guest.set_pc(PC);
    guest.set_x(3, 0xdead);
    let next = guest.mrs(encoding, 3);
    assert_eq!(next, Next::resume(&mut guest.vcpu.frame));
    (guest.pc() == PC + 4).then(|| guest.vcpu.x(3))
}

fn write(guest: &mut Guest, encoding: Encoding, value: u64) -> bool {
    guest.set_pc(PC);
    guest.set_x(3, value);
    let next = guest.msr(encoding, 3);
    // Who has the debug registers changes with the lock: the CPU's loop sees to that.
    let leaves = encoding == OSLAR && guest.pc() != PC;
    assert!(leaves || next == Next::resume(&mut guest.vcpu.frame));
    assert_eq!(guest.vcpu.x(3), value);
    guest.pc() == PC + 4
}

#[test]
fn id_registers_show_what_a_guest_may_have() {
    let mut guest = Guest::new();
    for (reg, value) in [
        (IdReg::ID_AA64PFR0, 0x0111_0012),
        (IdReg::ID_AA64PFR1, 0x21),
        (IdReg::ID_AA64DFR0, 0xf0_1030_5006),
        (IdReg::ID_AA64ISAR1, 0x10),
        (IdReg::ID_AA64MMFR0, 0x20),
        (IdReg::ID_AA64MMFR1, 0x10_0000),
        (IdReg::ID_AA64MMFR2, 0x1_0000),
        (IdReg::ID_AA64ZFR0, 0),
    ] {
        let shown = read(&mut guest, reg.encoding());
        assert_eq!(shown, Some(value), "{reg:?}: {shown:x?}");
    }
    // Unallocated: reads as zero, all of the space.
    for crm in 1..8 {
        for op2 in 0..8 {
            let encoding = Encoding::new(3, 0, 0, crm, op2);
            assert!(read(&mut guest, encoding).is_some(), "{encoding:?}");
            assert!(!write(&mut guest, encoding, 0), "{encoding:?} is read-only");
        }
    }
    assert_eq!(read(&mut guest, Encoding::new(3, 0, 0, 7, 7)), Some(0));
    assert_eq!(read(&mut guest, Encoding::new(3, 0, 0, 0, 1)), None);
}

#[test]
fn the_answer_says_which_registers_changed() {
    let mut guest = Guest::new();
    let pfr0 = IdReg::ID_AA64PFR0.encoding();
    for rt in 0..32 {
        guest.set_x(rt, 0x5555);
        let next = guest.mrs(pfr0, rt);
        let expected = if (19..30).contains(&rt) {
            Next::resume_all()
        } else {
            Next::resume(&mut guest.vcpu.frame)
        };
        assert_eq!(next, expected, "x{rt}");
        let value = guest.vcpu.x(rt);
        assert_eq!(value == 0, rt == 31, "x{rt} holds {value:#x}");
        assert_ne!(value, 0x5555);
    }
}

#[test]
fn xzr_is_written_as_zero() {
    let mut guest = Guest::new();
    assert!(write(&mut guest, ACTLR, 9));
    let _ = guest.msr(ACTLR, 31);
    assert_eq!(read(&mut guest, ACTLR), Some(0));
}

#[test]
fn actlr_is_memory() {
    let mut guest = Guest::new();
    take_log();
    assert!(write(&mut guest, ACTLR, 0x5a));
    assert_eq!(read(&mut guest, ACTLR), Some(0x5a));
    let touched = take_log().into_iter().any(
        |event| matches!(event, Event::Read(iss) | Event::Write(iss, _) if iss == ACTLR.iss()),
    );
    assert!(!touched, "the CPU's own is not the guest's");
}

#[test]
fn the_os_lock_follows_its_access_register() {
    let mut guest = Guest::new();
    assert_eq!(read(&mut guest, OSLSR), Some(0xa), "locked at reset");
    assert!(write(&mut guest, OSLAR, 0));
    assert_eq!(read(&mut guest, OSLSR), Some(0x8));
    assert!(write(&mut guest, OSLAR, u64::MAX));
    assert_eq!(read(&mut guest, OSLSR), Some(0xa));
    assert!(!write(&mut guest, OSLSR, 0), "read-only");
    assert_eq!(read(&mut guest, OSLAR), None, "write-only");
    assert_eq!(read(&mut guest, OSLSR), Some(0xa));
}

#[test]
fn there_are_as_many_breakpoints_as_the_id_register_says() {
    let mut guest = Guest::new();
    for (op2, count) in [(4, 6), (5, 6), (6, 4), (7, 4)] {
        for crm in 0..16 {
            let encoding = Encoding::new(2, 0, 0, crm, op2);
            let value = 0x100 + (u64::from(crm) << 16);
            assert_eq!(
                write(&mut guest, encoding, value),
                crm < count,
                "{encoding:?}"
            );
            let expected = (crm < count).then_some(value);
            assert_eq!(read(&mut guest, encoding), expected, "{encoding:?}");
        }
    }
}

#[test]
fn debug_registers_answer_as_without_a_debugger() {
    let mut guest = Guest::new();
    for (encoding, value) in [
        (Encoding::new(2, 0, 0, 2, 2), 0x8000),
        (Encoding::new(2, 0, 0, 2, 0), 0x4000_0000),
    ] {
        assert!(write(&mut guest, encoding, value));
        assert_eq!(read(&mut guest, encoding), Some(value), "{encoding:?}");
    }
    for (encoding, value) in [
        (Encoding::new(2, 0, 7, 8, 6), 0xff),
        (Encoding::new(2, 0, 7, 9, 6), 0),
        (Encoding::new(2, 0, 1, 3, 4), 0),
        (Encoding::new(2, 3, 0, 4, 0), 0),
    ] {
        assert!(write(&mut guest, encoding, u64::MAX));
        assert_eq!(read(&mut guest, encoding), Some(value), "{encoding:?}");
    }
    for encoding in [
        Encoding::new(2, 0, 7, 14, 6),
        Encoding::new(2, 0, 1, 0, 0),
        Encoding::new(2, 3, 0, 1, 0),
    ] {
        assert!(!write(&mut guest, encoding, 0), "{encoding:?} is read-only");
        assert_eq!(read(&mut guest, encoding), Some(0), "{encoding:?}");
    }
}

#[test]
fn registers_of_el2_are_no_guests() {
    for vhe in [false, true] {
        let mut guest = Guest::build(Build { vhe, ..USUAL });
        for row in TABLE.iter().filter(|row| row.encoding.op1 >= 4) {
            take_log();
            assert_eq!(read(&mut guest, row.encoding), None, "{row:?}");
            assert!(!write(&mut guest, row.encoding, 0), "{row:?}");
            let own = row.encoding.iss();
            // The hypervisor's own hold the guest's PC and PSTATE, which the exception changes.
            if [ELR_EL2, SPSR_EL2].contains(&own) {
                continue;
            }
            let written = take_log()
                .into_iter()
                .any(|event| matches!(event, Event::Write(iss, _) if iss == own));
            assert!(!written, "{row:?}");
        }
    }
}

#[test]
fn what_is_not_there_is_undefined_and_counted() {
    let mut guest = Guest::new();
    guest.set_reg(SysReg::VBAR_EL1, 0x8000);
    // PMCR_EL0, ZCR_EL1, GMID_EL1, SCXTNUM_EL1, an implementation defined one, LORC_EL1.
    let absent = [
        (3, 3, 9, 12, 0),
        (3, 0, 1, 2, 0),
        (3, 1, 0, 0, 4),
        (3, 0, 13, 0, 7),
        (3, 0, 15, 2, 1),
        (3, 0, 10, 4, 3),
    ];
    for (op0, op1, crn, crm, op2) in absent {
        let encoding = Encoding::new(op0, op1, crn, crm, op2);
        assert_eq!(read(&mut guest, encoding), None);
        assert_eq!(guest.pc(), 0x8200, "the vector, {encoding:?}");
        assert_eq!(guest.reg(SysReg::ESR_EL1), IL);
        assert_eq!(guest.reg(SysReg::ELR_EL1), PC, "the instruction itself");
        assert_eq!(guest.vcpu.x(3), 0xdead, "nothing was read");
        assert!(!write(&mut guest, encoding, 0));
    }
    let counted = guest.vm.counters.undefined.load(Ordering::Relaxed);
    assert_eq!(counted, 2 * absent.len() as u64);
}
