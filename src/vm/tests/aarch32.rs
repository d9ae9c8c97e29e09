//! A guest whose EL1 is AArch32, and one with AArch32 at EL0.

mod access;
mod inject;

use super::fixture::*;
use crate::{
    cpu::{
        fake::{self, Event},
        switch::Next,
    },
    isa::{
        aarch32::mode,
        encoding::Encoding,
        esr::class,
        sysreg::{ALL, Class, SysReg},
    },
    vm::{
        aarch32::guest_aarch32,
        smccc::Start,
        vcpu::{Exit, Vcpu},
    },
};

const AARCH32: Build = Build {
    aarch32: true,
    cpus: 2,
    ..USUAL
};
/// An address of code.
const AT: u64 = 0x4001_2340;
const SVC: u64 = 0x1d3;
const T: u64 = 1 << 5;
const Z: u64 = 1 << 30;
/// Always.
const AL: u64 = 1 << 24 | 0xe << 20;
/// If equal.
const EQ: u64 = 1 << 24;

fn new(build: Build) -> Guest {
    let mut guest = Guest::build(build);
    guest.set_pc(AT);
    guest.set_pstate(SVC);
    guest
}

/// Exits, as the vectors bring it.
fn exit(guest: &mut Guest, class: u64, iss: u64) -> Next {
    guest_aarch32(&mut guest.vcpu, class << 26 | IL | iss)
}

/// Returns the ISS of an MCR or MRC but for the condition.
fn word(opc1: u64, crn: u64, crm: u64, opc2: u64, rt: u64, read: bool) -> u64 {
    opc2 << 17 | opc1 << 14 | crn << 10 | rt << 5 | crm << 1 | u64::from(read)
}

/// Returns the ISS of an MCRR or MRRC but for the condition.
fn pair(opc1: u64, crm: u64, rt: u64, rt2: u64, read: bool) -> u64 {
    opc1 << 16 | rt2 << 10 | rt << 5 | crm << 1 | u64::from(read)
}

#[test]
fn el1_is_aarch32_for_that_guest_alone() {
    const RW: u64 = 1 << 31;
    for vhe in [false, true] {
        for aarch32 in [false, true] {
            let guest = Guest::build(Build {
                vhe,
                aarch32,
                ..USUAL
            });
            assert_eq!(guest.vm.is_aarch32(), aarch32);
            assert_eq!(peek(HCR_EL2) & RW == 0, aarch32);
        }
    }
}

/// The registers that only an AArch32 EL1 has are moved for such guests, in both host modes, once
/// each way; for others of the same machine they are left alone.
#[test]
fn registers_of_aarch32_are_moved_for_its_guests_only() {
    let of_aarch32: Vec<u32> = ALL
        .into_iter()
        .filter(|reg| matches!(reg.class(), Class::Deferred32))
        .map(|reg| reg.info().encoding.iss())
        .collect();
    let touched = |guest: &mut Guest| {
        take_log();
        guest.vcpu.put();
        guest.vcpu.load();
        let log = take_log();
        of_aarch32
            .iter()
            .map(|iss| {
                let of = |event: &&Event| matches!(event, Event::Read(i) | Event::Write(i, _) if i == iss);
                log.iter().filter(of).count()
            })
            .collect::<Vec<_>>()
    };
    for vhe in [false, true] {
        let mut guest = Guest::build(Build { vhe, ..AARCH32 });
        assert_eq!(touched(&mut guest), vec![2; of_aarch32.len()], "vhe={vhe}");
        // EL1 has AArch32 here too, but the guest's is AArch64.
        fake::with(|cpu| cpu.regs.insert(Encoding::new(3, 0, 0, 4, 0).iss(), 0x22));
        let mut guest = Guest::build(Build { vhe, ..USUAL });
        assert_eq!(touched(&mut guest), vec![0; of_aarch32.len()], "vhe={vhe}");
    }
}

#[test]
fn an_exit_without_a_switch_moves_none_of_them() {
    let mut guest = new(AARCH32);
    take_log();
    let actlr = AL | word(0, 1, 0, 1, 3, true);
    let _ = exit(&mut guest, class::CP15_32, actlr);
    let _ = exit(&mut guest, class::HVC_32, 0);
    for event in take_log() {
        let (Event::Read(iss) | Event::Write(iss, _)) = event else {
            continue;
        };
        assert!(!is_deferred(iss), "{event:?}");
        let deferred32 = ALL
            .into_iter()
            .any(|reg| reg.class() == Class::Deferred32 && reg.info().encoding.iss() == iss);
        assert!(!deferred32, "{event:?}");
    }
}

