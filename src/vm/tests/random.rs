//! Random exits: EL2 answers every one, and only by what a guest may cause.

use super::fixture::*;
use crate::{
    cpu::{
        fake::{self, Event},
        switch::Next,
    },
    isa::{
        encoding::Encoding,
        esr::class,
        gic::{icc, ich},
        psci,
        sysreg::SysReg,
    },
    vm::{exits, fdt::VIRT, vcpu::Vcpu},
};
use std::collections::BTreeSet;

const ROUNDS: u32 = 200_000;

/// Puts random values where a guest could.
fn shuffle(guest: &mut Guest, seed: &mut u64) {
    for n in 0..31 {
        let value = random(seed);
        let short = value >> 60 == 0;
        guest.set_x(n, if short { value & 0xff } else { value });
    }
    const MODES: [u64; 4] = [0, 4, 5, 0x10];
    let bits = random(seed);
    guest.set_pstate(bits & 0xffff_ffe0 & !(1 << 4) | MODES[(bits >> 62) as usize]);
    guest.set_pc(random(seed));
    set_fault(random(seed), ipa(seed));
}

/// Returns an address anywhere, or near what is there.
fn ipa(seed: &mut u64) -> u64 {
    let (pick, at) = (random(seed) % 8, random(seed));
    match pick {
        0 => at >> 16,
        1 => at >> 24,
        2 => VIRT.uart.base + at % 0x1100,
        3 => VIRT.rtc.base + at % 0x1100,
        4 => 0x0800_0000 + at % 0x1_1000,
        5 => 0x0800_0000 + at % 0x1000,
        _ => 0x080a_0000 + at % 0x5_0000,
    }
}

fn syndrome(seed: &mut u64) -> u64 {
    const FREQUENT: [u64; 8] = [
        class::SYSTEM,
        class::SYSTEM,
        class::DATA_ABORT,
        class::DATA_ABORT,
        class::SMC,
        class::INSTRUCTION_ABORT,
        class::FP,
        class::WFX,
    ];
    let word = random(seed);
    let low = word & 0x3ff_ffff;
    match word >> 61 {
        0 | 1 => word,
        2 => FREQUENT[2] << 26 | low & !0x3f & !(1 << 7) | 1 << 24 | 0b111,
        _ => FREQUENT[(word >> 56 & 7) as usize] << 26 | low,
    }
}

/// Checks that an answer is one the vectors know, and that the guest is still one.
fn check(vcpu: &mut Vcpu, next: Next, what: u64) {
    let known =
        next.leaves() || next == Next::resume_all() || next == Next::resume(&mut vcpu.frame);
    assert!(known, "{what:#x}");
    let mode = vcpu.sysregs().pstate() & 0x1f;
    assert!(
        matches!(mode, 0 | 4 | 5 | 0x10),
        "mode {mode:#x} after {what:#x}"
    );
}

/// Returns the registers of EL2 that a guest's exits may change: where it goes on, whether its FP
/// instructions trap, its interrupts.
fn allowed() -> BTreeSet<u32> {
    let mut allowed = BTreeSet::from([ELR_EL2, SPSR_EL2, CPTR_EL2, ich::HCR_EL2]);
    allowed.extend((0..LISTS).map(ich::lr_el2));
    allowed
}

fn check_machine(allowed: &BTreeSet<u32>, what: u64) {
    for event in take_log() {
        match event {
            Event::Write(icc::DIR_EL1, intid) => {
                let own = [INTERRUPTS.virtual_timer, INTERRUPTS.physical_timer, 40];
                assert!(
                    own.map(u64::from).contains(&intid),
                    "{what:#x} ended {intid}"
                );
            }
            Event::Write(iss, _) if Encoding::from_iss(iss).op1 == 4 => {
                assert!(allowed.contains(&iss), "{what:#x} wrote {iss:#x}");
            }
            Event::Read(_) | Event::Write(..) => {}
            other => panic!("{what:#x} did {other:?}"),
        }
    }
}

