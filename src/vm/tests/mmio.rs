//! Loads and stores to devices, and to where none is.

use super::fixture::*;
use crate::{
    cpu::{fake, switch::Next},
    isa::{
        esr::{Access, class},
        sysreg::SysReg,
    },
    vm::fdt::VIRT,
};
use core::sync::atomic::Ordering;

const UART: u64 = VIRT.uart.base;
const UART_IBRD: u64 = UART + 0x24;
const UART_IMSC: u64 = UART + 0x38;
const GICD: u64 = 0x0800_0000;
/// Priorities of INTIDs 32 to 35.
const GICD_IPRIORITYR8: u64 = GICD + 0x420;
/// The route of INTID 33: eight bytes.
const GICD_IROUTER33: u64 = GICD + 0x6108;
const GICR: u64 = 0x080a_0000;
const HOLE: u64 = 0x0a00_0000;

/// Loads with sign extension.
fn signed(size: u8, wide: bool) -> Access {
    Access {
        sign_extend: true,
        wide,
        ..load(size, 5)
    }
}

fn loaded(guest: &mut Guest, ipa: u64, access: Access) -> u64 {
    guest.set_x(access.rt, 0x5555_5555_5555_5555);
    let _ = guest.access(ipa, access);
    guest.vcpu.x(access.rt)
}

#[test]
fn stores_of_every_size_are_cut_to_it() {
    let mut guest = Guest::new();
    guest.store(UART_IBRD, 2, 0xffff_ffff_ffff_80f5);
    assert_eq!(guest.load(UART_IBRD, 4), 0x80f5);
    guest.store(GICD_IPRIORITYR8, 4, 0x1234_5678_f8f0_e8e0);
    assert_eq!(guest.load(GICD_IPRIORITYR8, 4), 0xf8f0_e8e0);
    guest.store(GICD_IPRIORITYR8 + 2, 1, 0xffff_ff10);
    assert_eq!(guest.load(GICD_IPRIORITYR8, 4), 0xf810_e8e0);
    guest.store(GICD_IROUTER33, 8, 0xff_0001_0203);
    assert_eq!(guest.load(GICD_IROUTER33, 8), 0xff_0001_0203);
}

#[test]
fn loads_extend_to_their_register() {
    let mut guest = Guest::new();
    guest.store(UART_IBRD, 4, 0x80f5);
    guest.store(UART_IMSC, 8, u64::MAX << 32 | 0x7f0);
    guest.store(GICD_IPRIORITYR8, 4, 0xf8f8_f8f8);
    for (ipa, access, value) in [
        (UART_IBRD, load(1, 5), 0xf5),
        (UART_IBRD, load(2, 5), 0x80f5),
        (UART_IMSC, load(8, 5), 0x7f0),
        (UART_IBRD, signed(1, true), 0xffff_ffff_ffff_fff5),
        (UART_IBRD, signed(1, false), 0xffff_fff5),
        (UART_IBRD, signed(2, true), 0xffff_ffff_ffff_80f5),
        (UART_IBRD, signed(2, false), 0xffff_80f5),
        (GICD_IPRIORITYR8, load(4, 5), 0xf8f8_f8f8),
        (GICD_IPRIORITYR8, signed(4, true), 0xffff_ffff_f8f8_f8f8),
        (GICD_IPRIORITYR8, signed(1, false), 0xffff_fff8),
    ] {
        assert_eq!(loaded(&mut guest, ipa, access), value, "{access:?}");
    }
}

#[test]
fn the_answer_says_which_register_a_load_changed() {
    let mut guest = Guest::new();
    for rt in 0..32 {
        guest.set_pc(PC);
        guest.store(UART_IMSC, 4, 0x50);
        let next = guest.access(UART_IMSC, load(4, rt));
        let expected = if (19..30).contains(&rt) {
            Next::resume_all()
        } else {
            Next::resume(&mut guest.vcpu.frame)
        };
        assert_eq!(next, expected, "load to x{rt}");
        assert_eq!(guest.vcpu.x(rt), if rt == 31 { 0 } else { 0x50 });

        guest.set_x(rt, 0x10);
        let next = guest.access(UART_IMSC, store(4, rt));
        assert_eq!(next, Next::resume(&mut guest.vcpu.frame), "store of x{rt}");
        let stored = guest.load(UART_IMSC, 4);
        assert_eq!(stored, if rt == 31 { 0 } else { 0x10 }, "x{rt}");
        assert_eq!(guest.pc(), PC + 4 * 4);
    }
}

