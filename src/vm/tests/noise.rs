//! A guest that does nonsense all the time fills neither the log nor the console.

use super::fixture::*;
use crate::isa::{encoding::Encoding, psci};

const ABSENT: Encoding = Encoding::new(3, 3, 9, 12, 0);

/// Does every kind of nonsense once.
fn nonsense(guest: &mut Guest) {
    let _ = guest.mrs(ABSENT, 1);
    let _ = guest.access(0x0a00_0000, load(4, 1));
    guest.set_x(0, 0x8400_7777);
    let _ = guest.hvc(0);
    let _ = guest.interrupt(50);
}

#[test]
fn the_first_of_its_kind_is_shown_and_the_rest_counted() {
    let mut guest = Guest::new();
    for _ in 0..1000 {
        let _ = guest.mrs(ABSENT, 1);
    }
    let lines = take_lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("test: read of a register it does not have"));
    assert!(lines[0].contains("S3_3_C9_C12_0"), "{lines:?}");
    set_count(FREQUENCY);
    let _ = guest.mrs(ABSENT, 1);
    let lines = take_lines();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].ends_with("(999 more not shown)"), "{lines:?}");
}

#[test]
fn a_second_has_four_lines_whatever_the_guest_does() {
    let mut guest = Guest::new();
    for millisecond in 0..5000 {
        set_count(FREQUENCY / 1000 * millisecond);
        nonsense(&mut guest);
    }
    assert_eq!(take_lines().len(), 5 * 4);
}

#[test]
fn a_guest_that_behaves_is_not_spoken_of() {
    let mut guest = Guest::new();
    guest.set_x(0, psci::VERSION.into());
    let _ = guest.hvc(0);
    let _ = guest.mrs(Encoding::new(3, 0, 0, 4, 0), 1);
    let _ = guest.interrupt(INTERRUPTS.virtual_timer);
    assert_eq!(guest.load(0x0900_0018, 4) & 0x80, 0x80);
    assert_eq!(take_lines(), [""; 0]);
}