#[test]
fn it_starts_in_supervisor_mode_as_the_boot_protocol_says() {
    let guest = Guest::build(AARCH32);
    let mut vcpu = guest.another(1);
    vcpu.start_at(Start {
        entry: 0x4000_8000,
        context: 0,
        rest: [0xffff_ffff, 0x4800_0000],
    });
    assert_eq!(vcpu.sysregs().pc(), 0x4000_8000);
    assert_eq!(vcpu.sysregs().pstate(), SVC);
    let registers = [0, 1, 2, 3].map(|n| vcpu.x(n));
    assert_eq!(registers, [0, 0xffff_ffff, 0x4800_0000, 0]);
    let sctlr = vcpu.read_sys_reg(SysReg::SCTLR_EL1);
    // MMU and caches off, vectors low, little-endian, exceptions in A32.
    assert_eq!(sctlr & 0x4200_3005, 0);
    assert_eq!(vcpu.read_sys_reg(SysReg::FPEXC32_EL2) >> 30 & 1, 0, "EN");
}

#[test]
fn cpu_on_with_bit_0_starts_in_t32() {
    const CPU_ON: u64 = 0x8400_0003;
    for (entry, pc, pstate) in [
        (0x4000_1000, 0x4000_1000, SVC),
        (0x4000_1003, 0x4000_1002, SVC | T),
    ] {
        let mut guest = new(AARCH32);
        for (n, value) in (0..).zip([CPU_ON, 1, entry, 0x77]) {
            // What AArch32 leaves above is of no account.
            guest.set_x(n, value | 0xabcd << 32);
        }
        let _ = exit(&mut guest, class::HVC_32, 0);
        assert_eq!(guest.vcpu.x(0), 0);
        assert_eq!(guest.pc(), AT, "an HVC returns to what follows");
        let mut vcpu = guest.another(1);
        vcpu.start_at(guest.vm.switches[1].arrive().unwrap());
        assert_eq!((vcpu.sysregs().pc(), vcpu.sysregs().pstate()), (pc, pstate));
        assert_eq!(vcpu.x(0), 0x77);
    }
}

#[test]
fn functions_of_64_bits_do_not_exist() {
    for (function, answer) in [
        (0x8400_0000, 0x1_0001),
        (0xc400_0003, u64::MAX),
        (0xc400_000e, u64::MAX),
    ] {
        let mut guest = new(AARCH32);
        guest.set_x(0, function);
        let _ = exit(&mut guest, class::HVC_32, 0);
        assert_eq!(guest.vcpu.x(0), answer, "{function:#x}");
    }
}

/// An SMC is done if its condition held, which the syndrome says, and skipped in any case.
#[test]
fn an_smc_may_have_failed_its_condition() {
    const UNSURE: u64 = 1 << 19;
    for (iss, flags, done) in [
        (EQ, 0, true),
        (EQ | UNSURE, Z, true),
        (EQ | UNSURE, 0, false),
        (AL | UNSURE, 0, true),
    ] {
        let mut guest = new(AARCH32);
        guest.set_pstate(SVC | flags);
        guest.set_x(0, 0x8400_0000);
        let _ = exit(&mut guest, class::SMC_32, iss);
        assert_eq!(guest.vcpu.x(0) == 0x1_0001, done, "{iss:#x}");
        assert_eq!(guest.pc(), AT + 4);
    }
}

#[test]
fn a_wait_that_failed_its_condition_is_over() {
    for (build, pstate) in [(AARCH32, SVC), (USUAL, mode::USER)] {
        for (flags, leaves) in [(0, false), (Z, true)] {
            let mut guest = new(build);
            guest.set_pstate(pstate | flags);
            let next = guest.exit(class::WFX << 26 | IL | EQ);
            assert_eq!(next.leaves(), leaves);
            assert_eq!(guest.pc(), AT + 4);
        }
    }
}

/// Below an AArch64 EL1 there may be AArch32 at EL0.
#[test]
fn an_access_of_el0_that_failed_its_condition_is_skipped() {
    let pmcr = word(0, 9, 12, 0, 3, true);
    for (flags, skipped) in [(0, true), (Z, false)] {
        let mut guest = new(USUAL);
        guest.set_reg(SysReg::VBAR_EL1, 0x8000);
        guest.set_pstate(mode::USER | flags);
        guest.set_x(3, 0x55);
        let _ = guest.exit(class::CP15_32 << 26 | IL | EQ | pmcr);
        assert_eq!(guest.vcpu.x(3), 0x55);
        // To EL1 from AArch32.
        assert_eq!(guest.pc(), if skipped { AT + 4 } else { 0x8600 });
    }
    // In T32 the IT block may say it.
    let mut guest = new(USUAL);
    guest.set_pstate(mode::USER | T | 0b00_0010 << 10);
    let _ = guest.exit(class::CP15_32 << 26 | IL | pmcr);
    assert_eq!((guest.pc(), guest.pstate()), (AT + 4, mode::USER | T));
}

