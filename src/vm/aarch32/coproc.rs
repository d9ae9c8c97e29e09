//! Trapped accesses to coprocessors: each goes to its AArch64 twin.

use crate::{
    bits::{field, with_field},
    error::GuestError,
    isa::{
        aarch32::{mode, psr, reported},
        esr::{Esr, class},
        features::IdReg,
        sysreg::{
            SysReg,
            coproc::{self, Name, Part, Twin},
        },
    },
    vm::{
        debug::Access,
        system::{self, Detour},
        vcpu::Vcpu,
    },
};

/// What DBGOSLAR locks by (Arm ARM, G8.3.33).
const OS_LOCK_KEY: u64 = 0xc5ac_ce55;

/// Does a trapped MCR, MRC, MCRR, MRRC or VMRS whose condition held.
///
/// # Errors
///
/// [`GuestError::Undefined`] for what the guest does not have, and for LDC and STC: nobody is at
/// the other end of the debug channel. [`Detour::Clean`] as for AArch64.
pub(super) fn access(vcpu: &mut Vcpu, esr: Esr) -> Result<(), Detour> {
    match esr.class() {
        class::CP15_32 => word(vcpu, esr, 15),
        class::CP14_32 => word(vcpu, esr, 14),
        class::CP15_64 => pair(vcpu, esr, 15),
        class::CP14_64 => pair(vcpu, esr, 14),
        class::VMRS => {
            let number = field(esr.0, 10, 4) as u8;
            let twin = coproc::vmrs(number).ok_or(GuestError::Undefined)?;
            let value = read(vcpu, twin)?;
            set(vcpu, esr.system_rt(), value);
            Ok(())
        }
        _ => Err(GuestError::Undefined.into()),
    }
}

fn word(vcpu: &mut Vcpu, esr: Esr, coproc: u8) -> Result<(), Detour> {
    let name = Name::Word {
        coproc,
        opc1: field(esr.0, 14, 3) as u8,
        crn: field(esr.0, 10, 4) as u8,
        crm: field(esr.0, 1, 4) as u8,
        opc2: field(esr.0, 17, 3) as u8,
    };
    let twin = find(vcpu, name)?;
    if asks_for_debug(vcpu, twin) {
        return Err(Detour::Again);
    }
    if esr.system_is_read() {
        let value = read(vcpu, twin)?;
        set(vcpu, esr.system_rt(), value);
        return Ok(());
    }
    let value = get(vcpu, esr.system_rt());
    write(vcpu, twin, value)
}

fn pair(vcpu: &mut Vcpu, esr: Esr, coproc: u8) -> Result<(), Detour> {
    let name = Name::Pair {
        coproc,
        opc1: esr.pair_opc1(),
        crm: field(esr.0, 1, 4) as u8,
    };
    let twin = find(vcpu, name)?;
    let (low, high) = (esr.system_rt(), esr.pair_rt2());
    if esr.system_is_read() {
        let value = read(vcpu, twin)?;
        set(vcpu, low, value);
        set(vcpu, high, value >> 32);
        return Ok(());
    }
    let value = get(vcpu, low) | get(vcpu, high) << 32;
    write(vcpu, twin, value)
}

/// Returns whether the guest is to have the debug registers for this access, and to do it itself.
fn asks_for_debug(vcpu: &mut Vcpu, twin: Twin) -> bool {
    /// op0 of the debug registers.
    const DEBUG: u8 = 2;
    let encoding = match twin {
        Twin::Row(reg, _) => reg.info().encoding,
        Twin::Encoded(encoding) => encoding,
        _ => return false,
    };
    encoding.op0 == DEBUG && vcpu.debug_access(encoding) == Access::Again
}

fn find(vcpu: &Vcpu, name: Name) -> Result<Twin, GuestError> {
    let user = vcpu.sysregs().pstate() & psr::MODE == mode::USER;
    let twin = if user {
        name.twin_for_user()
    } else {
        name.twin()
    };
    twin.ok_or_else(|| undefined(vcpu, name))
}

fn get(vcpu: &Vcpu, rt: u8) -> u64 {
    let mode = vcpu.sysregs().pstate() & psr::MODE;
    field(vcpu.frame.read(reported(mode, rt)), 0, 32)
}

/// Sets a register; 31 stands for the PC, which is to say the flags.
fn set(vcpu: &mut Vcpu, rt: u8, value: u64) {
    let pstate = vcpu.sysregs().pstate();
    if rt == 31 {
        let flags = value & psr::NZCV;
        vcpu.sysregs_mut().set_pstate(pstate & !psr::NZCV | flags);
        return;
    }
    let rt = reported(pstate & psr::MODE, rt);
    vcpu.frame.write(rt, field(value, 0, 32));
}

