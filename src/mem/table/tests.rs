use alloc::vec;
use alloc::vec::Vec;

use super::array::{ArrayTables, Event};
use super::*;

const PAGE: u64 = PAGE_SIZE;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const RAM: Attributes = Attributes::GUEST_RAM;
const PLENTY: usize = 100_000;

fn tree(bits: u32, tables: &mut ArrayTables) -> Tree<Ipa> {
    Tree::new(tables, Geometry::for_ipa_bits(bits).unwrap(), 7).unwrap()
}

fn pa(start: u64, size: u64) -> PaRange {
    PaRange::new(Pa::new(start), size).unwrap()
}

fn map(
    tree: &mut Tree<Ipa>,
    tables: &mut ArrayTables,
    at: u64,
    to: PaRange,
) -> Result<(), TableError> {
    tree.map(tables, Ipa::new(at), to, RAM, LeafSize::Block1G)
}

fn leaves(tree: &Tree<Ipa>, tables: &ArrayTables) -> Vec<(u64, u64, LeafSize)> {
    let mut all = vec![];
    tree.visit(tables, |l| all.push((l.at.as_u64(), l.to.as_u64(), l.size)));
    all
}

#[test]
fn big_aligned_ranges_take_the_fewest_leaves_and_tables() {
    let mut tables = ArrayTables::new(PLENTY);
    let mut tree = tree(39, &mut tables);
    map(&mut tree, &mut tables, GIB, pa(8 * GIB, 4 * GIB)).unwrap();
    assert_eq!(leaves(&tree, &tables).len(), 4);
    assert_eq!(tables.in_use(), 1, "the root alone");

    map(&mut tree, &mut tables, 8 * GIB, pa(16 * GIB, 512 * MIB)).unwrap();
    assert_eq!(leaves(&tree, &tables).len(), 4 + 256);
    assert_eq!(tables.in_use(), 2);
}

#[test]
fn ragged_edges_take_pages_and_the_middle_takes_blocks() {
    let mut tables = ArrayTables::new(PLENTY);
    let mut tree = tree(39, &mut tables);
    let size = 2 * GIB + 2 * PAGE + 4 * MIB;
    map(
        &mut tree,
        &mut tables,
        GIB - PAGE - 2 * MIB,
        pa(5 * GIB - PAGE - 2 * MIB, size),
    )
    .unwrap();
    let count = |size| {
        leaves(&tree, &tables)
            .iter()
            .filter(|l| l.2 == size)
            .count()
    };
    assert_eq!(count(LeafSize::Page4K), 2);
    assert_eq!(count(LeafSize::Block2M), 2);
    assert_eq!(count(LeafSize::Block1G), 2);
}

#[test]
fn the_largest_leaf_asked_for_is_respected() {
    for (largest, expected) in [
        (LeafSize::Block1G, 1),
        (LeafSize::Block2M, 512),
        (LeafSize::Page4K, 512 * 512),
    ] {
        let mut tables = ArrayTables::new(PLENTY);
        let mut tree = tree(39, &mut tables);
        tree.map(&mut tables, Ipa::new(0), pa(GIB, GIB), RAM, largest)
            .unwrap();
        assert_eq!(leaves(&tree, &tables).len(), expected);
    }
}

#[test]
fn addresses_are_translated_to_the_byte_and_only_inside() {
    let mut tables = ArrayTables::new(PLENTY);
    let mut tree = tree(40, &mut tables);
    // Over the seam between the two concatenated tables of the root.
    let at = 512 * GIB - 3 * PAGE;
    map(&mut tree, &mut tables, at, pa(0x8000_0000, 6 * PAGE)).unwrap();
    let translate = |ipa| tree.translate(&tables, Ipa::new(ipa)).map(Pa::as_u64);
    assert_eq!(translate(at), Some(0x8000_0000));
    assert_eq!(translate(512 * GIB + 5), Some(0x8000_0000 + 3 * PAGE + 5));
    assert_eq!(translate(at - 1), None);
    assert_eq!(translate(at + 6 * PAGE), None);
    assert_eq!(translate(1 << 40), None);
    assert_eq!(translate(u64::MAX), None);
    assert_eq!(
        tree.lookup(&tables, Ipa::new(at)).map(|l| l.attributes),
        Some(RAM)
    );
}

