use alloc::collections::BTreeMap;
use alloc::vec;

use super::fixture::Ram;
use super::*;

const PAGE: u64 = PAGE_SIZE;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const VM1: Owner = Owner::Vm(1);
const VM2: Owner = Owner::Vm(2);

/// Takes everything there is, largest blocks first: equal lists mean equal free blocks.
fn drain(frames: &mut Frames) -> BTreeMap<u64, u64> {
    let mut blocks = BTreeMap::new();
    let mut size = LARGEST_BLOCK;
    while size >= PAGE {
        match frames.allocate(size, Owner::Hypervisor) {
            Ok(block) => assert_eq!(blocks.insert(block.start().as_u64(), block.size()), None),
            Err(error) => {
                assert_eq!(error, FrameError::OutOfFrames);
                size /= 2;
            }
        }
    }
    assert_eq!(frames.free_bytes(), 0);
    blocks
}

#[test]
fn any_range_is_cut_into_its_naturally_aligned_blocks() {
    let ram = Ram::new();
    let mut frames = ram.frames(&[(3 * PAGE, GIB + 5 * PAGE), (GIB + 7 * PAGE, GIB + 8 * PAGE)]);
    assert_eq!(frames.total_bytes(), GIB + 3 * PAGE);
    assert_eq!(frames.free_bytes(), GIB + 3 * PAGE);
    let blocks = drain(&mut frames);
    let sum: u64 = blocks.values().sum();
    assert_eq!(sum, GIB + 3 * PAGE);
    assert!(blocks.iter().all(|(start, size)| start % size == 0));
    assert_eq!(blocks.get(&(ram.start + 512 * MIB)), Some(&(512 * MIB)));
    assert_eq!(blocks.get(&(ram.start + GIB + 7 * PAGE)), Some(&PAGE));
}

#[test]
fn guest_ram_is_one_block_where_it_can_be() {
    let ram = Ram::new();
    let mut frames = ram.frames(&[(2 * MIB, 2 * GIB)]);
    let blocks = frames.allocate_blocks(512 * MIB, VM1).unwrap();
    assert_eq!(blocks.len(), 1);
    assert!(blocks[0].start().is_aligned(512 * MIB));
    assert!(frames.is_owned(blocks[0], VM1));
    assert_eq!(frames.free_bytes(), 2 * GIB - 514 * MIB);

    let odd = frames.allocate_blocks(514 * MIB, VM2).unwrap();
    assert_eq!(
        odd.iter().map(|b| b.size() / MIB).collect::<Vec<_>>(),
        [512, 2]
    );
}

#[test]
fn guest_ram_comes_in_pieces_where_it_must() {
    let ram = Ram::new();
    // Nowhere two granules side by side that make a block of 4 MiB.
    let holes: Vec<_> = (0..8)
        .map(|n| (n * 4 * MIB + PAGE, (n + 1) * 4 * MIB))
        .collect();
    let mut frames = ram.frames(&holes);
    let blocks = frames.allocate_blocks(16 * MIB, VM1).unwrap();
    assert_eq!(blocks.len(), 8);
    assert!(
        blocks
            .iter()
            .all(|b| b.size() == 2 * MIB && b.start().is_aligned(2 * MIB))
    );
    assert_eq!(
        frames.allocate_blocks(2 * MIB, VM1),
        Err(FrameError::OutOfFrames)
    );
}

#[test]
fn a_guest_too_large_gets_nothing_and_costs_nothing() {
    let ram = Ram::new();
    let mut frames = ram.frames(&[(0, 2 * GIB - 2 * MIB)]);
    let free = frames.free_bytes();
    assert_eq!(
        frames.allocate_blocks(2 * GIB, VM1),
        Err(FrameError::OutOfFrames)
    );
    assert_eq!(frames.free_bytes(), free);
    let fresh = drain(&mut ram.frames(&[(0, 2 * GIB - 2 * MIB)]));
    // The two share their words, so the first is not touched any more.
    let mut frames = ram.frames(&[(0, 2 * GIB - 2 * MIB)]);
    assert_eq!(
        frames.allocate_blocks(2 * GIB, VM1),
        Err(FrameError::OutOfFrames)
    );
    assert_eq!(drain(&mut frames), fresh, "all blocks joined again");
}

