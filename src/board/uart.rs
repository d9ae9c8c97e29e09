//! The serial port that messages go to.

use super::tree::{Node, Tree};
use crate::addr::PaRange;

/// A serial port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Uart {
    /// What kind it is.
    pub kind: UartKind,
    /// Its registers.
    pub registers: PaRange,
    /// A register's number is shifted left by this to make its offset.
    pub shift: u32,
    /// The width of an access in bytes: 1, 2 or 4.
    pub width: u32,
    /// Its interrupt's INTID, if it goes to the GIC.
    pub interrupt: Option<u32>,
    /// The register whose bit 0 turns the port on, where there is such a thing.
    pub enables: Option<PaRange>,
}

/// The kinds of serial ports we know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UartKind {
    /// Arm PrimeCell PL011.
    Pl011,
    /// The subset of a PL011 that Arm's SBSA asks for: firmware has set it up.
    Sbsa,
    /// 16550A and its kin.
    Ns16550,
    /// The mini UART of Raspberry Pis, near a 16550.
    BcmAux,
}

/// What each name in `compatible` means: kind, shift and width unless the node tells others.
const KINDS: [(&str, UartKind, u32, u32); 6] = [
    ("arm,pl011", UartKind::Pl011, 2, 4),
    ("arm,sbsa-uart", UartKind::Sbsa, 2, 4),
    ("brcm,bcm2835-aux-uart", UartKind::BcmAux, 2, 4),
    ("ns16550a", UartKind::Ns16550, 0, 1),
    ("ns16550", UartKind::Ns16550, 0, 1),
    ("snps,dw-apb-uart", UartKind::Ns16550, 0, 1),
];

/// Returns the serial port the tree asks for, or else its first by alias, or else the first PL011.
///
/// A port we can't drive is passed over: without messages there is still a machine.
pub(super) fn find(tree: &Tree<'_>, gic: Node<'_, '_>) -> Option<Uart> {
    let chosen = tree.root().child("chosen");
    let asked = ["stdout-path", "linux,stdout-path"]
        .into_iter()
        .filter_map(|name| by_path(tree, chosen?.text(name)?));
    let first = || by_path(tree, "serial0").filter(|node| node.is_okay());
    let pl011 = || tree.compatible(&["arm,pl011"]);
    asked
        .chain(core::iter::once_with(first).flatten())
        .chain(core::iter::once_with(pl011).flatten())
        .find_map(|node| read(tree, node, gic))
}

/// Returns the node of a path or alias, with options after a colon ("serial0:115200n8").
fn by_path<'t, 'a>(tree: &'t Tree<'a>, text: &str) -> Option<Node<'t, 'a>> {
    let name = text.split(':').next()?;
    if name.starts_with('/') {
        return tree.at_path(name);
    }
    // One step only: an alias of an alias could be an alias of itself.
    tree.at_path(tree.root().child("aliases")?.text(name)?)
}

fn read(tree: &Tree<'_>, node: Node<'_, '_>, gic: Node<'_, '_>) -> Option<Uart> {
    let kind = |name| KINDS.iter().find(|(known, ..)| *known == name);
    let (_, kind, shift, width) = *node.strings("compatible").find_map(kind)?;
    let shift = node
        .u32("reg-shift")
        .filter(|shift| *shift <= 4)
        .unwrap_or(shift);
    let registers = node.reg().ok()?.first().copied()?;
    if registers.size() < needed(kind, shift) {
        return None;
    }
    Some(Uart {
        kind,
        registers,
        shift,
        width: node
            .u32("reg-io-width")
            .filter(|width| matches!(width, 1 | 2 | 4))
            .unwrap_or(width),
        interrupt: node
            .interrupts(gic)
            .ok()
            .and_then(|intids| intids.first().copied()),
        enables: (kind == UartKind::BcmAux)
            .then(|| mini_uart_enables(tree))
            .flatten(),
    })
}

/// Returns how many bytes of registers a port must have for its driver.
const fn needed(kind: UartKind, shift: u32) -> u64 {
    match kind {
        UartKind::Pl011 | UartKind::Sbsa => 0x48,
        UartKind::Ns16550 => 8 << shift,
        UartKind::BcmAux => 9 << shift,
    }
}

/// Returns the register that the mini UART shares with the two SPI masters beside it.
fn mini_uart_enables(tree: &Tree<'_>) -> Option<PaRange> {
    const ENABLES: u64 = 4;
    let registers = tree.compatible(&["brcm,bcm2835-aux"])?.reg().ok()?;
    // The second register: the first tells whose an interrupt is.
    let enables = registers.first()?.start().checked_add(ENABLES)?;
    PaRange::new(enables, ENABLES)
}
