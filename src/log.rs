//! The hypervisor's own messages: the `log` crate's sink.
//!
//! A message is one line, `[entresol] text`, and warnings and errors say so. Where it goes is
//! set once at boot; before that, messages are dropped.

mod line;

use crate::sync::{Once, Rank, SpinLock};
use core::fmt::{self, Write};
use line::Line;
use log::{Level, LevelFilter, Log, Metadata, Record};

/// Writes text to the console, without waiting for a lock that a fault may hold.
pub type Sink = fn(&str);

static SINK: Once<Sink> = Once::new();

/// Starts logging to `sink`. Only the first call counts.
pub fn init(sink: Sink) {
    SINK.call_once(|| sink);
    // A second logger is refused, which is what is wanted.
    let _ = log::set_logger(&Logger);
    log::set_max_level(LevelFilter::Info);
}

/// Returns whether messages go anywhere.
pub fn is_on() -> bool {
    SINK.is_completed()
}

/// Writes text as it is to where messages go.
pub fn print(text: fmt::Arguments<'_>) {
    if let Some(&sink) = SINK.get() {
        let mut line = Line::new(sink);
        // It takes everything.
        let _ = line.write_fmt(text);
        line.flush();
    }
}

/// How many bytes of messages are kept.
const KEPT: usize = 4096;

/// The latest messages.
static RING: SpinLock<Ring> = SpinLock::new(
    Rank::Messages,
    Ring {
        bytes: [0; KEPT],
        next: 0,
    },
);

struct Ring {
    bytes: [u8; KEPT],
    /// How many bytes were written ever.
    next: usize,
}

impl Write for Ring {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.bytes[self.next % KEPT] = byte;
            self.next += 1;
        }
        Ok(())
    }
}

/// Prints the latest messages once more, from the first whole line kept.
pub fn replay() {
    let ring = RING.lock();
    let start = ring.next.saturating_sub(KEPT);
    let kept = (start..ring.next).map(|n| char::from(ring.bytes[n % KEPT]));
    let mut whole = start == 0;
    for c in kept {
        if whole {
            print(format_args!("{c}"));
        }
        whole |= c == '\n';
    }
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let kind = match record.level() {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            Level::Info | Level::Debug | Level::Trace => "",
        };
        let line = format_args!("[entresol] {kind}{}\n", record.args());
        print(line);
        // A fault while this is held must not wait for it.
        if let Some(mut ring) = RING.try_lock() {
            // The ring takes everything.
            let _ = ring.write_fmt(line);
        }
    }

    fn flush(&self) {}
}
