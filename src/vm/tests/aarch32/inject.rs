//! Exceptions given to an AArch32 EL1, against the pseudocode of the Arm ARM.

use super::*;
use crate::vm::debug::{self, session::Plan};

const V: u64 = 1 << 13;
const SPAN: u64 = 1 << 23;
const EE: u64 = 1 << 25;
const TE: u64 = 1 << 30;
const EAE: u64 = 1 << 31;
const VBAR: u64 = 0x4100_0020;
/// LR of Undefined and Abort mode.
const LR_UND: u8 = 22;
const LR_ABT: u8 = 20;

/// Each mode that a guest may be in.
const MODES: [u64; 7] = [
    mode::USER,
    mode::FIQ,
    mode::IRQ,
    mode::SUPERVISOR,
    mode::ABORT,
    mode::UNDEFINED,
    mode::SYSTEM,
];

/// What `AArch32.EnterMode` leaves of PSTATE, flag by flag.
fn entered(old: u64, sctlr: u64, target: u64, pan: bool) -> u64 {
    let bit = |n: u64| old >> n & 1;
    let mut new = target;
    // N, Z, C, V, Q, DIT, PAN, GE, and the masks of SErrors and FIQs.
    for kept in [31, 30, 29, 28, 27, 24, 22, 19, 18, 17, 16, 8, 6] {
        new |= bit(kept) << kept;
    }
    new |= 1 << 7;
    if target == mode::ABORT {
        new |= 1 << 8;
    }
    if pan && sctlr & SPAN == 0 {
        new |= 1 << 22;
    }
    new |= u64::from(sctlr & EE != 0) << 9;
    new |= u64::from(sctlr & TE != 0) << 5;
    new |= u64::from(sctlr >> 31 & 1 != 0) << 23;
    new
}

/// A guest that is debugged: its debug exceptions come to EL2.
fn debugged() -> Guest {
    let mut guest = new(AARCH32);
    guest.set_reg(SysReg::OSLSR_EL1, 0x8);
    guest.vcpu.put();
    guest.vcpu.debug_by(Plan::default());
    guest.vcpu.load();
    debug::settle(core::slice::from_mut(&mut guest.vcpu), 0, 0);
    guest
}

#[test]
fn a_guests_own_bkpt_comes_back_to_it_while_it_is_debugged() {
    for (tcr, status) in [(0, 0x2), (EAE, 0x222)] {
        let mut guest = debugged();
        guest.set_reg(SysReg::VBAR_EL1, VBAR);
        guest.set_reg(SysReg::TCR_EL1, tcr);
        let next = exit(&mut guest, class::BKPT, 0x12);
        assert_eq!(next, Next::resume_all());
        assert_eq!(guest.pc(), VBAR + 0xc);
        assert_eq!(guest.pstate() & 0x1f, mode::ABORT);
        assert_eq!(guest.vcpu.x(LR_ABT), AT + 4);
        assert_eq!(guest.reg(SysReg::SPSR_abt), SVC);
        assert_eq!(guest.reg(SysReg::IFSR32_EL2), status);
        assert_eq!(guest.reg(SysReg::MDSCR_EL1) >> 2 & 0xf, 0b0011, "MOE");
    }
}

#[test]
fn a_debuggers_breakpoint_stops_the_guest() {
    let mut guest = debugged();
    let next = exit(&mut guest, class::BREAKPOINT, 0x22);
    assert!(next.leaves());
    assert_eq!(guest.pc(), AT);
    let mut guest = new(AARCH32);
    guest.set_reg(SysReg::VBAR_EL1, VBAR);
    let _ = exit(&mut guest, class::BREAKPOINT, 0x22);
    assert_eq!(
        guest.pc(),
        VBAR + 4,
        "without a debugger it is none of EL2's"
    );
}

fn undefined(guest: &mut Guest) {
    let _ = exit(guest, class::CP14_LOAD_STORE, AL);
}

#[test]
fn undefined_is_as_the_pseudocode_has_it() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for (plain, vhe) in [(false, false), (true, false), (false, true)] {
        let mut guest = new(Build {
            plain,
            vhe,
            ..AARCH32
        });
        guest.set_reg(SysReg::VBAR_EL1, VBAR);
        for _ in 0..2000 {
            let [old, sctlr] = [random(&mut seed) & 0xffff_ffff, random(&mut seed)];
            let sctlr = sctlr & 0xffff_ffff;
            let old = old & !0x1f | MODES[(sctlr % 7) as usize];
            guest.set_reg(SysReg::SCTLR_EL1, sctlr);
            guest.set_pc(AT);
            guest.set_pstate(old);
            undefined(&mut guest);
            assert_eq!(
                guest.pstate(),
                entered(old, sctlr, mode::UNDEFINED, !plain),
                "from {old:#x}, SCTLR {sctlr:#x}"
            );
            let base = if sctlr & V != 0 { 0xffff_0000 } else { VBAR };
            assert_eq!(guest.pc(), base + 4);
            let size = if old & T != 0 { 2 } else { 4 };
            assert_eq!(guest.vcpu.x(LR_UND), AT + size);
            // DIT is where SS is in an SPSR of AArch64.
            let spsr = old & !(1 << 21 | 1 << 24) | (old >> 24 & 1) << 21;
            assert_eq!(guest.reg(SysReg::SPSR_und), spsr);
        }
    }
}