#[test]
fn bad_ranges_are_refused_and_change_nothing() {
    let mut tables = ArrayTables::new(PLENTY);
    let mut tree = tree(32, &mut tables);
    let mut refused = |at, to, error| {
        assert_eq!(map(&mut tree, &mut tables, at, to), Err(error));
        assert_eq!(
            tree.unmap(&mut tables, Ipa::new(at), to.size()).err(),
            (to.start().is_aligned(PAGE) && to.end().as_u64() <= 1 << 48).then_some(error)
        );
    };
    refused(1, pa(0, PAGE), TableError::Misaligned);
    refused(0, pa(0, 1), TableError::Misaligned);
    refused(0, pa(0, 0), TableError::Misaligned);
    refused(1 << 32, pa(0, PAGE), TableError::OutOfRange);
    refused((1 << 32) - PAGE, pa(0, 2 * PAGE), TableError::OutOfRange);
    refused(u64::MAX - PAGE + 1, pa(0, PAGE), TableError::OutOfRange);
    refused(0, pa(1, PAGE), TableError::Misaligned);
    refused(0, pa(1 << 48, PAGE), TableError::OutOfRange);
    assert_eq!(tables.in_use(), 1);
}

#[test]
fn what_is_mapped_is_not_overwritten() {
    let mut tables = ArrayTables::new(PLENTY);
    let mut tree = tree(39, &mut tables);
    map(&mut tree, &mut tables, GIB, pa(GIB, GIB)).unwrap();
    map(&mut tree, &mut tables, 4 * PAGE, pa(0, PAGE)).unwrap();
    let before = leaves(&tree, &tables);
    for (at, size) in [
        (GIB, PAGE),
        (GIB + 5 * PAGE, PAGE),
        (0, GIB),
        (0, 2 * GIB),
        (2 * GIB - PAGE, 2 * PAGE),
    ] {
        let to = pa(16 * GIB, size);
        assert_eq!(
            map(&mut tree, &mut tables, at, to),
            Err(TableError::AlreadyMapped)
        );
    }
    assert_eq!(leaves(&tree, &tables), before);
}

#[test]
fn unmapping_splits_at_the_edges_only() {
    let mut tables = ArrayTables::new(PLENTY);
    let mut tree = tree(39, &mut tables);
    map(&mut tree, &mut tables, 0, pa(GIB, 2 * GIB)).unwrap();
    tree.unmap(&mut tables, Ipa::new(GIB - PAGE), 2 * PAGE)
        .unwrap();
    // Each of the two blocks becomes 511 blocks and 511 pages.
    assert_eq!(leaves(&tree, &tables).len(), 4 * 511);
    assert_eq!(tables.in_use(), 1 + 4);
    assert_eq!(tree.translate(&tables, Ipa::new(GIB - PAGE)), None);
    assert_eq!(
        tree.translate(&tables, Ipa::new(GIB - PAGE - 1)),
        Some(Pa::new(2 * GIB - PAGE - 1))
    );
    tree.unmap(&mut tables, Ipa::new(0), 2 * GIB).unwrap();
    assert_eq!(tables.in_use(), 1, "empty tables are freed");
    assert!(tables.is_settled());
}

#[test]
fn a_split_breaks_the_block_before_the_table_is_made() {
    let mut tables = ArrayTables::new(PLENTY);
    let mut tree = tree(39, &mut tables);
    map(&mut tree, &mut tables, GIB, pa(GIB, 2 * MIB)).unwrap();
    tables.events.clear();
    tree.unmap(&mut tables, Ipa::new(GIB), PAGE).unwrap();
    let ttbr = tree.ttbr();
    assert_eq!(ttbr >> 48, 7);
    assert_eq!(
        tables.events,
        [
            Event::Publish,
            Event::Invalidate(ttbr, GIB, Level::L2),
            Event::Publish,
            Event::Invalidate(ttbr, GIB, Level::L3),
        ]
    );
}

