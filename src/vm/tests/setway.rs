//! Maintenance by set/way and trapped registers of stage 1.

use super::fixture::{
    Build, Guest, HCR_EL2, PC, RAM, USUAL, peek, poke, script, system_esr, take_log,
};
use crate::{
    cpu::{
        fake::{self, Event},
        switch::Next,
    },
    isa::{encoding::Encoding, gic::icc, sysreg::SysReg},
    vm::{exits, traps::hcr, vcpu::Exit},
};

const DC_ISW: Encoding = Encoding {
    op0: 1,
    op1: 0,
    crn: 7,
    crm: 6,
    op2: 2,
};
const DC_CISW: Encoding = Encoding { crm: 14, ..DC_ISW };
const ISR_EL1: u32 = Encoding::new(3, 0, 12, 1, 0).iss();

/// SCTLR_EL1 with MMU and data cache on, and with neither.
const ON: u64 = 0x30d0_0805;
const OFF: u64 = 0x30d0_0800;

/// Returns how many bytes were cleaned since the last call.
fn cleaned() -> u64 {
    let log = take_log();
    let sizes = log.iter().map(|event| match event {
        Event::Clean(_, size) => *size,
        _ => 0,
    });
    sizes.sum()
}

fn is_trapping() -> bool {
    peek(HCR_EL2) & hcr::TVM != 0
}

fn write_sctlr(guest: &mut Guest, value: u64) {
    guest.set_x(3, value);
    let _ = guest.msr(SysReg::SCTLR_EL1.info().encoding, 3);
    assert_eq!(guest.reg(SysReg::SCTLR_EL1), value);
}

#[test]
fn the_first_cleans_all_memory_and_the_caches_clean_when_they_change() {
    let mut guest = Guest::new();
    take_log();
    guest.set_reg(SysReg::SCTLR_EL1, ON);
    assert_eq!((cleaned(), is_trapping()), (0, false));
    let next = guest.msr(DC_CISW, 0);
    assert_eq!(next, Next::resume_all());
    assert_eq!(guest.pc(), PC + 4);
    assert_eq!((cleaned(), is_trapping()), (RAM, true));
    let _ = guest.msr(DC_ISW, 0);
    assert_eq!((cleaned(), is_trapping()), (0, true), "the second");

    write_sctlr(&mut guest, OFF);
    assert_eq!((cleaned(), is_trapping()), (RAM, true), "off");
    write_sctlr(&mut guest, OFF | 1);
    assert_eq!((cleaned(), is_trapping()), (0, true), "no change");
    write_sctlr(&mut guest, ON);
    assert_eq!(
        (cleaned(), is_trapping()),
        (RAM, false),
        "on: no more traps"
    );
    let _ = guest.msr(DC_CISW, 0);
    assert_eq!((cleaned(), is_trapping()), (RAM, true), "the next round");
    write_sctlr(&mut guest, ON);
    assert_eq!((cleaned(), is_trapping()), (0, false), "on all the time");
}

#[test]
fn a_trapped_register_of_stage_1_is_written_and_read_where_it_is() {
    let mut guest = Guest::new();
    let _ = guest.msr(DC_CISW, 0);
    for (value, reg) in (0x100..).zip([
        SysReg::TTBR0_EL1,
        SysReg::TTBR1_EL1,
        SysReg::TCR_EL1,
        SysReg::ESR_EL1,
        SysReg::FAR_EL1,
        SysReg::AFSR0_EL1,
        SysReg::AFSR1_EL1,
        SysReg::MAIR_EL1,
        SysReg::AMAIR_EL1,
        SysReg::CONTEXTIDR_EL1,
    ]) {
        let encoding = reg.info().encoding;
        guest.set_x(7, value);
        let next = guest.msr(encoding, 7);
        assert_eq!(next, Next::resume(&mut guest.vcpu.frame), "{reg:?}");
        assert_eq!(peek(encoding.iss()), value, "{reg:?} is on the CPU");
        // TRVM: the guest reads what the CPU has, not what memory had.
        poke(encoding.iss(), value + 1);
        let _ = guest.mrs(encoding, 8);
        assert_eq!(guest.vcpu.x(8), value + 1, "{reg:?}");
    }
}

#[test]
fn an_interrupt_comes_between_and_the_guest_waits_for_the_end() {
    let mut guest = Guest::build(Build {
        ram: 3 * RAM,
        ..USUAL
    });
    take_log();
    poke(ISR_EL1, 1 << 7);
    poke(icc::IAR1_EL1, 1023);
    script(|vcpu| {
        let esr = system_esr(DC_CISW, 0, false);
        exits::guest_synchronous(vcpu, esr)
    });
    assert_eq!(guest.vcpu.run(), Exit::Interrupted);
    assert_eq!(cleaned(), RAM, "one part");
    script(|_| panic!("the guest ran"));
    assert_eq!(guest.vcpu.run(), Exit::Interrupted);
    assert_eq!(cleaned(), RAM, "another");
    poke(ISR_EL1, 0);
    fake::with(|cpu| cpu.script.clear());
    assert_eq!(guest.vcpu.run(), Exit::Interrupted);
    assert_eq!(cleaned(), RAM, "the last");
    assert_eq!(guest.vcpu.run(), Exit::Interrupted);
    assert_eq!(cleaned(), 0);
    assert_eq!(guest.pc(), PC + 4);
}
