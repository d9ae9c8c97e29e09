//! Exceptions given to the guest, against the pseudocode of the Arm ARM.

use super::fixture::*;
use crate::{
    cpu::switch::Next,
    isa::{esr::class, sysreg::SysReg},
};

const VBAR: u64 = 0xffff_8000_1000_0000;
const SPAN: u64 = 1 << 23;
const DSSBS: u64 = 1 << 44;
const EVERY_MODE: [(u64, u64); 4] = [
    (0b0_0000, 0x400),
    (0b0_0100, 0x000),
    (0b0_0101, 0x200),
    (0b1_0000, 0x600),
];

/// What `AArch64.TakeException` leaves of PSTATE, field by field.
fn entered(old: u64, sctlr: u64, pan: bool, mte: bool) -> u64 {
    let bit = |n: u32| old >> n & 1;
    let mut new = 0b0101 | 0b1111 << 6;
    for flag in 28..32 {
        new |= bit(flag) << flag;
    }
    // DIT and PAN are left as they were; SPAN clear sets the latter.
    new |= bit(24) << 24 | bit(22) << 22;
    if pan && sctlr & SPAN == 0 {
        new |= 1 << 22;
    }
    new |= u64::from(sctlr & DSSBS != 0) << 12;
    new |= u64::from(mte) << 25;
    new
}

/// Has the guest execute something UNDEFINED.
fn undefined(guest: &mut Guest) {
    let next = guest.exit(class::UNKNOWN << 26);
    assert_eq!(next, Next::resume(&mut guest.vcpu.frame));
}

#[test]
fn undefined_goes_to_the_vector_of_where_it_came_from() {
    for vhe in [false, true] {
        for (mode, offset) in EVERY_MODE {
            let mut guest = Guest::build(Build { vhe, ..USUAL });
            let old = 0x6020_0c00 | mode;
            guest.set_reg(SysReg::VBAR_EL1, VBAR);
            guest.set_reg(SysReg::SCTLR_EL1, SPAN);
            guest.set_reg(SysReg::FAR_EL1, 0x1234);
            guest.set_pstate(old);
            undefined(&mut guest);
            assert_eq!(guest.pc(), VBAR + offset, "{mode:#b}");
            assert_eq!(guest.reg(SysReg::ELR_EL1), PC);
            assert_eq!(guest.reg(SysReg::SPSR_EL1), old);
            assert_eq!(guest.reg(SysReg::ESR_EL1), IL, "EC 0, IL whatever it was");
            assert_eq!(guest.reg(SysReg::FAR_EL1), 0x1234, "kept");
            assert_eq!(guest.pstate(), 0x6200_03c5, "TCO, as the CPU has MTE");
        }
    }
}

#[test]
fn pstate_is_as_the_pseudocode_leaves_it() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for plain in [false, true] {
        let mut guest = Guest::build(Build { plain, ..USUAL });
        for _ in 0..2000 {
            let [pstate, sctlr] = [random(&mut seed) & 0xffff_ffff, random(&mut seed)];
            let (mode, _) = EVERY_MODE[(sctlr & 3) as usize];
            let old = pstate & !0x1f | mode;
            guest.set_reg(SysReg::SCTLR_EL1, sctlr);
            guest.set_pstate(old);
            undefined(&mut guest);
            assert_eq!(
                guest.pstate(),
                entered(old, sctlr, !plain, !plain),
                "from {old:#x}, SCTLR_EL1 {sctlr:#x}"
            );
            assert_eq!(guest.reg(SysReg::SPSR_EL1), old);
        }
    }
}

#[test]
fn reserved_bits_of_the_vector_base_count_for_nothing() {
    let mut guest = Guest::new();
    guest.set_reg(SysReg::VBAR_EL1, VBAR | 0x7ff);
    guest.set_pstate(0x3c5);
    undefined(&mut guest);
    assert_eq!(guest.pc(), VBAR + 0x200);
}

/// Exits with an abort, and returns ESR_EL1 and FAR_EL1 of what the guest gets.
fn abort(mode: u64, esr: u64) -> (u64, u64) {
    let mut guest = Guest::new();
    guest.set_reg(SysReg::VBAR_EL1, VBAR);
    guest.set_pstate(mode);
    set_fault(0xdead_beef, 0x7000_0000);
    let next = guest.exit(esr);
    assert_eq!(next, Next::resume(&mut guest.vcpu.frame));
    let (_, offset) = EVERY_MODE.into_iter().find(|(m, _)| *m == mode).unwrap();
    assert_eq!(guest.pc(), VBAR + offset, "{esr:#x}");
    assert_eq!(guest.reg(SysReg::ELR_EL1), PC);
    (guest.reg(SysReg::ESR_EL1), guest.reg(SysReg::FAR_EL1))
}