#[test]
fn what_is_sent_arrives() {
    let mut guest = Guest::new();
    for byte in *b"hello\n" {
        guest.store(UART, 1, byte.into());
    }
    assert_eq!(fake::with(|cpu| cpu.port.sent.clone()), b"hello\n");
}

#[test]
fn the_clock_runs_by_the_counter() {
    let mut guest = Guest::new();
    let rtc = VIRT.rtc.base;
    assert_eq!(guest.load(rtc, 4), 0);
    set_count(5 * FREQUENCY + FREQUENCY / 2);
    assert_eq!(guest.load(rtc, 4), 5);
    guest.store(rtc + 8, 4, 1000);
    set_count(7 * FREQUENCY);
    assert_eq!(guest.load(rtc, 4), 1002);
}

#[test]
fn each_vcpu_has_a_redistributor_and_no_more() {
    let mut guest = Guest::build(Build { cpus: 2, ..USUAL });
    let processor = |guest: &mut Guest, n: u64| guest.load(GICR + n * 0x2_0000 + 8, 8);
    assert_eq!(processor(&mut guest, 0) >> 32, 0);
    assert_eq!(processor(&mut guest, 1) >> 32, 1);
    assert_eq!(processor(&mut guest, 1) >> 4 & 1, 1, "the last");
    let _ = guest.access(GICR + 2 * 0x2_0000 + 8, load(8, 9));
    assert_eq!(guest.reg(SysReg::ESR_EL1), 0x25 << 26 | IL | 0x10);
}

#[test]
fn an_abort_is_all_that_holes_and_misaligned_accesses_give() {
    for (ipa, access) in [
        (HOLE, load(4, 5)),
        (HOLE, store(8, 5)),
        (0, load(1, 5)),
        (0xffff_ffff_f000, load(8, 5)),
        (UART - 1, load(1, 5)),
        (UART + 0x1000, load(4, 5)),
        (GICD + 0x1_0000, load(4, 5)),
        (UART + 2, load(4, 5)),
        (GICD + 4, store(8, 5)),
        // RAM is mapped; an exit for it means that it could not be reached.
        (VIRT.ram.as_u64(), load(8, 5)),
    ] {
        let mut guest = Guest::new();
        guest.set_reg(SysReg::VBAR_EL1, 0x8000);
        guest.set_x(5, 0x77);
        let next = guest.access(ipa, access);
        assert_eq!(next, Next::resume(&mut guest.vcpu.frame));
        assert_eq!(guest.pc(), 0x8200, "{ipa:#x} {access:?}");
        assert_eq!(guest.reg(SysReg::ELR_EL1), PC, "not skipped");
        let wnr = u64::from(access.write) << 6;
        assert_eq!(guest.reg(SysReg::ESR_EL1), 0x25 << 26 | IL | wnr | 0x10);
        let far = 0xffff_0000_1234_5000 | ipa & 0xfff;
        assert_eq!(guest.reg(SysReg::FAR_EL1), far, "the virtual address");
        assert_eq!(guest.vcpu.x(5), 0x77, "nothing was loaded");
        assert_eq!(guest.vm.counters.aborts.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn an_access_that_can_not_be_emulated_is_counted_once() {
    let mut guest = Guest::new();
    set_fault(UART, UART);
    let _ = guest.exit(class::DATA_ABORT << 26 | IL | 0b111);
    assert_eq!(guest.vm.counters.aborts.load(Ordering::Relaxed), 1);
    assert_eq!(guest.reg(SysReg::ESR_EL1), 0x25 << 26 | IL | 0x10);
    let lines = take_lines();
    assert!(
        lines[0].contains("can't be read was used on the device"),
        "{lines:?}"
    );
}

#[test]
fn a_short_instruction_is_skipped_by_two() {
    let mut guest = Guest::new();
    guest.set_pstate(1 << 4 | 1 << 5);
    set_fault(UART_IMSC, UART_IMSC);
    let _ = guest.exit(abort_esr(load(4, 2)) & !IL);
    assert_eq!(guest.pc(), PC + 2);
}
