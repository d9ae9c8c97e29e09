//! Just enough of the device tree: properties of the nodes under the root.

/// The first word of a device tree.
pub const MAGIC: u32 = 0xd00d_feed;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;

/// Reads the big-endian word at byte `at`.
pub fn word(blob: &[u8], at: usize) -> Option<u32> {
    let bytes = blob.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// Reads the big-endian double word at byte `at`.
pub fn double(blob: &[u8], at: usize) -> Option<u64> {
    let high = word(blob, at)?;
    let low = word(blob, at.checked_add(4)?)?;
    Some(u64::from(high) << 32 | u64::from(low))
}

fn text(blob: &[u8], at: usize) -> Option<&[u8]> {
    let rest = blob.get(at..)?;
    let end = rest.iter().position(|&byte| byte == 0)?;
    rest.get(..end)
}

fn round_up(at: usize) -> Option<usize> {
    Some(at.checked_add(3)? & !3)
}

/// Returns the property `name` of the first node `node` under the root that has it, its unit
/// address aside (`memory` finds `memory@40000000`).
pub fn property<'a>(blob: &'a [u8], node: &str, name: &str) -> Option<&'a [u8]> {
    let mut found = None;
    walk(blob, |full, property, value| {
        let bare = full.split(|&byte| byte == b'@').next();
        if bare == Some(node.as_bytes()) && property == name.as_bytes() {
            found = Some(value);
        }
        found.is_some()
    });
    found
}

/// Returns the property `name` of the first node under the root that is compatible with `kind`
/// and has it.
pub fn compatible<'a>(blob: &'a [u8], kind: &str, name: &str) -> Option<&'a [u8]> {
    let (mut node, mut fits, mut found) = (None, false, None);
    walk(blob, |full, property, value| {
        // A node's name is where it stands in the tree, so no two nodes share one.
        if node != Some(full.as_ptr()) {
            (node, fits, found) = (Some(full.as_ptr()), false, None);
        }
        if property == b"compatible" {
            fits = value
                .split(|&byte| byte == 0)
                .any(|one| one == kind.as_bytes());
        }
        if property == name.as_bytes() {
            found = Some(value);
        }
        fits && found.is_some()
    });
    found.filter(|_| fits)
}

/// Shows `visit` each property of the nodes under the root, as the node's name, its own name and
/// its value, until it says that it has enough, or the tree ends or is broken.
fn walk<'a>(
    blob: &'a [u8],
    mut visit: impl FnMut(&'a [u8], &'a [u8], &'a [u8]) -> bool,
) -> Option<()> {
    if word(blob, 0)? != MAGIC {
        return None;
    }
    let strings = word(blob, 12)? as usize;
    let mut at = word(blob, 8)? as usize;
    let mut depth = 0_usize;
    let mut node: &[u8] = &[];
    loop {
        let token = word(blob, at)?;
        at += 4;
        match token {
            BEGIN_NODE => {
                let full = text(blob, at)?;
                at = round_up(at + full.len() + 1)?;
                depth += 1;
                if depth == 2 {
                    node = full;
                }
            }
            END_NODE => depth = depth.checked_sub(1)?,
            PROPERTY => {
                let len = word(blob, at)? as usize;
                let offset = word(blob, at + 4)? as usize;
                let value = blob.get(at + 8..(at + 8).checked_add(len)?)?;
                at = round_up(at + 8 + len)?;
                let name = text(blob, strings.checked_add(offset)?)?;
                if depth == 2 && visit(node, name, value) {
                    return Some(());
                }
            }
            NOP => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds `/ { x@1 { reg; compatible = "v,b", "v,c" }; y@1 { compatible = "v,d"; sub { reg } };
    /// chosen { sub { bootargs = "no" }; bootargs = "a b" } }`.
    fn sample() -> Vec<u8> {
        let mut tree = Vec::new();
        let node = |tree: &mut Vec<u8>, name: &str| {
            tree.extend(BEGIN_NODE.to_be_bytes());
            tree.extend(name.bytes());
            tree.push(0);
            tree.resize(tree.len().next_multiple_of(4), 0);
        };
        let property = |tree: &mut Vec<u8>, name: u32, value: &[u8]| {
            tree.extend(PROPERTY.to_be_bytes());
            tree.extend((value.len() as u32).to_be_bytes());
            tree.extend(name.to_be_bytes());
            tree.extend(value);
            tree.resize(tree.len().next_multiple_of(4), 0);
        };
        node(&mut tree, "");
        node(&mut tree, "x@1");
        property(&mut tree, 0, &[0, 0, 0, 1, 0, 0, 0, 2]);
        property(&mut tree, 13, b"v,b\0v,c\0");
        tree.extend(END_NODE.to_be_bytes());
        tree.extend(NOP.to_be_bytes());
        node(&mut tree, "y@1");
        property(&mut tree, 13, b"v,d\0");
        node(&mut tree, "sub");
        property(&mut tree, 0, &[0, 0, 0, 3]);
        tree.extend(END_NODE.to_be_bytes());
        tree.extend(END_NODE.to_be_bytes());
        node(&mut tree, "chosen");
        node(&mut tree, "sub");
        property(&mut tree, 4, b"no\0");
        tree.extend(END_NODE.to_be_bytes());
        property(&mut tree, 4, b"a b\0");
        tree.extend(END_NODE.to_be_bytes());
        tree.extend(END_NODE.to_be_bytes());
        tree.extend(9_u32.to_be_bytes());

        let strings = 40 + tree.len() as u32;
        let mut blob = Vec::new();
        for field in [MAGIC, 0, 40, strings, 0, 17, 16, 0, 0, 0] {
            blob.extend(u32::to_be_bytes(field));
        }
        blob.extend(tree);
        blob.extend(b"reg\0bootargs\0compatible\0");
        blob
    }

    #[test]
    fn finds_properties_of_nodes_under_the_root() {
        let blob = sample();
        assert_eq!(
            property(&blob, "chosen", "bootargs"),
            Some(&b"a b\0"[..]),
            "not the one of the node below"
        );
        let reg = property(&blob, "x", "reg").unwrap();
        assert_eq!(double(reg, 0), Some(0x1_0000_0002));
        assert_eq!(property(&blob, "x", "bootargs"), None);
        assert_eq!(property(&blob, "y", "reg"), None);
        assert_eq!(property(&blob, "z", "reg"), None);
    }

    #[test]
    fn finds_properties_of_nodes_by_what_they_are_compatible_with() {
        let blob = sample();
        for kind in ["v,b", "v,c"] {
            let reg = compatible(&blob, kind, "reg").unwrap();
            assert_eq!(double(reg, 0), Some(0x1_0000_0002));
        }
        assert!(compatible(&blob, "v,d", "compatible").is_some());
        assert_eq!(compatible(&blob, "v,d", "reg"), None, "the node below has");
        assert_eq!(compatible(&blob, "v", "reg"), None, "a part of a word");
    }

    #[test]
    fn a_mutated_tree_ends_the_search() {
        let good = sample();
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            let mut blob = good.clone();
            for _ in 0..3 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let at = seed as usize % blob.len();
                blob[at] = (seed >> 32) as u8;
            }
            blob.truncate(blob.len() - (seed >> 48) as usize % 8);
            property(&blob, "chosen", "bootargs");
            compatible(&blob, "v,e", "reg");
        }
    }
}
