//! The register table against the assembler: every row's encoding is that of its name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use entresol::isa::sysreg::{ALL, Export, SysReg, TABLE};

/// Names that the assembler does not know, and why the table has them.
const UNKNOWN: [(&str, &str); 0] = [];

/// Everything that brings names of registers with it.
const ARCHITECTURE: &str = ".arch armv9.5-a+sve2+sme2+memtag+brbe+the";

/// One `mrs x0, NAME` as the table has it.
struct Row {
    name: String,
    word: u32,
}

/// Returns every name of a row: its own, and the one it has at EL2 with HCR_EL2.E2H set.
fn names(reg: SysReg) -> Vec<Row> {
    let row = reg.info();
    // The hypervisor's control words are EL2's registers under names of their own.
    let name = reg.name().strip_prefix("RUN_").unwrap_or(reg.name());
    let mut names = vec![Row {
        name: name.to_owned(),
        word: row.encoding.mrs(0),
    }];
    if row.aliased {
        let (stem, level) = name.rsplit_once("_EL").expect("ends in its level");
        names.push(Row {
            name: format!("{stem}_EL{level}2"),
            word: row.encoding.vhe_alias().mrs(0),
        });
    }
    names
}

fn rows() -> Vec<Row> {
    ALL.into_iter().flat_map(names).collect()
}

#[test]
fn every_encoding_is_the_assemblers() {
    let known: Vec<Row> = rows()
        .into_iter()
        .filter(|row| !UNKNOWN.iter().any(|(name, _)| *name == row.name))
        .collect();
    assert!(known.len() > 300, "{} names", known.len());
    let object = assemble("known", &known).unwrap_or_else(|errors| panic!("{errors}"));
    let words = section(&object, "oracle");
    assert_eq!(words.len(), known.len());
    let wrong: BTreeMap<_, _> = known
        .iter()
        .zip(words)
        .filter(|(row, word)| row.word != *word)
        .map(|(row, word)| (&row.name, format!("{:#x} is {word:#x}", row.word)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn names_called_unknown_are_unknown_and_in_the_table() {
    let rows = rows();
    for (name, _) in UNKNOWN {
        let row = rows.iter().find(|row| row.name == name);
        let row = row.unwrap_or_else(|| panic!("{name} is in no row"));
        let only = [Row {
            name: row.name.clone(),
            word: row.word,
        }];
        assert!(assemble("unknown", &only).is_err(), "{name} is known");
    }
}

/// The oracle must be able to say no.
#[test]
fn a_wrong_encoding_is_caught() {
    let row = Row {
        name: "SCTLR_EL1".to_owned(),
        word: 0xd538_1000,
    };
    let object = assemble("caught", &[row]).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(section(&object, "oracle"), [0xd538_1000]);
    let row = Row {
        name: "SCTLR_EL9".to_owned(),
        word: 0,
    };
    assert!(assemble("refused", &[row]).is_err());
}

#[test]
fn export_ids_are_unique() {
    let mut core: Vec<u16> = TABLE
        .iter()
        .filter_map(|row| match row.export {
            Export::Core(words) => Some(words),
            _ => None,
        })
        .collect();
    core.sort_unstable();
    // SP_EL0, SP_EL1, ELR_EL1 and the five SPSRs of `struct kvm_regs`.
    assert_eq!(core, [62, 68, 70, 72, 74, 76, 78, 80]);
}

/// Assembles `mrs x0, NAME` of each row into a section of its own.
fn assemble(stem: &str, rows: &[Row]) -> Result<Vec<u8>, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = |ending: &str| -> PathBuf { folder.join(format!("oracle-{stem}.{ending}")) };
    let mut lines = vec![
        format!("    {ARCHITECTURE}"),
        "    .section oracle, \"a\"".to_owned(),
    ];
    lines.extend(rows.iter().map(|row| format!("    mrs x0, {}", row.name)));
    std::fs::write(path("s"), lines.join("\n") + "\n").expect("can be written");
    let program = format!(
        "#![no_std]\ncore::arch::global_asm!(include_str!({:?}));\n",
        path("s")
    );
    std::fs::write(path("rs"), program).expect("can be written");
    let Output { status, stderr, .. } = Command::new("rustc")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["--edition", "2024", "--crate-type", "lib", "--emit", "obj"])
        .args(["--target", "aarch64-unknown-none-softfloat", "-o"])
        .arg(path("o"))
        .arg(path("rs"))
        .output()
        .expect("rustc can be started");
    if !status.success() {
        return Err(String::from_utf8_lossy(&stderr).into_owned());
    }
    Ok(std::fs::read(path("o")).expect("was written"))
}

/// Reads the 32-bit words of a section of a 64-bit little-endian ELF file.
fn section(object: &[u8], name: &str) -> Vec<u32> {
    let number = |at: usize, size: usize| -> usize {
        let bytes = object[at..at + size].iter().rev();
        bytes.fold(0, |value, byte| value << 8 | usize::from(*byte))
    };
    let (headers, size) = (number(0x28, 8), number(0x3a, 2));
    let (count, names) = (number(0x3c, 2), number(0x3e, 2));
    let header = |n: usize| headers + n * size;
    let strings = number(header(names) + 0x18, 8);
    let found = (0..count).find(|n| {
        let start = strings + number(header(*n), 4);
        object[start..].split(|byte| *byte == 0).next() == Some(name.as_bytes())
    });
    let found = header(found.expect("the section is there"));
    let (start, length) = (number(found + 0x18, 8), number(found + 0x20, 8));
    (start..start + length)
        .step_by(4)
        .map(|at| number(at, 4) as u32)
        .collect()
}