/// Returns what an access reads: the low 32 bits count, but for a pair.
fn read(vcpu: &Vcpu, twin: Twin) -> Result<u64, GuestError> {
    Ok(match twin {
        Twin::Row(reg, part) => {
            let value = read_row(vcpu, reg)?;
            if part == Part::High {
                value >> 32
            } else {
                value
            }
        }
        Twin::Encoded(encoding) => match vcpu.vm.ids.read(encoding) {
            Some(value) => value,
            None => system::read(vcpu, encoding)?,
        },
        Twin::Id(reg) => vcpu.vm.ids.get(reg),
        Twin::Zero => 0,
        // The machine's own, whatever version the guest's ID registers tell: once the guest has the
        // breakpoints it reads that, as nothing traps this register alone.
        Twin::DebugId => debug_id(vcpu.vm.host.ids.get(IdReg::ID_AA64DFR0)),
        Twin::DebugStatus => {
            // The channel's state, MDBGen, UDCCdis and MOE; SPNIDdis and SPIDdis are zero.
            const SHOWN: u64 = 0b11 << 29 | 1 << 15 | 1 << 12 | 0b1111 << 2;
            read_row(vcpu, SysReg::MDSCR_EL1)? & SHOWN
        }
        Twin::OsLock => return Err(GuestError::Undefined),
    })
}

fn write(vcpu: &mut Vcpu, twin: Twin, value: u64) -> Result<(), Detour> {
    match twin {
        Twin::Row(reg, part) => {
            let value = match part {
                Part::Whole => value,
                Part::Low => with_field(read_row(vcpu, reg)?, 0, 32, value),
                Part::High => with_field(read_row(vcpu, reg)?, 32, 32, value),
            };
            write_row(vcpu, reg, value)
        }
        Twin::Encoded(encoding) => system::write(vcpu, encoding, value),
        Twin::Zero => Ok(()),
        Twin::OsLock => {
            if vcpu.write_os_lock(u64::from(value == OS_LOCK_KEY)) {
                return Err(Detour::LookUp);
            }
            Ok(())
        }
        Twin::Id(_) | Twin::DebugId | Twin::DebugStatus => Err(GuestError::Undefined.into()),
    }
}

/// Returns whether a register has an encoding of EL2's, though it belongs to an AArch32 EL1.
fn is_of_aarch32_alone(reg: SysReg) -> bool {
    reg.features() == crate::isa::features::Features::AARCH32_EL1
}

fn read_row(vcpu: &Vcpu, reg: SysReg) -> Result<u64, GuestError> {
    if is_of_aarch32_alone(reg) && vcpu.vm.is_aarch32() {
        return Ok(vcpu.sysregs().read_any(reg));
    }
    system::read(vcpu, reg.info().encoding)
}

fn write_row(vcpu: &mut Vcpu, reg: SysReg, value: u64) -> Result<(), Detour> {
    if is_of_aarch32_alone(reg) && vcpu.vm.is_aarch32() {
        vcpu.sysregs_mut().write_any(reg, value);
        return Ok(());
    }
    system::write(vcpu, reg.info().encoding, value)
}

/// Returns DBGDIDR, given ID_AA64DFR0_EL1 (Arm ARM, G8.3.24): without EL3, for a guest.
const fn debug_id(dfr0: u64) -> u64 {
    const RES1: u64 = 1 << 15;
    let (version, breakpoints) = (field(dfr0, 0, 4), field(dfr0, 12, 4));
    let (watchpoints, contexts) = (field(dfr0, 20, 4), field(dfr0, 28, 4));
    watchpoints << 28 | breakpoints << 24 | contexts << 20 | version << 16 | RES1
}

#[cold]
fn undefined(vcpu: &Vcpu, name: Name) -> GuestError {
    let pc = vcpu.sysregs().pc();
    match name {
        Name::Word {
            coproc,
            opc1,
            crn,
            crm,
            opc2,
        } => vcpu.note_undefined(format_args!(
            "access to a register it does not have, p{coproc}, {opc1}, c{crn}, c{crm}, {opc2}, at {pc:#x}"
        )),
        Name::Pair { coproc, opc1, crm } => vcpu.note_undefined(format_args!(
            "access to a register it does not have, p{coproc}, {opc1}, c{crm}, at {pc:#x}"
        )),
    }
    GuestError::Undefined
}
