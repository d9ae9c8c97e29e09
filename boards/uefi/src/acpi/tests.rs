//! The reader, over tables of QEMU's, hand-made ones, and broken ones.

mod mutated;
mod qemu;
pub(crate) mod server;

use alloc::vec;
use alloc::vec::Vec;

use super::*;

/// Memory with holes: pieces and where they are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pieces(pub(crate) Vec<(u64, Vec<u8>)>);

impl Memory for Pieces {
    fn read(&self, address: u64, length: usize) -> Option<&[u8]> {
        self.0.iter().find_map(|(start, bytes)| {
            let from = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get(from..from.checked_add(length)?)
        })
    }
}

impl Pieces {
    /// Reads a dump: the address and the size of each piece, then its bytes.
    pub(crate) fn from_dump(dump: &[u8]) -> Self {
        let mut pieces = vec![];
        let mut rest = dump;
        while !rest.is_empty() {
            let address = rest.u64_at(0).unwrap();
            let size = rest.u32_at(8).unwrap() as usize;
            pieces.push((address, rest[12..12 + size].to_vec()));
            rest = &rest[12 + size..];
        }
        Self(pieces)
    }

    /// Returns where the root pointer is: the first piece of a dump.
    pub(crate) fn rsdp(&self) -> u64 {
        self.0[0].0
    }

    pub(crate) fn machine(&self) -> Result<Machine, Refusal> {
        Tables::find(self, self.rsdp())?.machine()
    }

    /// Makes a root pointer, a root table and these tables, whose checksums are made right.
    pub(crate) fn of(tables: Vec<Vec<u8>>) -> Self {
        const ROOT: u64 = 0x8_0000_0000;
        let mut pieces = vec![];
        let mut list = vec![];
        for (number, mut table) in tables.into_iter().enumerate() {
            seal(&mut table, 9);
            let address = ROOT + 0x1_0000 * (2 + number as u64);
            list.extend(address.to_le_bytes());
            pieces.push((address, table));
        }
        let mut root = table(b"XSDT", &list);
        seal(&mut root, 9);
        pieces.insert(0, (ROOT + 0x1_0000, root));
        let mut pointer = b"RSD PTR \0MAKER \x02".to_vec();
        pointer.extend([0; 20]);
        pointer[20..24].copy_from_slice(&36_u32.to_le_bytes());
        pointer[24..32].copy_from_slice(&(ROOT + 0x1_0000).to_le_bytes());
        pointer[8] = 0_u8.wrapping_sub(sum(&pointer[..20]));
        seal(&mut pointer, 32);
        pieces.insert(0, (ROOT, pointer));
        Self(pieces)
    }
}

/// Makes a checksum right.
pub(crate) fn seal(bytes: &mut [u8], at: usize) {
    bytes[at] = 0;
    bytes[at] = 0_u8.wrapping_sub(sum(bytes));
}

/// Makes a table of this body.
pub(crate) fn table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut table = signature.to_vec();
    table.extend((HEADER as u32 + body.len() as u32).to_le_bytes());
    table.extend([3, 0]);
    table.extend(b"MAKER BOARD   ");
    table.extend([0; HEADER - 24]);
    table.extend(body);
    table
}

fn refused(pieces: &Pieces, wanted: &str) {
    let refusal = pieces.machine().unwrap_err();
    assert!(refusal.0.contains(wanted), "{refusal} lacks {wanted:?}");
    assert!(!refusal.0.contains('\n'));
}

#[test]
fn what_the_root_leads_to_is_checked() {
    let good = server::tables();
    assert!(good.machine().is_ok());
    let broken = |change: &dyn Fn(&mut Pieces)| {
        let mut pieces = good.clone();
        change(&mut pieces);
        pieces
    };
    refused(&broken(&|p| p.0[0].1[0] = b'X'), "isn't there");
    refused(&broken(&|p| p.0[0].1[9] ^= 1), "a wrong checksum");
    refused(&broken(&|p| p.0[0].1[33] ^= 1), "wrong extended checksum");
    refused(&broken(&|p| p.0[0].1.truncate(30)), "is cut short");
    refused(&broken(&|p| p.0[1].1[40] ^= 1), "XSDT");
    refused(&broken(&|p| p.0[1].1.truncate(40)), "reaches beyond memory");
    let renamed = broken(&|p| {
        p.0[1].1[0] = b'Y';
        seal(&mut p.0[1].1, 9);
    });
    refused(&renamed, "leads to YSDT, not to XSDT");
}

#[test]
fn a_broken_table_is_as_good_as_none() {
    let good = server::tables();
    for (at, signature) in [(2, "FACP"), (3, "APIC"), (4, "GTDT")] {
        let mut pieces = good.clone();
        pieces.0[at].1[30] ^= 1;
        refused(&pieces, &alloc::format!("no usable {signature} table"));
    }
    // The others are done without, and it is told.
    let mut pieces = good.clone();
    pieces.0[5].1[30] ^= 1;
    let machine = pieces.machine().unwrap();
    assert_eq!(machine.uart, None);
    assert!(machine.notes[0].contains("SPCR at") && machine.notes[0].contains("checksum"));
}

#[test]
fn the_old_root_table_serves_where_there_is_no_new_one() {
    let mut pieces = server::tables();
    let entries: Vec<u8> = (2..pieces.0.len() as u32 - 1)
        .flat_map(|at| (0x4000 * at).to_le_bytes())
        .collect();
    for (at, piece) in pieces.0.iter_mut().enumerate().skip(2) {
        piece.0 = 0x4000 * at as u64;
    }
    let mut root = table(b"RSDT", &entries);
    seal(&mut root, 9);
    pieces.0[1] = (0x1000, root);
    let pointer = &mut pieces.0[0].1;
    pointer[15] = 0;
    pointer[16..20].copy_from_slice(&0x1000_u32.to_le_bytes());
    pointer[8] = 0;
    pointer[8] = 0_u8.wrapping_sub(sum(&pointer[..20]));
    assert_eq!(pieces.machine().unwrap().cpus.len(), 80);
}
