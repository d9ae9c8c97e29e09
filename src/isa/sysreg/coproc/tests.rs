use super::*;
use crate::isa::sysreg::{ALL, Class};
use alloc::{collections::BTreeSet, format, string::String, vec::Vec};

const fn word(coproc: u8, opc1: u8, crn: u8, crm: u8, opc2: u8) -> Name {
    Name::Word {
        coproc,
        opc1,
        crn,
        crm,
        opc2,
    }
}

fn every_word(coproc: u8) -> impl Iterator<Item = Name> {
    (0..1 << 14).map(move |n: u16| {
        let bits = |lsb: u32, mask: u16| (n >> lsb & mask) as u8;
        word(coproc, bits(0, 7), bits(3, 15), bits(7, 15), bits(11, 7))
    })
}

#[test]
fn every_row_is_found_by_its_name() {
    for &(name, word, reg, part) in WORDS {
        assert_eq!(word.twin(), Some(Twin::Row(reg, part)), "{name}");
    }
    for &(name, pair, reg) in PAIRS {
        assert_eq!(pair.twin(), Some(Twin::Row(reg, Part::Whole)), "{name}");
    }
    for &(name, other, encoding) in OTHERS {
        assert_eq!(other.twin(), Some(Twin::Encoded(encoding)), "{name}");
    }
}

/// Most encodings of coprocessor 15 with opc1 = 0 are AArch64's of EL1: those of opc2 that are not
/// are the exceptions that the manual lists.
#[test]
fn a_name_that_is_its_twins_encoding_or_a_known_exception() {
    let odd: BTreeSet<_> = [
        "ACTLR2",
        "TTBCR2",
        "DACR",
        "DFSR",
        "IFSR",
        "IFAR",
        "NMRR_MAIR1",
        "AMAIR1",
        "TPIDRURW",
        "TPIDRURO",
        "CNTP_TVAL",
        "CNTP_CTL",
        "CNTV_TVAL",
        "CNTV_CTL",
    ]
    .into();
    let mut found = BTreeSet::new();
    for &(name, word, reg, _) in WORDS {
        let Name::Word {
            opc1,
            crn,
            crm,
            opc2,
            ..
        } = word
        else {
            panic!("{name}");
        };
        if Encoding::new(3, opc1, crn, crm, opc2) != reg.info().encoding {
            found.insert(name);
        }
    }
    assert_eq!(found, odd);
}

#[test]
fn both_halves_of_what_is_split_have_a_name() {
    let halves = |part| -> BTreeSet<u16> {
        let of = WORDS.iter().filter(|row| row.3 == part);
        of.map(|row| row.2 as u16).collect()
    };
    let (low, high) = (halves(Part::Low), halves(Part::High));
    assert!(high.is_subset(&low));
    let only_low: Vec<_> = low.difference(&high).collect();
    // Their upper halves are reached by MCRR, or by nothing of AArch32's.
    for n in only_low {
        let reg = ALL[usize::from(*n)];
        let by_pair = PAIRS.iter().any(|row| row.2 == reg);
        assert!(by_pair || reg.name().starts_with("TPIDR"), "{reg:?}");
    }
}

/// Everything that HCR_EL2.TVM traps has a name here (Arm ARM, "HCR_EL2", TVM).
#[test]
fn what_is_trapped_after_set_way_maintenance_is_known() {
    let names: BTreeSet<_> = WORDS.iter().map(|row| row.0).collect();
    for name in [
        "SCTLR",
        "TTBR0",
        "TTBR1",
        "TTBCR",
        "TTBCR2",
        "DACR",
        "DFSR",
        "IFSR",
        "DFAR",
        "IFAR",
        "ADFSR",
        "AIFSR",
        "PRRR_MAIR0",
        "NMRR_MAIR1",
        "AMAIR0",
        "AMAIR1",
        "CONTEXTIDR",
    ] {
        assert!(names.contains(name), "{name}");
    }
    assert!(PAIRS.len() == 5);
}

#[test]
fn every_register_of_aarch32_alone_has_a_name_or_is_no_coprocessors() {
    let named: BTreeSet<u16> = [14, 15]
        .into_iter()
        .flat_map(every_word)
        .filter_map(Name::twin)
        .filter_map(|twin| match twin {
            Twin::Row(reg, _) => Some(reg as u16),
            _ => None,
        })
        .collect();
    let unnamed: BTreeSet<&str> = ALL
        .into_iter()
        .filter(|reg| reg.class() == Class::Deferred32 && !named.contains(&(*reg as u16)))
        .map(|reg| reg.name())
        .collect();
    // These are reached by MRS and MSR, banked.
    assert_eq!(
        unnamed,
        ["SPSR_abt", "SPSR_fiq", "SPSR_irq", "SPSR_und"].into()
    );
}

#[test]
fn debug_registers_are_op0_2() {
    // MCR p14, 0, <Rt>, c0, c2, 2: DBGDSCRext.
    assert_eq!(
        word(14, 0, 0, 2, 2).twin(),
        Some(Twin::Encoded(SysReg::MDSCR_EL1.info().encoding))
    );
    for n in 0..16 {
        for (opc2, name, part) in [
            (4, "DBGBVR", Part::Low),
            (5, "DBGBCR", Part::Low),
            (6, "DBGWVR", Part::Low),
            (7, "DBGWCR", Part::Low),
        ] {
            let Some(Twin::Row(reg, found)) = word(14, 0, 0, n, opc2).twin() else {
                panic!("{name}{n}");
            };
            assert_eq!((reg.name(), found), (&*format!("{name}{n}_EL1"), part));
        }
        let upper = word(14, 0, 1, n, 1).twin();
        let Some(Twin::Row(reg, Part::High)) = upper else {
            panic!("DBGBXVR{n}: {upper:?}");
        };
        assert_eq!(reg.name(), format!("DBGBVR{n}_EL1"));
    }
}

#[test]
fn user_mode_reads_a_few_debug_registers_and_nothing_else() {
    let mut found: Vec<String> = Vec::new();
    for name in [14, 15].into_iter().flat_map(every_word) {
        if name.twin_for_user().is_some() {
            assert_eq!(name.twin_for_user(), name.twin());
            let Name::Word {
                coproc,
                opc1,
                crn,
                crm,
                opc2,
            } = name
            else {
                continue;
            };
            found.push(format!("p{coproc} {opc1} c{crn} c{crm} {opc2}"));
        }
    }
    found.sort();
    let expected = ["c0 c0", "c0 c1", "c0 c5", "c1 c0", "c2 c0"];
    assert_eq!(found, expected.map(|name| format!("p14 0 {name} 0")));
}

#[test]
fn the_id_space_reads_as_zero_where_nothing_is() {
    assert_eq!(
        word(15, 0, 0, 1, 4).twin(),
        Some(Twin::Encoded(Encoding::new(3, 0, 0, 1, 4)))
    );
    assert_eq!(
        word(15, 0, 0, 3, 0).twin(),
        Some(Twin::Zero),
        "MVFR0 is VMRS's"
    );
    assert_eq!(
        word(15, 0, 0, 4, 0).twin(),
        Some(Twin::Zero),
        "ID_AA64PFR0_EL1"
    );
    assert_eq!(word(15, 0, 0, 0, 0).twin(), None, "MIDR is not trapped");
    assert_eq!(vmrs(0b0111), Some(Twin::Id(IdReg::MVFR0)));
    assert_eq!(vmrs(8), None);
}
