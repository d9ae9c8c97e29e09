//! Tables with bytes changed: read without a panic, and only inside their memory.

use super::*;
use crate::machine::Place;
use crate::tree::{Handover, write};

/// A generator of numbers below a bound, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    /// Bytes that break things more often than others.
    fn byte(&mut self) -> u8 {
        match self.below(5) {
            0 => 0,
            1 => 0xff,
            2 => 1 << self.below(8),
            _ => self.below(256) as u8,
        }
    }
}

/// Changes a piece in a few places; the checksum is made right nine times in ten.
fn mutate(pieces: &mut Pieces, random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        let piece = 1 + random.below(pieces.0.len() - 1);
        let bytes = &mut pieces.0[piece].1;
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] = random.byte();
        }
        if random.below(8) == 0 {
            let size = 1 + random.below(bytes.len());
            bytes.truncate(size);
            if let Some(field) = bytes.get_mut(4..8) {
                field.copy_from_slice(&(size as u32).to_le_bytes());
            }
        }
        if bytes.len() > 9 && random.below(10) != 0 {
            seal(bytes, 9);
        }
    }
}

#[test]
fn ten_thousand_mutated_tables() {
    let dump = |bytes: &[u8]| Pieces::from_dump(bytes);
    let good = [
        dump(include_bytes!("../../../tests/data/virt-gicv3.acpi")),
        dump(include_bytes!("../../../tests/data/virt-gicv2.acpi")),
        server::tables(),
    ];
    let memory = [Place::new(0x8000_0000, 0x8000_0000).unwrap()];
    let handover = Handover {
        memory: &memory,
        bundle: None,
        bootargs: "",
        seed: &[],
        time_at_count_0: None,
    };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut accepted, mut read) = (0, 0);
    for round in 0..10_000 {
        let mut pieces = good[round % good.len()].clone();
        mutate(&mut pieces, &mut random);
        let Ok(machine) = pieces.machine() else {
            continue;
        };
        accepted += 1;
        // What was accepted makes a tree, and the hypervisor can tell what it thinks of it.
        let tree = write(&machine, &handover);
        let tree = entresol::board::fdt::check(&tree).expect("the tree is well formed");
        read += usize::from(entresol::board::Board::from_fdt(&tree).is_ok());
    }
    assert!((2_000..9_500).contains(&accepted), "{accepted} accepted");
    assert!(read > 1_000, "{read} of {accepted} read");
}
