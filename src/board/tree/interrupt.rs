//! From interrupt specifiers to the GIC's numbers.

use alloc::vec::Vec;

use super::Node;
use crate::error::Refusal;
use crate::refuse;

impl Node<'_, '_> {
    /// Returns the INTIDs in `interrupts`, none when the property is absent.
    ///
    /// # Errors
    ///
    /// Refuses a list that is not for `gic` or not of its specifiers.
    pub(in crate::board) fn interrupts(self, gic: Node<'_, '_>) -> Result<Vec<u32>, Refusal> {
        let Some(words) = self.words("interrupts") else {
            return Ok(Vec::new());
        };
        let bad = |what| refuse!("device tree: {}: {what}", self.path());
        if self.interrupt_parent().is_some() && self.interrupt_parent() != gic.phandle() {
            return Err(bad("its interrupts do not go to the GIC"));
        }
        // Four where PPIs are partitioned; the fourth is the partition.
        let cells = match gic.u32("#interrupt-cells") {
            Some(cells @ 3..=4) => cells as usize,
            _ => return Err(bad("the GIC's #interrupt-cells is neither 3 nor 4")),
        };
        if !words.len().is_multiple_of(cells) {
            return Err(bad("interrupts is not a list of the GIC's specifiers"));
        }
        words
            .chunks_exact(cells)
            .map(|specifier| match *specifier {
                [kind, number, ..] => intid(kind, number),
                _ => None,
            })
            .collect::<Option<_>>()
            .ok_or_else(|| bad("an interrupt the GIC does not have"))
    }

    fn phandle(self) -> Option<u32> {
        self.u32("phandle").or_else(|| self.u32("linux,phandle"))
    }

    /// Returns the phandle of the nearest `interrupt-parent` above, as the specification inherits it.
    fn interrupt_parent(self) -> Option<u32> {
        let mut node = Some(self);
        while let Some(here) = node {
            if let Some(phandle) = here.u32("interrupt-parent") {
                return Some(phandle);
            }
            node = here.parent();
        }
        None
    }
}

/// Returns the INTID of a specifier's first two words (binding `arm,gic-v3`).
fn intid(kind: u32, number: u32) -> Option<u32> {
    let (first, count) = match kind {
        0 => (32, 988),    // SPI
        1 => (16, 16),     // PPI
        2 => (4096, 1024), // extended SPI
        3 => (1056, 64),   // extended PPI
        _ => return None,
    };
    (number < count).then(|| first + number)
}

#[cfg(test)]
mod tests {
    use super::intid;

    #[test]
    fn specifiers_become_intids() {
        assert_eq!(intid(0, 1), Some(33));
        assert_eq!(intid(0, 987), Some(1019));
        assert_eq!(intid(0, 988), None);
        assert_eq!(intid(1, 11), Some(27));
        assert_eq!(intid(1, 16), None);
        assert_eq!(intid(2, 0), Some(4096));
        assert_eq!(intid(3, 63), Some(1119));
        assert_eq!(intid(4, 0), None);
    }
}
