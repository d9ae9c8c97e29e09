use super::*;
use crate::addr::{Pa, PaRange};
use crate::board::Board;
use crate::board::uart::{Uart, UartKind};

pub(in crate::board) const VIRT_V3: &[u8] =
    include_bytes!("../../../tests/data/virt-gicv3-1cpu.dtb");
pub(in crate::board) const VIRT_V3_6G: &[u8] =
    include_bytes!("../../../tests/data/virt-gicv3-4cpu-6g.dtb");
pub(in crate::board) const VIRT_V2: &[u8] =
    include_bytes!("../../../tests/data/virt-gicv2-4cpu-secure.dtb");
pub(in crate::board) const RPI4: &[u8] = include_bytes!("../../../tests/data/rpi4.dtb");
pub(in crate::board) const ODD: &[u8] = include_bytes!("../../../tests/data/odd.dtb");
const ALL: [&[u8]; 5] = [VIRT_V3, VIRT_V3_6G, VIRT_V2, RPI4, ODD];

/// Builds small trees by hand, right or wrong.
struct Blob {
    structure: Vec<u8>,
    strings: &'static [u8],
}

impl Blob {
    fn new() -> Self {
        Self {
            structure: vec![],
            strings: b"reg\0#size-cells\0\xff\0",
        }
    }

    fn word(mut self, word: u32) -> Self {
        self.structure.extend(word.to_be_bytes());
        self
    }

    fn begin(self, name: &[u8]) -> Self {
        let mut blob = self.word(1);
        blob.structure.extend(name);
        blob.structure.push(0);
        while !blob.structure.len().is_multiple_of(4) {
            blob.structure.push(0);
        }
        blob
    }

    fn property(self, name: u32, word: u32) -> Self {
        self.word(3).word(4).word(name).word(word)
    }

    fn end(self) -> Self {
        self.word(2)
    }

    fn build(self) -> Vec<u8> {
        let strings = 56 + self.structure.len() as u32;
        let total = strings + self.strings.len() as u32;
        let (structure, names) = (self.structure.len() as u32, self.strings.len() as u32);
        let header = [
            MAGIC, total, 56, strings, 40, 17, 16, 0, names, structure, 0, 0, 0, 0,
        ];
        let mut blob: Vec<u8> = header.iter().flat_map(|word| word.to_be_bytes()).collect();
        blob.extend(self.structure);
        blob.extend(self.strings);
        blob
    }

    fn refusal(self) -> String {
        refusal(&self.build())
    }
}

fn refusal(blob: &[u8]) -> String {
    check(blob).map(|_| ()).unwrap_err().0
}

fn set_word(blob: &[u8], at: usize, word: u32) -> Vec<u8> {
    let mut copy = blob.to_vec();
    copy[at..at + 4].copy_from_slice(&word.to_be_bytes());
    copy
}

#[test]
fn real_trees_pass_as_they_are() {
    for blob in ALL {
        let tree = check(blob).unwrap();
        assert_eq!(tree.bytes(), blob);
        assert!(matches!(tree.blob, Cow::Borrowed(_)));
    }
    assert!(check(&Blob::new().begin(b"").end().word(9).build()).is_ok());
}

#[test]
fn bytes_past_the_end_are_cut_off() {
    let mut blob = RPI4.to_vec();
    blob.extend([0xaa; 100]);
    assert_eq!(check(&blob).unwrap().bytes(), RPI4);
}

#[test]
fn the_header_is_checked() {
    assert_eq!(refusal(b"\xd0\r"), "device tree: 2 bytes only");
    assert_eq!(
        refusal(&set_word(RPI4, 0, 0xedfe_0dd0)),
        "device tree: begins with 0xedfe0dd0, not 0xd00dfeed"
    );
    assert_eq!(
        refusal(&set_word(RPI4, 4, 39)),
        "device tree: a size of 39 bytes is not sane"
    );
    assert_eq!(
        refusal(&set_word(RPI4, 4, 0x20_0001)),
        "device tree: a size of 2097153 bytes is not sane"
    );
    assert_eq!(
        refusal(&RPI4[..500]),
        alloc::format!("device tree: 500 of {} bytes are there", RPI4.len())
    );
    assert_eq!(
        refusal(&set_word(RPI4, 20, 16)),
        "device tree: version 16, readable as 16; 17 is needed"
    );
    assert_eq!(
        refusal(&set_word(RPI4, 24, 18)),
        "device tree: version 17, readable as 18; 17 is needed"
    );
}

