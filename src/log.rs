//! The hypervisor's own messages: the `log` crate's sink.
//!
//! A message is one line, `[entresol] text`, and warnings and errors say so. Where it goes is
//! set once at boot; before that, messages are dropped.

use crate::sync::Once;
use core::fmt::{self, Write};
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
        // A sink takes everything.
        let _ = Out(sink).write_fmt(text);
    }
}

struct Out(Sink);

impl Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        (self.0)(text);
        Ok(())
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
        print(format_args!("[entresol] {kind}{}\n", record.args()));
    }

    fn flush(&self) {}
}
