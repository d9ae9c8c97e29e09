//! The tokens of a structure block, read with checked arithmetic.

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// One token with what belongs to it (Devicetree Specification v0.4, 5.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Token<'a> {
    /// A node begins; its name without the NUL.
    BeginNode(&'a [u8]),
    /// The current node ends.
    EndNode,
    /// A property of the current node: where its name is in the strings block, and its value.
    Property { name: usize, value: &'a [u8] },
    /// Nothing.
    Nop,
    /// The structure block ends.
    End,
}

/// A reader of tokens that stops at the first it can't read.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    block: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    /// Makes a reader of a structure block.
    pub(super) fn new(block: &'a [u8]) -> Self {
        Self { block, at: 0 }
    }

    /// Returns the offset of the next token in the block.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Reads a token; `None` where the block ends early or the token is unknown.
    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        match self.word()? {
            BEGIN_NODE => {
                let name = c_str(self.block, self.at)?;
                self.take(name.len() + 1)?;
                Some(Token::BeginNode(name))
            }
            END_NODE => Some(Token::EndNode),
            PROPERTY => {
                let size = self.word()? as usize;
                let name = self.word()? as usize;
                let value = self.take(size)?;
                Some(Token::Property { name, value })
            }
            NOP => Some(Token::Nop),
            END => Some(Token::End),
            _ => None,
        }
    }

    fn word(&mut self) -> Option<u32> {
        let word = be32(self.block, self.at)?;
        self.at += 4;
        Some(word)
    }

    /// Takes `size` bytes and the padding up to the next word, which must be there too.
    fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let next = self.at.checked_add(size)?.checked_next_multiple_of(4)?;
        let taken = self.block.get(self.at..next)?.get(..size)?;
        self.at = next;
        Some(taken)
    }
}

/// Returns the big-endian word at `at`.
pub(super) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|word| u32::from_be_bytes(*word))
}

/// Returns the string at `at`, which must end with a NUL, without the NUL.
pub(super) fn c_str(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?;
    rest.get(..rest.iter().position(|&byte| byte == 0)?)
}