#[test]
fn aborts_tell_where_from_and_what() {
    const ISV: u64 = 1 << 24;
    const WNR: u64 = 1 << 6;
    const CM: u64 = 1 << 8;
    const S1PTW: u64 = 1 << 7;
    let data = class::DATA_ABORT << 26;
    let fetch = class::INSTRUCTION_ABORT << 26;
    for (esr, same, iss) in [
        // A hole: loads and stores, with a syndrome and without, of 16-bit instructions too.
        (data | IL | ISV | 0b111, 0x25, 0x10),
        (data | IL | ISV | WNR | 0b111, 0x25, WNR | 0x10),
        (data | ISV | 0b101, 0x25, 0x10),
        (data | IL | 0b110, 0x25, 0x10),
        (data | IL | WNR | 0b110, 0x25, WNR | 0x10),
        // Cache maintenance is told apart from a store.
        (data | IL | CM | WNR | 0b1111, 0x25, CM | WNR | 0x10),
        // Access flag and permission faults: no fault of the guest's own tables.
        (data | IL | ISV | 0b1011, 0x25, 0x10),
        (data | IL | ISV | WNR | 0b1111, 0x25, WNR | 0x10),
        // A walk of stage 1 met nothing.
        (data | IL | ISV | S1PTW | 0b111, 0x25, 0x17),
        (data | IL | S1PTW | WNR | 0b101, 0x25, WNR | 0x15),
        (fetch | IL | S1PTW | 0b110, 0x21, 0x16),
        // A misaligned access to what stage 2 makes a device.
        (data | IL | 0x21, 0x25, 0x21),
        (data | IL | WNR | 0x21, 0x25, WNR | 0x21),
        // A fetch, which WnR says nothing of.
        (fetch | IL | 0b111, 0x21, 0x10),
        (fetch | IL | WNR | 0b1111, 0x21, 0x10),
    ] {
        for (mode, _) in EVERY_MODE {
            let from_el0 = mode & 0xf == 0;
            let class: u64 = if from_el0 { same - 1 } else { same };
            let (syndrome, address) = abort(mode, esr);
            assert_eq!(syndrome, class << 26 | IL | iss, "{esr:#x} from {mode:#b}");
            assert_eq!(address, 0xdead_beef);
        }
    }
}

#[test]
fn cache_maintenance_where_nothing_is_cached_is_done() {
    const CM_WNR: u64 = 1 << 8 | 1 << 6;
    let mut guest = Guest::new();
    set_fault(0xdead_beef, 0x7000_0000);
    let _ = guest.exit(class::DATA_ABORT << 26 | IL | CM_WNR | 0b110);
    assert_eq!(guest.pc(), PC + 4);
}

#[test]
fn every_class_nobody_asked_for_is_undefined() {
    const ANSWERED: [u64; 5] = [
        class::WFX,
        class::FP,
        class::SMC,
        class::SYSTEM,
        class::DATA_ABORT,
    ];
    for class in (0..64).filter(|c| !ANSWERED.contains(c) && *c != class::INSTRUCTION_ABORT) {
        let mut guest = Guest::new();
        guest.set_reg(SysReg::VBAR_EL1, VBAR);
        let next = guest.exit(class << 26 | IL | 0x1ff_ffff);
        assert_eq!(next, Next::resume(&mut guest.vcpu.frame));
        assert_eq!(guest.pc(), VBAR + 0x200, "class {class:#x}");
        assert_eq!(guest.reg(SysReg::ESR_EL1), IL);
    }
}

#[test]
fn a_trapped_wait_for_an_interrupt_leaves_and_one_for_an_event_is_over() {
    for (event, leaves) in [(0, true), (1, false)] {
        let mut guest = Guest::new();
        let next = guest.exit(class::WFX << 26 | IL | event);
        assert_eq!(next.leaves(), leaves);
        assert_eq!(guest.pc(), PC + 4);
    }
}

#[test]
fn skipping_ends_the_instruction() {
    const SS: u64 = 1 << 21;
    const IT: u64 = 1 << 5 | 1 << 4;
    for (size, old, new) in [
        (4, 0x3c5, 0x3c5),
        (4, SS | 0x3c5, 0x3c5),
        (4, 0b11 << 10 | 0x3c5, 0x3c5),
        (4, SS | 0b01 << 10 | 0x8000_0005, 0x8000_0005),
        // AArch32 at EL0. ITTE EQ, 0000_0110: the next of the block is 0000_1100.
        (2, IT | 0b01 << 10 | 0b10 << 25, IT | 0b11 << 10),
        // The last of the block.
        (4, IT | SS | 0b0010 << 10, IT),
        // A32 keeps what is no IT state there.
        (4, 1 << 4 | 0b11 << 10, 1 << 4 | 0b11 << 10),
    ] {
        let mut guest = Guest::new();
        guest.set_pstate(old);
        let il = if size == 4 { IL } else { 0 };
        let _ = guest.exit(class::WFX << 26 | il);
        assert_eq!(guest.pc(), PC + size, "{old:#x}");
        assert_eq!(guest.pstate(), new, "from {old:#x}");
    }
}

#[test]
fn the_last_instruction_of_memory_is_followed_by_the_first() {
    let mut guest = Guest::new();
    guest.set_pc(u64::MAX - 3);
    let _ = guest.exit(class::WFX << 26 | IL);
    assert_eq!(guest.pc(), 0);
}
