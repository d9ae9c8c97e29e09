//! The machine's clock.

use super::tree::Tree;
use crate::addr::PaRange;

/// Returns the registers of the first PL031, if there is one.
pub(super) fn find(tree: &Tree<'_>) -> Option<PaRange> {
    let node = tree.compatible(&["arm,pl031"])?;
    node.reg().ok()?.first().copied()
}
