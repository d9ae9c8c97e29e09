//! Text put together before it goes out: what a line is made of comes in pieces, and between two of
//! them another CPU would get a word in.

use core::fmt::{self, Write};

/// How many bytes are put together. What is longer may be interrupted.
const SIZE: usize = 240;

/// Collects text for `out`.
pub(super) struct Line<F: FnMut(&str)> {
    out: F,
    bytes: [u8; SIZE],
    length: usize,
}

impl<F: FnMut(&str)> Line<F> {
    pub fn new(out: F) -> Self {
        Self {
            out,
            bytes: [0; SIZE],
            length: 0,
        }
    }

    /// Lets go of what was collected.
    pub fn flush(&mut self) {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        // Pieces are taken in whole.
        let text = core::str::from_utf8(bytes).unwrap_or_default();
        if !text.is_empty() {
            (self.out)(text);
        }
        self.length = 0;
    }
}

impl<F: FnMut(&str)> Write for Line<F> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.length + text.len() > SIZE {
            self.flush();
        }
        match self.bytes.get_mut(self.length..self.length + text.len()) {
            Some(room) => {
                room.copy_from_slice(text.as_bytes());
                self.length += text.len();
            }
            None => (self.out)(text),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::String, vec::Vec};

    fn pieces(text: fmt::Arguments<'_>) -> Vec<String> {
        let mut pieces = Vec::new();
        let mut line = Line::new(|text: &str| pieces.push(text.into()));
        line.write_fmt(text).unwrap();
        line.flush();
        pieces
    }

    #[test]
    fn a_line_goes_out_whole() {
        let said = pieces(format_args!("{}: {} MiB at {:#x}\n", "vm", 16, 4096));
        assert_eq!(said, ["vm: 16 MiB at 0x1000\n"]);
        assert_eq!(pieces(format_args!("")), [""; 0]);
    }

    #[test]
    fn nothing_of_what_is_too_long_is_lost() {
        let (long, nearly, one) = ("é".repeat(SIZE), "x".repeat(SIZE - 1), "1");
        let said = pieces(format_args!("{one}{long}{one}"));
        assert_eq!(said, [one, &long, one]);
        let said = pieces(format_args!("{nearly}{one}é{one}"));
        assert_eq!(said, [[&nearly, one].concat(), "é1".into()]);
    }
}
