//! Every encoding there is: one VM writes them, another reads them.

use core::cell::UnsafeCell;

use guests::println;
use guests::rt::{console, timer, trap};

use super::stubs::{self, ENCODINGS, place, place_of};
use super::table::REGISTERS;

/// What is written. Bit 0 turns a timer on and bit 1 keeps it silent.
const PAINT: u64 = 0x6b5a_c3d2_96e1_78f7;

/// What is not painted, and why.
const SPARED: [(usize, &str); 5] = [
    (place(3, 0, 4, 2, 0), "SPSel: the stack"),
    (place(3, 3, 4, 2, 1), "DAIF: would take interrupts"),
    (
        place(2, 0, 1, 0, 4),
        "OSLAR_EL1: would keep breakpoints off the CPU",
    ),
    (
        place(3, 3, 14, 2, 0),
        "CNTP_TVAL_EL0: another name of CNTP_CVAL_EL0",
    ),
    (
        place(3, 3, 14, 3, 0),
        "CNTV_TVAL_EL0: another name of CNTV_CVAL_EL0",
    ),
];

/// What changes by itself: counts, random numbers, flags.
const RESTLESS: [usize; 9] = [
    place(3, 3, 14, 0, 1),
    place(3, 3, 14, 0, 2),
    place(3, 3, 14, 0, 5),
    place(3, 3, 14, 0, 6),
    place(3, 3, 14, 2, 0),
    place(3, 3, 14, 3, 0),
    place(3, 3, 2, 4, 0),
    place(3, 3, 2, 4, 1),
    place(3, 3, 4, 2, 0),
];

/// What was found out of one encoding.
#[derive(Clone, Copy)]
struct Known {
    readable: bool,
    writable: bool,
    value: u64,
}

struct Notes(UnsafeCell<[Known; ENCODINGS]>);

// SAFETY: one CPU, and only `notes` gives it out, once.
unsafe impl Sync for Notes {}

static NOTES: Notes = Notes(UnsafeCell::new(
    [Known {
        readable: false,
        writable: false,
        value: 0,
    }; ENCODINGS],
));

fn notes() -> &'static mut [Known; ENCODINGS] {
    // SAFETY: called once, by `paint` or by `look`.
    unsafe { &mut *NOTES.0.get() }
}

/// Writes the paint wherever it does no harm, for ever; starts when somebody types.
pub fn paint() {
    let notes = notes();
    stubs::make();
    println!("registers: ready to paint; end");
    while console::receive().is_none() {
        timer::pause(1000);
    }
    // Those that the program lives on come later, and in part.
    let partly = |place| REGISTERS.iter().any(|r| place_of(r.encoding) == place);
    for (place, known) in notes.iter_mut().enumerate() {
        if SPARED.iter().all(|(spared, _)| *spared != place) && !partly(place) {
            known.writable = trap::catch(|| stubs::write(place, PAINT)).is_none();
            known.readable = known.writable && trap::catch(|| _ = stubs::read(place)).is_none();
        }
    }
    let present: [bool; REGISTERS.len()] =
        core::array::from_fn(|n| trap::catch(|| _ = (REGISTERS[n].read)()).is_none());
    // No exception from here on, which would write registers.
    let mut written = 0;
    for round in 0_u64.. {
        let mut kept = 0;
        for (place, known) in notes.iter().enumerate().filter(|(_, k)| k.writable) {
            stubs::write(place, PAINT);
            kept += u32::from(known.readable && is_paint(stubs::read(place)));
            written += u32::from(round == 0);
        }
        for (register, _) in REGISTERS.iter().zip(present).filter(|(_, there)| *there) {
            let painted = (register.read)() & !register.mask | PAINT & register.mask;
            (register.write)(painted);
            kept += u32::from(register.mask != 0 && (register.read)() == painted);
            written += u32::from(round == 0);
        }
        if round == 0 {
            println!("registers: painted {written} encodings, {kept} kept it; end");
        }
    }
}

/// Reads all there is, before anybody painted and ever after.
pub fn look() {
    let notes = notes();
    stubs::make();
    for (place, known) in notes.iter_mut().enumerate() {
        known.readable = trap::catch(|| _ = stubs::read(place)).is_none();
    }
    // No exception from here on, which would write registers.
    let mut tally = Tally::default();
    for (place, known) in notes.iter_mut().enumerate().filter(|(_, k)| k.readable) {
        known.value = stubs::read(place);
        if is_paint(known.value) {
            tally.painted(place, known.value);
        }
    }
    println!("registers: looked before; end");
    loop {
        for _ in 0..50 {
            for (place, known) in notes.iter().enumerate().filter(|(_, k)| k.readable) {
                let value = stubs::read(place);
                if is_paint(value) || value != known.value && !RESTLESS.contains(&place) {
                    tally.painted(place, value);
                }
            }
            tally.times += 1;
        }
        let count = notes.iter().filter(|known| known.readable).count();
        println!(
            "registers: looked {} times at {count} encodings, {} changed: {:#x} is {:#x}; end",
            tally.times, tally.changed, tally.place, tally.value
        );
    }
}

/// What others may have left.
#[derive(Default)]
struct Tally {
    times: u64,
    changed: u64,
    /// The last encoding that changed, and what it became.
    place: usize,
    value: u64,
}

impl Tally {
    fn painted(&mut self, place: usize, value: u64) {
        self.changed += 1;
        (self.place, self.value) = (place, value);
    }
}

/// Returns whether a value, or half of it, is what the other VM writes.
const fn is_paint(value: u64) -> bool {
    value as u32 == PAINT as u32 || value >> 32 == PAINT >> 32
}
