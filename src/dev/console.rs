//! The machine's serial console: the hypervisor's messages, and the guests' output and input.
//!
//! One guest is *in front*: its output appears as it comes, and what is typed is its. The lines of
//! the others appear whole. Where there are several guests, each line says whose it is.

use super::uart::Uart;
use crate::sync::{Rank, SpinLock};
use alloc::boxed::Box;
use core::sync::atomic::{AtomicU32, Ordering};

/// Returns the console, once there is one.
#[cfg(target_os = "none")]
fn shared() -> &'static SpinLock<Option<Console>> {
    static CONSOLE: SpinLock<Option<Console>> = SpinLock::new(Rank::Console, None);
    &CONSOLE
}

/// Returns this thread's console: each has a machine of its own.
#[cfg(not(target_os = "none"))]
fn shared() -> &'static SpinLock<Option<Console>> {
    std::thread_local! {
        static CONSOLE: &'static SpinLock<Option<Console>> = Box::leak(Box::new(SpinLock::new(Rank::Console, None)));
    }
    CONSOLE.with(|console| *console)
}

struct Console {
    uart: Uart,
    /// Whether the last byte sent ended a line.
    at_line_start: bool,
    /// Who wrote it; 0 is the hypervisor.
    writer: u32,
    /// Whose output appears as it comes.
    front: u32,
    /// Whether the guest in front has the console to itself, byte for byte.
    raw: bool,
    /// Whether lines say whose they are.
    names: bool,
    /// Whether input waits in the UART because its reader has no room.
    holds_input: bool,
}

/// How many bytes of a line are kept until it is whole.
const LINE: usize = 160;

/// A guest's end of the console.
pub struct Port {
    id: u32,
    name: Box<str>,
    line: SpinLock<Line>,
}

struct Line {
    bytes: [u8; LINE],
    length: usize,
}

impl Port {
    /// Makes the port of a guest.
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            name: name.into(),
            line: SpinLock::new(
                Rank::Line,
                Line {
                    bytes: [0; LINE],
                    length: 0,
                },
            ),
        }
    }

    /// Sends a byte of the guest.
    pub fn put(&self, byte: u8) {
        let mut guard = shared().lock();
        let Some(console) = guard.as_mut() else {
            return;
        };
        if console.front == self.id {
            return console.put(self, byte);
        }
        if console.raw {
            return;
        }
        let mut line = self.line.lock();
        let place = line.length;
        if let Some(slot) = line.bytes.get_mut(place) {
            *slot = byte;
            line.length += 1;
        }
        if byte == b'\n' || line.length == LINE {
            for &byte in line.bytes.iter().take(line.length) {
                console.put(self, byte);
            }
            if byte != b'\n' {
                console.end_line();
            }
            line.length = 0;
        }
    }
}

/// Makes a UART the console.
pub fn install(uart: Uart) {
    *shared().lock() = Some(Console {
        uart,
        at_line_start: true,
        writer: 0,
        front: 0,
        raw: false,
        names: false,
        holds_input: false,
    });
}

fn with(f: impl FnOnce(&mut Console)) {
    if let Some(console) = shared().lock().as_mut() {
        f(console);
    }
}

/// Lets input raise the UART's interrupt.
pub fn enable_input() {
    with(|console| console.uart.enable_receive_interrupt());
}

/// Brings a guest to the front; `raw` gives it the console to itself.
pub fn bring_to_front(port: &Port, raw: bool) {
    with(|console| {
        console.front = port.id;
        console.raw = raw;
    });
}

/// Sets whether guests' lines say whose they are.
pub fn show_names(names: bool) {
    with(|console| console.names = names);
}

/// How often a message asks for the lock before it is dropped: a fault of EL2 may have happened
/// while this CPU held it.
const PATIENCE: u32 = 1_000_000;

/// Writes text of the hypervisor. A message, which begins with a bracket, begins a line.
pub fn print(text: &str) {
    for _ in 0..PATIENCE {
        if let Some(mut console) = shared().try_lock() {
            if let Some(console) = console.as_mut() {
                console.print(text);
            }
            return;
        }
        core::hint::spin_loop();
    }
}

/// Input that has arrived, for its reader.
pub struct Input<'a>(&'a mut Console);

impl Input<'_> {
    /// Returns the next byte that was typed.
    pub fn next_byte(&mut self) -> Option<u8> {
        self.0.uart.get()
    }

    /// Shows text to whoever types.
    pub fn echo(&mut self, text: &str) {
        self.0.print(text);
    }
}

/// Lets `take` read what was typed; it returns false when it had no room for more. Then the rest is
/// held back in the UART, without interrupts, until this is called again.
pub fn receive(take: impl FnOnce(&mut Input<'_>) -> bool) {
    with(|console| {
        console.uart.clear_receive_interrupt();
        let had_room = take(&mut Input(console));
        if had_room == console.holds_input {
            console.holds_input = !had_room;
            if had_room {
                console.uart.enable_receive_interrupt();
            } else {
                console.uart.disable_receive_interrupt();
            }
        }
    });
}

/// Returns whether input waits for its reader to have room.
pub fn holds_input() -> bool {
    let console = shared().lock();
    console.as_ref().is_some_and(|console| console.holds_input)
}

impl Console {
    /// Sends a byte of a guest.
    fn put(&mut self, port: &Port, byte: u8) {
        if self.writer != port.id {
            self.end_line();
            self.writer = port.id;
        }
        if self.at_line_start && self.names && !self.raw {
            self.send("[");
            self.send(&port.name);
            self.send("] ");
        }
        self.uart.put(byte);
        self.at_line_start = byte == b'\n';
    }

    fn print(&mut self, text: &str) {
        if self.writer != 0 || text.starts_with('[') {
            self.end_line();
            self.writer = 0;
        }
        self.send(text);
    }

    fn end_line(&mut self) {
        if !self.at_line_start {
            self.send("\n");
        }
    }

    fn send(&mut self, text: &str) {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.uart.put(b'\r');
            }
            self.uart.put(byte);
            self.at_line_start = byte == b'\n';
        }
    }
}