#[test]
fn blocks_lie_inside_and_aligned() {
    for (at, name) in [
        (8, "structure"),
        (12, "strings"),
        (16, "memory reservation"),
    ] {
        for place in [u32::MAX, RPI4.len() as u32, 4] {
            let text = refusal(&set_word(RPI4, at, place));
            assert!(text.contains(name), "{text}");
        }
    }
    assert!(refusal(&set_word(RPI4, 8, 0x4a)).contains("misplaced"));
    assert!(refusal(&set_word(RPI4, 16, 44)).contains("misplaced"));
    assert!(refusal(&set_word(RPI4, 36, u32::MAX)).contains("misplaced"));
    // A list of reservations that begins where no pair of zeros follows.
    let last = (RPI4.len() as u32 - 16) & !7;
    assert_eq!(
        refusal(&set_word(RPI4, 16, last)),
        "device tree: the memory reservation block does not end"
    );
}

#[test]
fn nodes_and_properties_follow_the_format() {
    let at =
        |what, at: usize| alloc::format!("device tree: {what} at {at:#x} of the structure block");
    let blob = Blob::new;
    assert_eq!(
        blob().word(9).refusal(),
        at("an end without a root node", 0)
    );
    assert_eq!(
        blob().begin(b"x").end().word(9).refusal(),
        at("a root node with a name", 0)
    );
    assert_eq!(
        blob().begin(b"").end().begin(b"").end().word(9).refusal(),
        at("a second root node", 12)
    );
    assert_eq!(
        blob().begin(b"").begin(b"").refusal(),
        at("a node without a name", 8)
    );
    assert_eq!(
        blob().begin(b"").begin(b"\xff").refusal(),
        at("a node name that is not UTF-8", 8)
    );
    assert_eq!(
        blob().begin(b"").end().end().refusal(),
        at("an end of a node that never began", 12)
    );
    assert_eq!(
        blob().begin(b"").word(9).refusal(),
        at("an end inside a node", 8)
    );
    assert_eq!(
        blob().property(0, 0).refusal(),
        at("a property outside any node", 0)
    );
    assert_eq!(
        blob().begin(b"").begin(b"a").end().property(0, 0).refusal(),
        at("a property after a child node", 20)
    );
    assert_eq!(
        blob().begin(b"").property(999, 0).refusal(),
        at("a property whose name is not in the strings block", 8)
    );
    assert_eq!(
        blob().begin(b"").property(16, 0).refusal(),
        at("a property name that is not UTF-8", 8)
    );
    assert_eq!(
        blob().begin(b"").property(4, 5).refusal(),
        at("a cell count that is not sane", 8)
    );
    for broken in [
        blob().begin(b"").end(),
        blob().word(1).word(0x6161_6161),
        blob().begin(b"").word(3).word(5).word(0).word(0),
        blob().begin(b"").word(3).word(u32::MAX).word(0).word(0),
        blob().begin(b"").word(3).word(0),
        blob().begin(b"").word(7),
    ] {
        let text = broken.refusal();
        assert!(
            text.starts_with("device tree: a broken token at "),
            "{text}"
        );
    }
}

#[test]
fn nodes_nest_so_deep_and_no_deeper() {
    let nested = |depth| {
        let mut blob = Blob::new().begin(b"");
        for _ in 1..depth {
            blob = blob.begin(b"n");
        }
        for _ in 0..depth {
            blob = blob.end();
        }
        blob.word(9)
    };
    let blob = nested(MAX_DEPTH).build();
    let tree = check(&blob).unwrap();
    assert_eq!(
        fdt::Fdt::new(tree.bytes()).unwrap().all_nodes().count(),
        MAX_DEPTH
    );
    assert!(nested(MAX_DEPTH + 1).refusal().contains("a node too deep"));
}

#[test]
fn nops_are_closed_up() {
    let plain = |nop: &[u32]| {
        let mut blob = Blob::new();
        let pad = |mut blob: Blob| {
            for &word in nop {
                blob = blob.word(word);
            }
            blob
        };
        blob = pad(blob).begin(b"");
        blob = pad(blob).property(0, 1);
        blob = pad(blob).property(4, 2);
        blob = pad(blob).begin(b"child");
        blob = pad(blob).end();
        blob = pad(blob).end();
        pad(blob).word(9)
    };
    let (mut with, without) = (plain(&[4, 4]).build(), plain(&[]));
    let used = with.len();
    // Room at the end, as loaders leave it, is not copied.
    with.resize(used + 1000, 0xaa);
    let with = set_word(&with, 4, used as u32 + 1000);
    let tree = check(&with).unwrap();
    assert_eq!(tree.bytes().len(), used);
    assert_eq!(total_size(tree.bytes()), Ok(used));
    assert_eq!(
        &tree.bytes()[56..56 + without.structure.len()],
        without.structure
    );
    let fdt = fdt::Fdt::new(tree.bytes()).unwrap();
    let root = fdt.all_nodes().next().unwrap();
    assert_eq!(root.properties().count(), 2);
    assert_eq!(
        root.children().map(|node| node.name).collect::<Vec<_>>(),
        ["child"]
    );
}

