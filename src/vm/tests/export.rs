//! The register export: a vCPU's state comes out and goes into another.

use super::fixture::{Build, Guest, USUAL, peek, poke, random, set_count};
use crate::{
    cpu::fake,
    isa::{
        encoding::Encoding,
        features::IdReg,
        sysreg::{ALL, Class, Export, Present, SysReg},
    },
    vm::{
        export::{
            ExportError,
            ids::{Fp, Name},
        },
        sysregs::{HostMode, SysRegs},
        vcpu::Vcpu,
    },
};
use alloc::{collections::BTreeMap, string::ToString, vec::Vec};

fn id(reg: SysReg) -> u64 {
    Name::Row(reg).id()
}

/// Everything a vCPU exports.
fn export(vcpu: &mut Vcpu) -> BTreeMap<u64, u128> {
    let list = vcpu.reg_list();
    let count = list.len();
    let all: BTreeMap<_, _> = list
        .into_iter()
        .map(|id| (id, vcpu.get_reg(id).expect("listed")))
        .collect();
    assert_eq!(all.len(), count, "an id is listed twice");
    all
}

fn import(vcpu: &mut Vcpu, from: &BTreeMap<u64, u128>) {
    for (id, value) in from {
        vcpu.set_reg(*id, *value).unwrap_or_else(|e| panic!("{e}"));
    }
}

/// Gives a vCPU what has every register: an AArch32 EL1 and a virtual EL2.
fn with_everything(vcpu: &mut Vcpu) {
    let mode = HostMode {
        features: Present::ALL.features,
        ..vcpu.mode()
    };
    *vcpu.sysregs_mut() = SysRegs::new(mode, Present::ALL);
}

/// Fills every register of a put vCPU by its name, not by its id.
fn fill(vcpu: &mut Vcpu, seed: &mut u64) {
    for reg in ALL {
        if vcpu.sysregs().state().present.has(reg)
            && !matches!(reg.class(), Class::View | Class::LoadOnly)
            && reg.info().export != Export::ReadOnly
        {
            vcpu.write_sys_reg(reg, random(seed));
        }
    }
    for n in 0..31 {
        vcpu.frame.write(n, random(seed));
    }
    for q in &mut vcpu.fp.q {
        *q = u128::from(random(seed)) << 64 | 5;
    }
    (vcpu.fp.fpcr, vcpu.fp.fpsr) = (0x0100_0000, 0x11);
    vcpu.sysregs_mut().set_pc(random(seed));
    vcpu.sysregs_mut().set_pstate(0x6000_03c5);
}

#[test]
fn everything_exported_and_imported_into_another_is_the_same() {
    for everything in [false, true] {
        let mut seed = 77;
        let mut guest = Guest::new();
        guest.vcpu.put();
        set_count(5000);
        if everything {
            with_everything(&mut guest.vcpu);
        }
        fill(&mut guest.vcpu, &mut seed);
        if everything {
            // An AArch32 EL1 is in one of its modes.
            guest.vcpu.sysregs_mut().set_pstate(0x1d3);
        }
        let out = export(&mut guest.vcpu);
        assert!(
            out.len() > if everything { 450 } else { 300 },
            "{}",
            out.len()
        );
        let mut fresh = Guest::new();
        fresh.vcpu.put();
        set_count(5000);
        if everything {
            with_everything(&mut fresh.vcpu);
        }
        let midr = id(SysReg::RUN_VPIDR_EL2);
        assert_ne!(export(&mut fresh.vcpu), out);
        import(&mut fresh.vcpu, &out);
        assert_eq!(export(&mut fresh.vcpu), out);
        assert!(out.contains_key(&midr));
        // By name too, but for RES0 bits and what is not exported.
        for reg in ALL {
            let (from, to) = (guest.vcpu.sysregs(), fresh.vcpu.sysregs());
            if from.state().present.has(reg) && id(reg) != 0 {
                let info = reg.info();
                assert_eq!(to.read_any(reg), info.settle(from.read_any(reg)), "{reg:?}");
            }
        }
        let el2 = [SysReg::HCR_EL2, SysReg::SP_EL2, SysReg::ICH_LR9_EL2];
        assert!(
            el2.iter()
                .all(|reg| out.contains_key(&id(*reg)) == everything)
        );
    }
}

#[test]
fn a_loaded_vcpu_exports_what_is_on_the_cpu() {
    for vhe in [false, true] {
        let mut guest = Guest::build(Build { vhe, ..USUAL });
        let vbar = SysReg::VBAR_EL1.info().encoding;
        let vbar = if vhe { vbar.vhe_alias() } else { vbar };
        poke(vbar.iss(), 0xffff_0000_0000_07ff);
        let value = guest.vcpu.get_reg(id(SysReg::VBAR_EL1));
        assert_eq!(value, Ok(0xffff_0000_0000_0000), "RES0 bits are clear");
        guest.vcpu.set_reg(id(SysReg::VBAR_EL1), 0x8fff).unwrap();
        assert_eq!(peek(vbar.iss()), 0x8800);

        guest.vcpu.use_fp();
        fake::with(|cpu| cpu.fp.q[3] = 33);
        let v3 = Name::Fp(Fp::V(3)).id();
        assert_eq!(guest.vcpu.get_reg(v3), Ok(33));
        guest.vcpu.set_reg(Name::Fp(Fp::V(4)).id(), 44).unwrap();
        assert_eq!(fake::with(|cpu| (cpu.fp.q[3], cpu.fp.q[4])), (33, 44));
    }
}

