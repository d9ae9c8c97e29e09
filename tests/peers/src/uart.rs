//! Two registers of a PL011: a guest prints, and never has to wait.

/// DR: what is written is sent.
const DATA: u64 = 0x00;
/// FR: the state of the FIFOs.
const FLAGS: u64 = 0x18;
/// FR: nothing was received, and nothing is left to send.
const IDLE: u32 = 1 << 4 | 1 << 7;

/// The longest line that is sent whole.
const LINE: usize = 256;

/// A UART with the line that is being written to it.
pub struct Uart {
    line: [u8; LINE],
    length: usize,
}

impl Default for Uart {
    fn default() -> Self {
        Self {
            line: [0; LINE],
            length: 0,
        }
    }
}

impl Uart {
    /// Reads the register at `offset`; what it doesn't have reads as zero.
    pub const fn read(&self, offset: u64) -> u32 {
        if offset == FLAGS { IDLE } else { 0 }
    }

    /// Writes the register at `offset`. A line that is over, or gets too long, goes to `send`.
    pub fn write(&mut self, offset: u64, value: u32, send: impl FnOnce(&[u8])) {
        if offset != DATA {
            return;
        }
        let byte = value as u8;
        if let Some(free) = self.line.get_mut(self.length) {
            *free = byte;
            self.length += 1;
        }
        if byte == b'\n' || self.length == LINE {
            send(self.line.get(..self.length).unwrap_or_default());
            self.length = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_sent_once_it_is_over() {
        let (mut uart, mut sent) = (Uart::default(), Vec::<Vec<u8>>::new());
        for byte in *b"ab\ncd" {
            uart.write(DATA, byte.into(), |line| sent.push(line.to_vec()));
        }
        assert_eq!(sent, [b"ab\n"]);
        uart.write(DATA, 0x10a, |line| sent.push(line.to_vec()));
        assert_eq!(sent, [&b"ab\n"[..], b"cd\n"]);
    }

    #[test]
    fn a_line_that_is_too_long_is_sent_in_parts() {
        let (mut uart, mut sent) = (Uart::default(), Vec::<u8>::new());
        for _ in 0..2 * LINE + 1 {
            uart.write(DATA, b'x'.into(), |part| sent.extend(part));
        }
        assert_eq!(sent, [b'x'; 2 * LINE]);
    }

    #[test]
    fn it_is_always_ready_and_has_nothing_else() {
        let mut uart = Uart::default();
        assert_eq!(uart.read(FLAGS), 0x90);
        assert_eq!(uart.read(DATA), 0);
        uart.write(0x30, b'\n'.into(), |_| panic!("sent what isn't data"));
        assert_eq!(uart.read(0x30), 0);
    }
}