#[test]
fn a_map_that_runs_out_of_tables_is_undone() {
    let at = GIB - 2 * MIB - PAGE;
    let to = pa(GIB - 2 * MIB - PAGE, GIB + 4 * MIB + 2 * PAGE);
    let mut failures = 0;
    for left in 1..10 {
        let mut tables = ArrayTables::new(left);
        let mut tree = tree(39, &mut tables);
        match map(&mut tree, &mut tables, at, to) {
            Ok(()) => assert_eq!(tables.left, 0, "the first success used all of them"),
            Err(error) => {
                assert_eq!(error, TableError::OutOfTables);
                assert_eq!(leaves(&tree, &tables), []);
                assert_eq!((tables.in_use(), tables.left), (1, left - 1));
                failures += 1;
                continue;
            }
        }
        break;
    }
    // Two tables at level 2, two at level 3, beside the root.
    assert_eq!(failures, 4);
}

#[test]
fn an_unmap_that_can_not_split_changes_no_translation() {
    for left in [0, 1, 2, 3] {
        let mut tables = ArrayTables::new(1 + left);
        let mut tree = tree(39, &mut tables);
        map(&mut tree, &mut tables, 0, pa(4 * GIB, 2 * GIB)).unwrap();
        let done = tree.unmap(&mut tables, Ipa::new(PAGE), 2 * GIB - 2 * PAGE);
        assert_eq!(done, Err(TableError::OutOfTables));
        for at in [0, PAGE, GIB - 1, GIB, 2 * GIB - PAGE, 2 * GIB - 1] {
            let expected = Some(Pa::new(4 * GIB + at));
            assert_eq!(tree.translate(&tables, Ipa::new(at)), expected, "{at:#x}");
        }
        assert!(tables.is_settled());
    }
}

#[test]
fn everything_goes_at_once_with_few_invalidations() {
    for bits in [39, 40, 43, 48] {
        let mut tables = ArrayTables::new(PLENTY);
        let mut tree = tree(bits, &mut tables);
        let top = 1 << bits;
        map(&mut tree, &mut tables, GIB, pa(GIB, 600 * MIB + PAGE)).unwrap();
        map(&mut tree, &mut tables, top - PAGE, pa(0, PAGE)).unwrap();
        tables.events.clear();
        tree.unmap_all(&mut tables);
        assert_eq!(tables.events, [Event::InvalidateAll(tree.ttbr()); 2]);
        assert_eq!(tables.in_use(), tree.geometry().root_tables());
        map(&mut tree, &mut tables, GIB, pa(GIB, GIB)).unwrap();
        tree.unmap_all(&mut tables);
        tables.free(tree.root(), tree.geometry().root_tables());
        assert_eq!(tables.in_use(), 0);
    }
}

#[test]
fn an_empty_tree_needs_its_root() {
    let geometry = Geometry::for_ipa_bits(41).unwrap();
    let made = Tree::<Ipa>::new(&mut ArrayTables::new(3), geometry, 1);
    assert_eq!(made.err(), Some(TableError::OutOfTables));
}

/// Deterministic numbers (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// A window of input addresses, each page with what it leads to.
struct Model {
    base: u64,
    pages: Vec<Option<(u64, Attributes)>>,
}

impl Model {
    fn range(&mut self, at: u64, size: u64) -> &mut [Option<(u64, Attributes)>] {
        let first = ((at - self.base) / PAGE) as usize;
        &mut self.pages[first..first + (size / PAGE) as usize]
    }

    fn map(
        &mut self,
        at: u64,
        to: u64,
        size: u64,
        attributes: Attributes,
    ) -> Result<(), TableError> {
        let pages = self.range(at, size);
        if pages.iter().any(Option::is_some) {
            return Err(TableError::AlreadyMapped);
        }
        for (page, to) in pages.iter_mut().zip((to..).step_by(PAGE as usize)) {
            *page = Some((to, attributes));
        }
        Ok(())
    }