#[test]
fn what_cannot_change_takes_its_own_value_and_no_other() {
    let mut guest = Guest::new();
    let pfr0 = Name::Id(IdReg::ID_AA64PFR0.encoding()).id();
    for id in [
        id(SysReg::RUN_VPIDR_EL2),
        id(SysReg::RUN_VMPIDR_EL2),
        pfr0,
        Name::PsciVersion.id(),
    ] {
        let value = guest.vcpu.get_reg(id).unwrap();
        assert_eq!(guest.vcpu.set_reg(id, value), Ok(()));
        let other = value ^ 0x10;
        let refused = guest.vcpu.set_reg(id, other);
        assert_eq!(refused, Err(ExportError::ReadOnly(id, value, other)));
        assert_eq!(guest.vcpu.get_reg(id), Ok(value));
    }
    let error = ExportError::ReadOnly(id(SysReg::RUN_VMPIDR_EL2), 1, 2).to_string();
    assert!(error.contains("VMPIDR"), "{error}");
}

#[test]
fn unknown_and_absent_registers_are_refused() {
    let mut guest = Guest::new();
    let none = Name::Row(SysReg::CNTV_CVAL_EL0).id() ^ 1 << 52;
    for id in [
        0,
        none,
        id(SysReg::HCR_EL2),
        id(SysReg::SPSR_abt),
        id(SysReg::PMCR_EL0),
    ] {
        assert_eq!(guest.vcpu.get_reg(id), Err(ExportError::Unknown(id)));
        assert_eq!(guest.vcpu.set_reg(id, 0), Err(ExportError::Unknown(id)));
        assert!(!guest.vcpu.reg_list().contains(&id));
    }
}

#[test]
fn no_import_runs_a_guest_above_el1_or_in_a_width_it_lacks() {
    let mut guest = Guest::new();
    let pstate = Name::Pstate.id();
    for good in [0x0, 0x3c4, 0x3c5, 0x10, 0x6000_0030] {
        assert_eq!(guest.vcpu.set_reg(pstate, good), Ok(()), "{good:#x}");
    }
    for bad in [0x1, 0x8, 0x9, 0xc, 0xd, 0x13, 0x16, 0x1a, 0x1f, 1 << 64] {
        let refused = guest.vcpu.set_reg(pstate, bad);
        assert_eq!(refused, Err(ExportError::Invalid(pstate, bad)), "{bad:#x}");
    }
    assert_eq!(guest.pstate(), 0x6000_0030);
}

#[test]
fn the_virtual_count_goes_on_from_where_it_was() {
    let mut guest = Guest::new();
    set_count(70_000);
    let count = Name::Count.id();
    guest.vcpu.set_reg(count, 1234).unwrap();
    assert_eq!(guest.vcpu.get_reg(count), Ok(1234));
    set_count(70_066);
    assert_eq!(guest.vcpu.get_reg(count), Ok(1300));
    let offset = peek(Encoding::new(3, 4, 14, 0, 3).iss());
    assert_eq!(offset, 70_000 - 1234, "the CPU has it at once");
}

#[test]
fn the_interrupt_controller_comes_back_whether_put_or_loaded() {
    for loaded in [false, true] {
        let mut guest = Guest::new();
        if !loaded {
            guest.vcpu.put();
        }
        let mut set = |name: Name, value| guest.vcpu.set_reg(name.id(), value).unwrap();
        set(Name::Dist(0), 0x53);
        set(Name::Dist(0x104), 0b1010);
        set(Name::Dist(0x424), 0x20a0_4060);
        set(Name::Dist(0xc08), 0x8000_0000);
        set(Name::Redist(0x1_0100), 1 << 27 | 0xffff);
        set(Name::Redist(0x14), 0);
        set(Name::Interface(0), 0xf800_0002);
        set(Name::Interface(16), 4);
        // Once more, with fewer bits: a word is set, not added to.
        set(Name::Dist(0x104), 0b0010);
        let out = export(&mut guest.vcpu);
        assert_eq!(out[&Name::Dist(0x104).id()], 0b0010);
        assert_eq!(out[&Name::Dist(0xc08).id()], 0x8000_0000);
        assert_eq!(out[&Name::Interface(0).id()], 0xf800_0002);
        assert_eq!(out[&Name::Interface(16).id()], 4);
        let mut fresh = Guest::new();
        fresh.vcpu.put();
        let gics = |from: &BTreeMap<u64, u128>| -> Vec<_> {
            let ours = |id: &u64| id >> 16 & 0xfff > 0xf00;
            from.iter()
                .filter(|(id, _)| ours(id))
                .map(|(id, value)| (*id, *value))
                .collect()
        };
        assert!(gics(&out).len() > 150);
        let gic: BTreeMap<_, _> = gics(&out).into_iter().collect();
        import(&mut fresh.vcpu, &gic);
        assert_eq!(
            gics(&export(&mut fresh.vcpu)),
            gics(&out),
            "loaded={loaded}"
        );
    }
}

#[test]
fn a_vcpu_is_turned_on_and_off_by_import() {
    let mut guest = Guest::new();
    let power = Name::Power.id();
    for state in [0, 0, 1, 1, 0] {
        assert_eq!(guest.vcpu.set_reg(power, state), Ok(()));
        assert_eq!(guest.vcpu.get_reg(power), Ok(state));
    }
    let refused = guest.vcpu.set_reg(power, 2);
    assert_eq!(refused, Err(ExportError::Invalid(power, 2)));
}