/// Whether EL2 still runs the guest as it was set up: with stage 2 on.
fn check_controls(vhe: bool) {
    let hcr = peek(HCR_EL2);
    assert_eq!(
        (hcr & 1, hcr >> 27 & 1, hcr >> 34 & 1),
        (1, 0, u64::from(vhe))
    );
}

#[test]
fn every_syndrome_is_answered() {
    let mut seed = 0x0123_4567_89ab_cdef;
    let allowed = allowed();
    for vhe in [false, true] {
        let mut guest = Guest::build(Build {
            vhe,
            cpus: 2,
            ..USUAL
        });
        for _ in 0..ROUNDS / 2 {
            shuffle(&mut guest, &mut seed);
            take_log();
            let esr = syndrome(&mut seed);
            let next = guest.exit(esr);
            check(&mut guest.vcpu, next, esr);
            check_machine(&allowed, esr);
        }
        check_controls(vhe);
        assert!(fake::with(|cpu| cpu.ram.iter().all(|byte| *byte == 0)));
    }
}

#[test]
fn every_call_is_answered() {
    let mut seed = 0xfeed_f00d_1234_5678;
    let allowed = allowed();
    let mut guest = Guest::build(Build { cpus: 2, ..USUAL });
    for _ in 0..ROUNDS {
        shuffle(&mut guest, &mut seed);
        let word = random(&mut seed);
        let function = match word >> 62 {
            0 => word as u32,
            1 => 0x8000_0000 | word as u32 & 0x4f00_ffff,
            _ => psci::VERSION | word as u32 & 0x4000_001f,
        };
        guest.set_x(0, u64::from(function) | word & 0xff << 32);
        take_log();
        let esr = class::HVC << 26
            | IL
            | if word >> 60 & 3 == 0 {
                word & 0xffff
            } else {
                0
            };
        let next = exits::guest_hypercall(&mut guest.vcpu, esr);
        check(&mut guest.vcpu, next, function.into());
        check_machine(&allowed, function.into());
    }
    check_controls(false);
}

#[test]
fn every_address_is_answered() {
    let mut seed = 0x1bad_b002_dead_beef;
    let allowed = allowed();
    let mut guest = Guest::build(Build { cpus: 2, ..USUAL });
    let mut leaves = 0;
    for round in 0..ROUNDS {
        shuffle(&mut guest, &mut seed);
        let (at, bits) = (ipa(&mut seed), random(&mut seed));
        let mut access = if bits & 1 == 0 {
            load(4, 0)
        } else {
            store(4, 0)
        };
        access.size = 1 << (bits >> 8 & 3);
        access.rt = (bits >> 16 & 31) as u8;
        access.sign_extend = bits >> 24 & 1 != 0;
        access.wide = bits >> 25 & 1 != 0;
        let aligned = at & !(u64::from(access.size) - 1);
        take_log();
        let next = guest.access(if bits >> 30 & 3 == 0 { at } else { aligned }, access);
        check(&mut guest.vcpu, next, at);
        leaves += u32::from(next.leaves());
        check_machine(&allowed, at);
        match round % 64 {
            0 => {
                let _ = guest.interrupt(INTERRUPTS.virtual_timer);
            }
            1 => {
                let _ = guest.interrupt(INTERRUPTS.maintenance);
            }
            2 => {
                fake::with(|cpu| cpu.port.typed.push_back(bits as u8));
                let _ = guest.interrupt(40);
            }
            3 => hardware_ends(bits),
            4 => {
                guest.vcpu.put();
                assert_eq!(lists().map(|value| value >> 62), [0; LISTS as usize]);
                guest.vcpu.load();
            }
            _ => {}
        }
    }
    assert_eq!(leaves, 0, "no access ends a guest");
    check_controls(false);
    assert!(guest.reg(SysReg::ESR_EL1) != 0, "some met nothing");
}

/// The guest acknowledges what a list register holds, or ends it.
fn hardware_ends(bits: u64) {
    let n = (bits >> 40) as u8 % LISTS;
    let value = peek(ich::lr_el2(n));
    let next = if value >> 62 == 0b01 && bits >> 50 & 1 == 0 {
        0b10 << 62
    } else {
        0
    };
    poke(ich::lr_el2(n), value & !(0b11 << 62) | next);
}