    /// Compares every page, through the leaves of the tree.
    fn check(&self, tree: &Tree<Ipa>, tables: &ArrayTables) {
        let mut seen = Model {
            base: self.base,
            pages: vec![None; self.pages.len()],
        };
        let mut end = 0;
        tree.visit(tables, |leaf| {
            assert!(leaf.at.as_u64() >= end, "in order, without overlap");
            end = leaf.at.as_u64() + leaf.size.bytes();
            let size = leaf.size.bytes();
            assert_eq!(
                seen.map(leaf.at.as_u64(), leaf.to.as_u64(), size, leaf.attributes),
                Ok(())
            );
        });
        assert!(seen.pages == self.pages, "the tree and the model differ");
    }
}

/// Picks a range in the window, of a size and alignment that make all kinds of leaves likely.
fn pick(random: &mut Random, window: u64) -> (u64, u64) {
    let (unit, most) =
        [(PAGE, 1000), (2 * MIB, 40), (GIB, 2)][random.next(8).saturating_sub(5) as usize];
    let at = random.next(window / unit) * unit;
    let size = (1 + random.next(most)) * unit;
    // Now and then the edges are off by some pages.
    let (at, size) = match random.next(4) {
        0 => (at + random.next(512) * PAGE, size + random.next(512) * PAGE),
        _ => (at, size),
    };
    let at = at.min(window - PAGE);
    (at, size.min(window - at))
}

fn storm(seed: u64, geometry: Geometry, base: u64, budget: usize, steps: usize) -> usize {
    let window = 3 * GIB;
    let mut random = Random(seed);
    let mut tables = ArrayTables::new(budget);
    let mut tree = Tree::new(&mut tables, geometry, 3).unwrap();
    let mut model = Model {
        base,
        pages: vec![None; (window / PAGE) as usize],
    };
    let mut failures = 0;
    for step in 0..steps {
        let (offset, size) = pick(&mut random, window);
        let at = base + offset;
        if random.next(5) < 3 {
            // Mostly aligned alike on both sides, so that blocks are possible.
            let skew = [0, 0, 0, PAGE, 2 * MIB][random.next(5) as usize];
            let to = offset + 64 * GIB + skew;
            let attributes = [RAM, Attributes::GUEST_DEVICE][random.next(2) as usize];
            let largest = LeafSize::ALL[random.next(5).saturating_sub(2) as usize];
            let before = tables.in_use();
            let done = tree.map(&mut tables, Ipa::new(at), pa(to, size), attributes, largest);
            if done == Err(TableError::OutOfTables) {
                assert_eq!(tables.in_use(), before);
                failures += 1;
            } else {
                assert_eq!(done, model.map(at, to, size, attributes));
            }
        } else {
            match tree.unmap(&mut tables, Ipa::new(at), size) {
                Ok(()) => model.range(at, size).fill(None),
                Err(error) => {
                    assert_eq!(error, TableError::OutOfTables);
                    failures += 1;
                }
            }
        }
        assert!(tables.is_settled());
        if step % 16 == 0 || failures % 8 == 1 {
            model.check(&tree, &tables);
        }
    }
    model.check(&tree, &tables);
    tree.unmap(&mut tables, Ipa::new(base), window)
        .unwrap_or_else(|_| tree.unmap_all(&mut tables));
    assert_eq!(tables.in_use(), geometry.root_tables());
    failures
}

#[test]
fn random_changes_agree_with_a_list_of_pages() {
    let level1 = Geometry::for_ipa_bits(39).unwrap();
    let concatenated = Geometry::for_ipa_bits(40).unwrap();
    for (seed, geometry, base) in [
        (1, level1, 0),
        (2, concatenated, 511 * GIB),
        (3, Geometry::EL2, 511 * GIB),
        (4, Geometry::EL2, (1 << 48) - 3 * GIB),
    ] {
        assert_eq!(storm(seed, geometry, base, PLENTY, 150), 0);
    }
}

#[test]
fn random_changes_with_few_tables_stay_consistent() {
    let geometry = Geometry::for_ipa_bits(40).unwrap();
    let failures: usize = (10..14)
        .map(|seed| storm(seed, geometry, 511 * GIB, 8, 150))
        .sum();
    assert!(failures > 50, "only {failures} allocations failed");
}
