//! Drivers for the host's own devices: what EL2 drives itself.

pub mod bcm2835_pm;
pub mod console;
pub mod entropy;
pub mod gic;
pub mod ns16550;
pub mod pl011;
pub mod pl031;
pub mod power;
pub mod psci;
pub mod smccc;
pub(crate) mod uart;

pub use uart::Uart;

/// How often a register is read before a device that does not answer is given up on: a good part of
/// a second on any machine, as a read of a device takes tens of nanoseconds at the least. Memory,
/// which stands for devices in tests, never changes its mind.
const PATIENCE: u32 = if cfg!(test) { 1 << 8 } else { 1 << 24 };

/// How often a UART's status is read before a byte is given up: many frames' time at any usual
/// speed. A port that took that long is not waited for again until it has room.
const BYTE_PATIENCE: u32 = if cfg!(test) { 1 << 8 } else { 1 << 20 };

/// Asks `done` until it says yes, at most `patience` times; returns whether it did.
fn poll(patience: u32, mut done: impl FnMut() -> bool) -> bool {
    (0..patience).any(|_| {
        let yes = done();
        if !yes {
            core::hint::spin_loop();
        }
        yes
    })
}

/// Waits until a UART has room for a byte; `stuck` remembers whether it had none the last time.
fn poll_room(stuck: &mut bool, room: impl FnMut() -> bool) -> bool {
    let room = poll(if *stuck { 1 } else { BYTE_PATIENCE }, room);
    *stuck = !room;
    room
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends() {
        let mut asked = 0;
        let mut ask = |yes_at| {
            asked = 0;
            let done = poll(5, || {
                asked += 1;
                asked == yes_at
            });
            (done, asked)
        };
        assert_eq!(ask(3), (true, 3));
        assert_eq!(ask(9), (false, 5));
    }

    #[test]
    fn a_stuck_port_costs_its_wait_once() {
        let mut stuck = false;
        let mut asked = 0;
        let mut ask = |room| {
            asked = 0;
            let got = poll_room(&mut stuck, || {
                asked += 1;
                room
            });
            (got, asked)
        };
        assert_eq!(ask(false), (false, BYTE_PATIENCE));
        assert_eq!(ask(false), (false, 1));
        assert_eq!(ask(true), (true, 1));
        assert_eq!(ask(false), (false, BYTE_PATIENCE));
    }
}
