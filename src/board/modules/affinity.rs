//! Which physical CPUs a guest's virtual ones are bound to (nodes "xen,vcpu").

use alloc::vec::Vec;

use crate::board::tree::Node;
use crate::error::Refusal;
use crate::refuse;

/// More physical CPUs than any machine has.
const MAX_CPU: u32 = 1023;
/// A longer list than any machine needs, in bytes.
const MAX_LIST: usize = 1024;

/// Returns the virtual CPUs that are bound, each with its physical ones.
pub(super) fn read(domain: Node<'_, '_>) -> Result<Vec<(u32, Vec<u32>)>, Refusal> {
    let mut bound: Vec<(u32, Vec<u32>)> = Vec::new();
    for node in domain.children() {
        if !node.is_compatible(&["xen,vcpu"]) {
            continue;
        }
        let bad = |what: &str| refuse!("{}: {what}", node.name().escape_debug());
        let id = node.u32("id").ok_or_else(|| bad("no id"))?;
        if bound.iter().any(|&(other, _)| other == id) {
            return Err(bad("a second node of that id"));
        }
        let Some(text) = node.text("hard-affinity") else {
            continue;
        };
        let cpus = list(text).ok_or_else(|| {
            refuse!(
                "{}: hard-affinity is {text:?}, not as \"0-3,5\"",
                node.name().escape_debug()
            )
        })?;
        bound.push((id, cpus));
    }
    Ok(bound)
}

/// Reads a list of numbers and ranges: "0-3,5".
fn list(text: &str) -> Option<Vec<u32>> {
    if text.len() > MAX_LIST {
        return None;
    }
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return None;
        }
        for cpu in first..=last {
            if let Err(place) = cpus.binary_search(&cpu) {
                cpus.insert(place, cpu);
            }
        }
    }
    Some(cpus)
}

fn number(text: &str) -> Option<u32> {
    let number = text.trim().parse().ok()?;
    (number <= MAX_CPU && !text.contains('+')).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        assert_eq!(list("0-3,5").unwrap(), [0, 1, 2, 3, 5]);
        assert_eq!(list("7, 1 - 2,2").unwrap(), [1, 2, 7]);
        assert_eq!(list("1023").unwrap(), [1023]);
        for wrong in [
            "",
            "1,",
            "-1",
            "3-1",
            "1024",
            "+1",
            "a",
            "1-2-3",
            "0-4294967295",
        ] {
            assert_eq!(list(wrong), None, "{wrong}");
        }
    }
}