/// Exits with an abort; returns DFSR, DFAR, IFSR and IFAR of what the guest gets.
fn abort(pstate: u64, tcr: u64, class: u64, iss: u64) -> [u64; 4] {
    const ADDRESS: u64 = 0x8765_4321;
    let mut guest = new(AARCH32);
    guest.set_reg(SysReg::VBAR_EL1, VBAR);
    guest.set_reg(SysReg::TCR_EL1, tcr);
    guest.set_reg(SysReg::FAR_EL1, 0x1111_1111_2222_2222);
    guest.set_pstate(pstate);
    set_fault(ADDRESS, 0x7000_0000);
    let _ = exit(&mut guest, class, iss);
    let fetch = class == class::INSTRUCTION_ABORT;
    let (vector, link) = if fetch { (0xc, 4) } else { (0x10, 8) };
    assert_eq!(guest.pc(), VBAR + vector, "{iss:#x}");
    assert_eq!(guest.vcpu.x(LR_ABT), AT + link);
    assert_eq!(guest.reg(SysReg::SPSR_abt), pstate);
    assert_eq!(
        guest.pstate(),
        entered(pstate, 0, mode::ABORT, true) & !(1 << 22) | guest.pstate() & 1 << 22
    );
    let far = guest.reg(SysReg::FAR_EL1);
    [
        guest.reg(SysReg::ESR_EL1),
        far & 0xffff_ffff,
        guest.reg(SysReg::IFSR32_EL2),
        far >> 32,
    ]
}

#[test]
fn aborts_tell_what_and_where_in_both_formats() {
    const ISV: u64 = 1 << 24;
    const WNR: u64 = 1 << 6;
    const S1PTW: u64 = 1 << 7;
    const AT_FAULT: u64 = 0x8765_4321;
    for (iss, short, long) in [
        (ISV | 0b111, 0x008, 0x210),
        (ISV | WNR | 0b111, 0x808, 0xa10),
        // A pair, or several registers.
        (0b110, 0x008, 0x210),
        (WNR | 0b110, 0x808, 0xa10),
        // A permission fault.
        (ISV | WNR | 0b1111, 0x808, 0xa10),
        // A walk that met nothing.
        (S1PTW | 0b101, 0x00c, 0x215),
        (S1PTW | 0b111, 0x00e, 0x217),
        // Alignment.
        (0x21, 0x001, 0x221),
        (WNR | 0x21, 0x801, 0xa21),
    ] {
        for (tcr, status) in [(0, short), (EAE, long)] {
            for pstate in [SVC, SVC | T, 0x6000_0010, 0x1f] {
                let told = abort(pstate, tcr, class::DATA_ABORT, iss);
                assert_eq!(told, [status, AT_FAULT, 0, 0x1111_1111], "{iss:#x}");
            }
        }
    }
    for (iss, short, long) in [
        (0b111, 0x008, 0x210),
        (WNR | 0b1111, 0x008, 0x210),
        (S1PTW | 0b110, 0x00e, 0x216),
    ] {
        for (tcr, status) in [(0, short), (EAE, long)] {
            let told = abort(SVC, tcr, class::INSTRUCTION_ABORT, iss);
            assert_eq!(told, [0, 0x2222_2222, status, AT_FAULT], "{iss:#x}");
        }
    }
}

#[test]
fn link_registers_do_not_leave_32_bits() {
    let mut guest = new(AARCH32);
    guest.set_pc(0xffff_fffe);
    guest.set_pstate(SVC);
    undefined(&mut guest);
    assert_eq!(guest.vcpu.x(LR_UND), 2);
}

/// A guest in AArch64 takes what its AArch32 EL0 did as AArch64 does.
#[test]
fn below_aarch64_they_go_to_aarch64() {
    let mut guest = new(USUAL);
    guest.set_reg(SysReg::VBAR_EL1, 0x8000);
    guest.set_pstate(mode::USER);
    let _ = guest.exit(class::CP14_LOAD_STORE << 26 | IL | AL);
    assert_eq!(guest.pc(), 0x8600);
    assert_eq!(guest.reg(SysReg::ESR_EL1), IL);
    assert_eq!(guest.reg(SysReg::SPSR_EL1), mode::USER);
}