#[test]
fn sizes_that_are_no_blocks_are_refused() {
    let ram = Ram::new();
    let mut frames = ram.frames(&[(0, GIB)]);
    for size in [
        0,
        1,
        PAGE - 1,
        3 * PAGE,
        2 * LARGEST_BLOCK,
        u64::MAX,
        1 << 63,
    ] {
        assert_eq!(
            frames.allocate(size, VM1),
            Err(FrameError::BadSize),
            "{size:#x}"
        );
    }
    for size in [0, PAGE, 2 * MIB + PAGE, u64::MAX] {
        assert_eq!(
            frames.allocate_blocks(size, VM1),
            Err(FrameError::BadSize),
            "{size:#x}"
        );
    }
    assert_eq!(
        frames.allocate_blocks(1 << 62, VM1),
        Err(FrameError::OutOfFrames)
    );
    assert_eq!(frames.allocate(2 * GIB, VM1), Err(FrameError::OutOfFrames));
    assert_eq!(
        Frames::new().allocate(PAGE, VM1),
        Err(FrameError::OutOfFrames)
    );
}

#[test]
fn only_the_owner_frees_and_only_once() {
    let ram = Ram::new();
    let mut frames = ram.frames(&[(0, 4 * MIB)]);
    let block = frames.allocate(MIB, VM1).unwrap();
    let free = frames.free_bytes();
    assert_eq!(frames.free(block, VM2), Err(FrameError::NotOwner));
    assert_eq!(
        frames.free(block, Owner::Hypervisor),
        Err(FrameError::NotOwner)
    );
    let more = PaRange::new(block.start(), 2 * MIB).unwrap();
    assert_eq!(
        frames.free(more, VM1),
        Err(FrameError::NotOwner),
        "half of it is free"
    );
    assert_eq!(
        frames.free(ram.range(GIB, GIB + PAGE), VM1),
        Err(FrameError::NotOwner)
    );
    let ragged = PaRange::new(block.start(), 5).unwrap();
    assert_eq!(frames.free(ragged, VM1), Err(FrameError::BadRange));
    assert_eq!(frames.free_bytes(), free);
    assert_eq!(frames.owner(block.start()), Some(VM1));
    assert_eq!(frames.free(block, VM1), Ok(()));
    assert_eq!(frames.free(block, VM1), Err(FrameError::NotOwner));
    assert_eq!(frames.owner(block.start()), None);
    assert_eq!(frames.free_bytes(), 4 * MIB);
}

#[test]
fn every_free_frame_has_no_owner_before_and_after_use() {
    let ram = Ram::new();
    let mut frames = ram.frames(&[(0, MIB)]);
    let all = ram.range(0, MIB);
    assert!(pages(all).all(|frame| frames.owner(frame).is_none()));
    let block = frames.allocate(MIB, VM1).unwrap();
    assert!(pages(all).all(|frame| frames.owner(frame) == Some(VM1)));
    frames.free(block, VM1).unwrap();
    assert!(pages(all).all(|frame| frames.owner(frame).is_none()));
}

#[test]
fn parts_of_a_block_can_be_freed() {
    let ram = Ram::new();
    let mut frames = ram.frames(&[(0, 4 * MIB)]);
    let block = frames.allocate(4 * MIB, VM1).unwrap();
    let (start, end) = (block.start().as_u64(), block.end().as_u64());
    let part = |from, to| PaRange::between(Pa::new(from), Pa::new(to));
    frames
        .free(part(start + PAGE, end - 3 * PAGE), VM1)
        .unwrap();
    assert_eq!(frames.free_bytes(), 4 * MIB - 4 * PAGE);
    assert_eq!(frames.owner(Pa::new(start + PAGE - 1)), Some(VM1));
    assert_eq!(frames.owner(Pa::new(start + PAGE)), None);
    frames.free(part(start, start + PAGE), VM1).unwrap();
    frames.free(part(end - 3 * PAGE, end), VM1).unwrap();
    assert_eq!(frames.allocate(4 * MIB, VM2), Ok(block));
}

#[test]
fn ranges_that_do_not_fit_are_refused() {
    let ram = Ram::new();
    let mut frames = ram.frames(&[(2 * MIB, 4 * MIB)]);
    let add = |frames: &mut Frames, from, to| ram.try_add(frames, from, to);
    assert_eq!(
        add(&mut frames, 4 * MIB - PAGE, 6 * MIB),
        Err(FrameError::Overlap)
    );
    assert_eq!(
        add(&mut frames, 6 * MIB, 6 * MIB),
        Err(FrameError::BadRange)
    );
    assert_eq!(
        add(&mut frames, 6 * MIB, 6 * MIB + 1),
        Err(FrameError::BadRange)
    );
    let mut try_words = |words, range| {
        // SAFETY: refused before a word is touched.
        unsafe { frames.add(range, words) }
    };
    let (beside, range) = (ram.words.wrapping_add(1), ram.range(0, MIB));
    assert_eq!(try_words(beside, range), Err(FrameError::BadTable));
    let far = PaRange::new(Pa::new((1 << 48) - PAGE), 2 * PAGE).unwrap();
    assert_eq!(try_words(ram.words, far), Err(FrameError::BadRange));
    let beyond = PaRange::new(Pa::new(1 << 40), PAGE).unwrap();
    assert_eq!(
        try_words(core::ptr::dangling_mut(), beyond),
        Err(FrameError::BadTable)
    );
    assert_eq!(frames.total_bytes(), 2 * MIB);
}

