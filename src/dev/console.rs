//! The machine's serial console: the hypervisor's messages, and the guest that owns it.

use super::uart::Uart;
use crate::sync::SpinLock;

/// Returns the console, once there is one.
#[cfg(target_os = "none")]
fn shared() -> &'static SpinLock<Option<Console>> {
    static CONSOLE: SpinLock<Option<Console>> = SpinLock::new(None);
    &CONSOLE
}

/// Returns this thread's console: each has a machine of its own.
#[cfg(not(target_os = "none"))]
fn shared() -> &'static SpinLock<Option<Console>> {
    use alloc::boxed::Box;
    std::thread_local! {
        static CONSOLE: &'static SpinLock<Option<Console>> = Box::leak(Box::default());
    }
    CONSOLE.with(|console| *console)
}

struct Console {
    uart: Uart,
    /// Whether the last byte sent ended a line.
    at_line_start: bool,
    /// Whether input waits in the UART because its reader has no room.
    holds_input: bool,
}

/// Makes a UART the console.
pub fn install(uart: Uart) {
    *shared().lock() = Some(Console {
        uart,
        at_line_start: true,
        holds_input: false,
    });
}

/// Lets input raise the UART's interrupt.
pub fn enable_input() {
    if let Some(console) = shared().lock().as_mut() {
        console.uart.enable_receive_interrupt();
    }
}

/// Sends a byte of a guest as it is.
pub fn put(byte: u8) {
    if let Some(console) = shared().lock().as_mut() {
        console.put(byte);
    }
}

/// How often a message asks for the lock before it is dropped: a fault of EL2 may have happened
/// while this CPU held it.
const PATIENCE: u32 = 1_000_000;

/// Writes text of the hypervisor. A message that starts amid a guest's line starts a new one.
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

/// Lets `take` read what was typed, byte by byte; it returns false when it had no room for more.
/// Then the rest is held back in the UART, without interrupts, until this is called again.
pub fn receive(take: impl FnOnce(&mut dyn FnMut() -> Option<u8>) -> bool) {
    let mut guard = shared().lock();
    let Some(console) = guard.as_mut() else {
        return;
    };
    console.uart.clear_receive_interrupt();
    let had_room = take(&mut || console.uart.get());
    if had_room == console.holds_input {
        console.holds_input = !had_room;
        if had_room {
            console.uart.enable_receive_interrupt();
        } else {
            console.uart.disable_receive_interrupt();
        }
    }
}

/// Returns whether input waits for its reader to have room.
pub fn holds_input() -> bool {
    shared()
        .lock()
        .as_ref()
        .is_some_and(|console| console.holds_input)
}

impl Console {
    fn put(&mut self, byte: u8) {
        self.uart.put(byte);
        self.at_line_start = byte == b'\n';
    }

    fn print(&mut self, text: &str) {
        if text.starts_with('[') && !self.at_line_start {
            self.print("\n");
        }
        for byte in text.bytes() {
            if byte == b'\n' {
                self.uart.put(b'\r');
            }
            self.put(byte);
        }
    }
}