#[test]
fn el0_reads_what_debug_there_is_and_no_more() {
    let mut guest = new(USUAL);
    guest.set_pstate(mode::USER);
    let _ = guest.exit(class::CP14_32 << 26 | IL | AL | word(0, 0, 0, 0, 3, true));
    // Four watchpoints, six breakpoints, two for contexts, version 6.
    assert_eq!(guest.vcpu.x(3), 0x3516_8000);
    let _ = guest.exit(class::CP14_32 << 26 | IL | AL | word(0, 0, 2, 2, 3, true));
    assert_eq!(guest.pc(), guest.reg(SysReg::VBAR_EL1) + 0x600);
}

/// A register that the instruction named, and that AArch64 has under another number.
#[test]
fn devices_are_reached_from_every_register_of_a_mode() {
    const SCRATCH: u64 = crate::vm::fdt::VIRT.uart.base + 0x24;
    for (mode, raw, x) in [
        (mode::SUPERVISOR, 14, 18),
        (mode::SUPERVISOR, 18, 18),
        (mode::SUPERVISOR, 3, 3),
        (mode::FIQ, 9, 25),
        (mode::FIQ, 25, 25),
        (mode::SYSTEM, 14, 14),
        (mode::ABORT, 13, 21),
    ] {
        let mut guest = new(AARCH32);
        guest.set_pstate(0x1c0 | mode);
        guest.set_x(x, 0xffff_ffff_0000_1234);
        set_fault(SCRATCH, SCRATCH);
        let next = guest_aarch32(&mut guest.vcpu, abort_esr(store(4, raw)));
        assert!(!next.leaves());
        guest.set_x(x, 0);
        let _ = guest_aarch32(&mut guest.vcpu, abort_esr(load(4, raw)));
        assert_eq!(guest.vcpu.x(x), 0x1234, "{mode:#b} r{raw}");
        assert_eq!(guest.pc(), AT + 8);
    }
}

#[test]
fn fp_is_given_at_its_first_use_with_fpexc() {
    const EN: u64 = 1 << 30;
    let fpexc = SysReg::FPEXC32_EL2.info().encoding.iss();
    let mut guest = new(AARCH32);
    poke(fpexc, EN);
    let _ = exit(&mut guest, class::FP, AL);
    assert_eq!(peek(fpexc), 0x700, "the guest's own, off");
    guest.set_reg(SysReg::FPEXC32_EL2, EN | 0x700);
    guest.vcpu.put();
    assert_eq!(peek(fpexc), EN, "so that the next use traps to EL2");
    assert_eq!(guest.reg(SysReg::FPEXC32_EL2), EN | 0x700);
}

/// What can't be answered is UNDEFINED, and nothing panics or ends the VM.
#[test]
fn every_syndrome_has_an_answer() {
    let mut seed = 0x1234_5678_9abc_def1_u64;
    let mut guest = new(AARCH32);
    // A wait and what ends the VM leave; so does what stops a guest.
    for n in 0..20_000 {
        let random = random(&mut seed);
        let class = [
            class::CP15_32,
            class::CP15_64,
            class::CP14_32,
            class::CP14_LOAD_STORE,
            class::VMRS,
            class::CP14_64,
            class::DATA_ABORT,
            class::INSTRUCTION_ABORT,
            random >> 32 & 0x3f,
        ][n % 9];
        guest.set_x(0, 0x8400_0000);
        set_fault(random >> 8 & 0xffff_ffff, random >> 3 & 0xfff_f000);
        guest.set_pc(AT);
        guest.set_pstate(SVC | random >> 40 & T);
        let next = guest_aarch32(&mut guest.vcpu, class << 26 | random & 0x3ff_ffff);
        // A wait leaves, and so does what concerns who has the debug registers.
        let may_leave = matches!(class, class::WFX | class::CP14_32);
        assert!(may_leave || !next.leaves(), "{class:#x} {random:#x}");
        assert!(guest.pc() <= 0xffff_ffff);
        assert_ne!(guest.pstate() & 0x10, 0, "{class:#x} {random:#x}");
    }
}

#[test]
fn a_script_may_run_it() {
    let mut guest = new(AARCH32);
    script(|vcpu: &mut Vcpu| {
        vcpu.frame.write(0, 0x8400_0008);
        guest_aarch32(vcpu, class::HVC_32 << 26 | IL)
    });
    assert_eq!(guest.vcpu.run(), Exit::SystemOff);
}