#[test]
fn what_el2_keeps_is_neither_given_out_nor_granted() {
    let ram = Ram::new();
    let mut frames = ram.frames(&[(2 * MIB, 4 * MIB)]);
    frames.reserve(ram.range(0, MIB)).unwrap();
    assert_eq!(
        frames.owner(ram.range(PAGE + 1, MIB).start()),
        Some(Owner::Hypervisor)
    );
    assert_eq!(
        frames.reserve(ram.range(3 * MIB, 5 * MIB)),
        Err(FrameError::Overlap)
    );
    assert_eq!(
        ram.try_add(&mut frames, MIB - PAGE, 2 * MIB),
        Err(FrameError::Overlap)
    );

    let device = ram.range(GIB, GIB + 4 * PAGE);
    for taken in [
        ram.range(0, PAGE),
        ram.range(3 * MIB, 3 * MIB + PAGE),
        ram.range(MIB, 3 * MIB),
    ] {
        assert_eq!(frames.grant_device(taken, 1), Err(FrameError::Overlap));
    }
    frames.grant_device(device, 1).unwrap();
    frames.grant_device(device, 2).unwrap();
    assert_eq!(frames.reserve(device), Err(FrameError::Overlap));
    assert_eq!(
        ram.try_add(&mut frames, GIB - PAGE, GIB + PAGE),
        Err(FrameError::Overlap)
    );
    assert!(
        frames.is_granted(device, 1) && frames.is_granted(ram.range(GIB + PAGE, GIB + 2 * PAGE), 2)
    );
    assert!(!frames.is_granted(device, 3));
    assert!(!frames.is_granted(ram.range(GIB, GIB + 5 * PAGE), 1));
    frames.revoke_devices(1);
    assert!(!frames.is_granted(device, 1) && frames.is_granted(device, 2));
}

/// Deterministic numbers (Marsaglia's xorshift).
fn random(state: &mut u64, below: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % below
}

#[test]
fn random_use_agrees_with_a_list_and_everything_comes_back() {
    let parts = [
        (3 * PAGE, 70 * MIB + PAGE),
        (71 * MIB, 200 * MIB),
        (300 * MIB + 9 * PAGE, 301 * MIB),
    ];
    let ram = Ram::new();
    let fresh = drain(&mut ram.frames(&parts));
    let mut frames = ram.frames(&parts);
    let mut given: Vec<(PaRange, Owner)> = vec![];
    let state = &mut 0x1234_5678_9abc;
    for _ in 0..4000 {
        let owner = [Owner::Hypervisor, VM1, VM2][random(state, 3) as usize];
        match random(state, 5) {
            0 | 1 => {
                let size = PAGE << random(state, 12);
                if let Ok(block) = frames.allocate(size, owner) {
                    assert!(block.size() == size && block.start().is_aligned(size));
                    given.push((block, owner));
                }
            }
            2 => {
                let size = (1 + random(state, 20)) * RAM_GRANULE;
                if let Ok(blocks) = frames.allocate_blocks(size, owner) {
                    assert_eq!(blocks.iter().map(|b| b.size()).sum::<u64>(), size);
                    given.extend(blocks.into_iter().map(|b| (b, owner)));
                }
            }
            _ if !given.is_empty() => {
                let (block, owner) = given.swap_remove(random(state, given.len() as u64) as usize);
                assert_eq!(frames.free(block, owner), Ok(()));
            }
            _ => {}
        }
        check_against(&frames, &given, &ram, &parts);
    }
    assert!(given.len() > 10);
    for (block, owner) in given.drain(..) {
        assert!(frames.is_owned(block, owner));
        frames.free(block, owner).unwrap();
    }
    assert_eq!(drain(&mut frames), fresh, "all blocks joined again");
}

fn check_against(frames: &Frames, given: &[(PaRange, Owner)], ram: &Ram, parts: &[(u64, u64)]) {
    let used: u64 = given.iter().map(|(block, _)| block.size()).sum();
    assert_eq!(frames.free_bytes(), frames.total_bytes() - used);
    let Some((last, owner)) = given.last() else {
        return;
    };
    let others = &given[..given.len() - 1];
    assert!(others.iter().all(|(block, _)| !block.overlaps(*last)));
    assert!(
        parts
            .iter()
            .any(|&(from, to)| ram.range(from, to).contains(*last))
    );
    assert_eq!(frames.owner(last.start()), Some(*owner));
    assert_eq!(frames.owner(Pa::new(last.end().as_u64() - 1)), Some(*owner));
}