fn pl011_at(base: u64) -> Option<Uart> {
    Some(Uart {
        kind: UartKind::Pl011,
        registers: PaRange::new(Pa::new(base), 0x1000)?,
        shift: 2,
        width: 4,
        interrupt: None,
        enables: None,
    })
}

#[test]
fn a_uart_is_found_in_a_whole_tree() {
    assert_eq!(find_uart_leniently(VIRT_V3), pl011_at(0x900_0000));
    // The secure one, which comes first, is disabled.
    assert_eq!(find_uart_leniently(VIRT_V2), pl011_at(0x900_0000));
    assert_eq!(find_uart_leniently(RPI4), pl011_at(0xfe20_1000));
    assert_eq!(find_uart_leniently(&[]), None);
    assert_eq!(find_uart_leniently(&set_word(RPI4, 0, 1)), None);
}

/// Cut anywhere after the UART, the tree fails its check and still names the UART.
#[test]
fn a_uart_is_found_in_a_cut_tree() {
    let structure = be32(VIRT_V3, 8).unwrap() as usize;
    let end = structure + be32(VIRT_V3, 36).unwrap() as usize;
    let name = b"pl011@9000000\0";
    let uart = VIRT_V3.windows(name.len()).position(|w| w == name).unwrap();
    for cut in uart + 300..VIRT_V3.len() {
        let blob = &VIRT_V3[..cut];
        assert!(check(blob).is_err());
        assert_eq!(
            find_uart_leniently(blob),
            pl011_at(0x900_0000),
            "cut at {cut:#x} of {end:#x}"
        );
    }
    for cut in 0..uart {
        assert_eq!(find_uart_leniently(&VIRT_V3[..cut]), None);
    }
}

/// A source of mutations that repeats itself.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    /// Breaks a tree a little: bits, words, cuts, pieces of itself in other places.
    fn mutate(&mut self, blob: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(blob.len());
            match self.below(8) {
                0..=2 => blob[at] ^= 1 << self.below(8),
                3 => blob[at] = self.below(256) as u8,
                4 | 5 => {
                    let words = [0, 1, 2, 3, 4, 9, 0x7fff_ffff, u32::MAX];
                    let word = words[self.below(words.len())].to_be_bytes();
                    let at = at & !3;
                    blob.splice(at..(at + 4).min(blob.len()), word);
                }
                6 => {
                    let (from, size) = (self.below(blob.len()) & !3, 4 * (1 + self.below(16)));
                    let piece = blob[from..(from + size).min(blob.len())].to_vec();
                    let end = (at & !3).saturating_add(piece.len()).min(blob.len());
                    blob.splice(at & !3..end, piece);
                }
                _ if self.below(8) == 0 => blob.truncate(at.max(44)),
                _ => {
                    // A word of the structure block made some token, the header left true.
                    let structure = be32(blob, 8).unwrap_or(0) as usize;
                    let at = ((structure + self.below(4000)) & !3).min(blob.len());
                    let word = [1, 2, 3, 4, 9, 0][self.below(6)];
                    blob.splice(at..(at + 4).min(blob.len()), u32::to_be_bytes(word));
                }
            }
        }
    }
}

/// Whatever passes the check can be read without a panic, by `fdt` and by us.
#[test]
fn what_is_checked_does_not_panic() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut refused, mut checked, mut boards) = (0, 0, 0);
    for round in 0..40_000 {
        let mut blob = ALL[round % ALL.len()].to_vec();
        random.mutate(&mut blob);
        find_uart_leniently(&blob);
        match check(&blob) {
            Err(_) => refused += 1,
            Ok(tree) => {
                checked += 1;
                boards += usize::from(Board::from_fdt(&tree).is_ok());
            }
        }
    }
    // The mutations are of use only if they land on all sides.
    assert!(refused > 5_000, "{refused} refused");
    assert!(checked > 5_000, "{checked} checked");
    assert!(
        boards > 2_000 && boards < checked - 1_000,
        "{boards} boards"
    );
}
