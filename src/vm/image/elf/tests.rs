use alloc::string::String;
use alloc::vec;

use super::*;

const RAM: u64 = 0x4000_0000;

/// A segment to write: physical and virtual address, size in memory, contents.
type Part<'a> = (u64, u64, u64, &'a [u8]);

/// Writes a program; contents follow the tables one after the other.
pub(in crate::vm) fn program(entry: u64, parts: &[Part<'_>]) -> Vec<u8> {
    let mut file = vec![0; 64];
    file[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
    file[16..20].copy_from_slice(&[2, 0, 183, 0]);
    file[24..32].copy_from_slice(&entry.to_le_bytes());
    file[32] = 64;
    file[54] = 56;
    file[56] = parts.len() as u8 + 1;
    let mut at = (64 + 56 * (parts.len() + 1)) as u64;
    for (physical, address, size, contents) in parts {
        let length = contents.len() as u64;
        file.extend(1_u32.to_le_bytes());
        file.extend(7_u32.to_le_bytes());
        for word in [at, *address, *physical, length, *size, 0x1000] {
            file.extend(word.to_le_bytes());
        }
        at += length;
    }
    // One that is of no account: a note.
    file.extend([4, 0, 0, 0]);
    file.extend([0xff; 52]);
    parts.iter().for_each(|part| file.extend(part.3));
    file
}

fn read(file: &[u8]) -> Result<Elf, Refusal> {
    Elf::read(file, file.len() as u64)
}

fn refusal(file: &[u8]) -> String {
    let text = read(file).unwrap_err().0;
    String::from(text.strip_prefix("the kernel is an ELF file").unwrap())
}

fn ram(size: u64) -> Extent {
    Extent::new(Ipa::new(RAM), size).unwrap()
}

#[test]
fn segments_in_ram_go_where_they_say() {
    let file = program(
        0xffff_0000_0000_1004,
        &[
            (RAM + 0x9000, 0xffff_0000_0000_9000, 0x100, b"data"),
            (RAM + 0x1000, 0xffff_0000_0000_1000, 8, b"codecode"),
            (RAM + 0xa000, 0, 0x1000, b""),
        ],
    );
    let elf = read(&file).unwrap();
    let (place, entry) = elf.place(ram(1 << 20)).unwrap();
    assert_eq!(place, Extent::new(Ipa::new(RAM + 0x1000), 0xa000).unwrap());
    assert_eq!(entry, Ipa::new(RAM + 0x1004), "virtual made physical");
    let table = 64 + 4 * 56;
    let piece = |file, offset| Piece { file, offset };
    assert_eq!(
        elf.pieces(),
        [
            piece(table + 4..table + 12, 0),
            piece(table..table + 4, 0x8000),
            piece(table + 12..table + 12, 0x9000),
        ]
    );
}

#[test]
fn an_entry_may_be_physical() {
    let elf = read(&program(RAM + 4, &[(RAM, 1 << 40, 8, b"code")])).unwrap();
    assert_eq!(elf.place(ram(1 << 20)).unwrap().1, Ipa::new(RAM + 4));
}

#[test]
fn a_program_made_for_elsewhere_is_moved() {
    let base = 0xffff_8000_8020_0000;
    let file = program(
        base + 0x1_0000,
        &[
            (base + 0x1_0000, base + 0x1_0000, 4, b"code"),
            (base + 0x30_0000, base + 0x30_0000, 0x1000, b""),
        ],
    );
    let elf = read(&file).unwrap();
    let (place, entry) = elf.place(ram(4 << 20)).unwrap();
    assert_eq!(place.start, Ipa::new(RAM + 0x1_0000));
    assert_eq!(place.end(), Ipa::new(RAM + 0x30_1000));
    assert_eq!(entry, place.start);
    // RAM that begins within a block of 2 MiB is left alone up to the next.
    let odd = Extent::new(Ipa::new(RAM + 0x1000), 8 << 20).unwrap();
    assert_eq!(elf.place(odd).unwrap().0.start, Ipa::new(RAM + 0x21_0000));
    assert_eq!(
        elf.place(ram(2 << 20)).unwrap_err().0,
        "2097152 bytes of RAM do not hold a kernel of 3084288 bytes"
    );
}

#[test]
fn segments_half_in_ram_are_refused() {
    let elf = read(&program(RAM, &[(RAM, RAM, 8, b""), (8, 8, 8, b"")])).unwrap();
    assert_eq!(
        elf.place(ram(1 << 20)).unwrap_err().0,
        "the kernel is an ELF file whose segment of 8 bytes at 0x8 is outside its RAM, \
         1048576 bytes at 0x40000000"
    );
    let large = read(&program(RAM, &[(RAM, RAM, 2 << 20, b"")])).unwrap();
    assert!(large.place(ram(1 << 20)).is_err());
    assert!(large.place(ram(2 << 20)).is_ok());
}

#[test]
fn what_is_wrong_is_told() {
    let good = program(RAM, &[(RAM, RAM, 16, b"codecode")]);
    let with = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        refusal(&file)
    };
    assert_eq!(refusal(&good[..63]), ", but cut short in its header");
    assert_eq!(with(4, &[1]), ", but not a 64-bit one");
    assert_eq!(with(5, &[2]), ", but big-endian");
    assert_eq!(
        with(18, &[62]),
        ", but for another architecture than AArch64"
    );
    assert_eq!(with(16, &[1]), ", but not a program");
    assert_eq!(with(56, &[0]), " with 0 program headers of 56 bytes");
    assert_eq!(with(54, &[32]), " with 2 program headers of 32 bytes");
    assert_eq!(
        with(32, &u64::MAX.to_le_bytes()),
        " whose program headers, at 0xffffffffffffffff, are not all there: the file is cut short"
    );
    assert_eq!(
        refusal(&good[..100]),
        " whose program headers, at 0x40, are not all there: the file is cut short"
    );
    assert_eq!(
        Elf::read(&good[..100], 1000).unwrap_err().0,
        "the kernel is an ELF file whose program headers, at 0x40, are too far into a compressed file"
    );
    assert_eq!(
        refusal(&good[..good.len() - 1]),
        " whose segment at 0x40000000 is not all there: the file is cut short"
    );
    assert_eq!(
        with(64 + 40, &[7]),
        " whose segment at 0x40000000 is larger in the file than in memory"
    );
    assert_eq!(
        with(64 + 24, &[0xff; 8]),
        " whose segment at 0xffffffffffffffff ends past the last address"
    );
    assert_eq!(with(64, &[0]), " with nothing to load");
    assert_eq!(
        with(24, &[16]),
        " whose entry, 0x40000010, is in none of its segments"
    );
    let overlap = [(RAM + 8, RAM, 16, &b""[..]), (RAM, 8, 9, b"")];
    assert_eq!(
        refusal(&program(RAM, &overlap)),
        " whose segments at 0x40000000 and 0x40000008 overlap"
    );
}
