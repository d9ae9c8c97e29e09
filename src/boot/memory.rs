//! Memory at start-up: EL2's map, its heap, and the frames that guests are made of.

#![expect(
    unsafe_code,
    reason = "the linker's symbols, and memory given to the allocators"
)]

use crate::{
    addr::{PAGE_SIZE, Pa, PaRange, Va},
    board::{Board, memory::subtract},
    cpu::local,
    error::Refusal,
    isa::descriptor::stage1::Regime,
    mem::{
        frames::{Frames, LARGEST_BLOCK},
        heap, stage1,
        table::TableError,
    },
    refuse,
};

unsafe extern "C" {
    safe static __image_start: u8;
    safe static __image_end: u8;
    safe static __boot_tables_start: u8;
    safe static __first_heap_start: u8;
    safe static __first_heap_end: u8;
}

/// What RAM is handed out in.
const GRANULE: u64 = 2 << 20;
/// The most whose words are made at once: as large as a block can be, a multiple of [`GRANULE`].
const LARGEST_PART: u64 = LARGEST_BLOCK;

/// Returns where the image lies, given where the loader put it.
pub fn image(start: Pa) -> PaRange {
    PaRange::new(start, offset(&__image_end)).expect("the image fits the address space")
}

fn offset(symbol: &u8) -> u64 {
    let address = |symbol: &u8| core::ptr::from_ref(symbol) as u64;
    address(symbol) - address(&__image_start)
}

/// Takes over what the first instructions made, the map and the first heap. Once.
pub fn adopt(image: PaRange, regime: Regime) {
    let root = Pa::new(image.start().as_u64() + offset(&__boot_tables_start));
    stage1::init(image, root, regime);
    let start = Va::new(core::ptr::from_ref(&__first_heap_start) as u64);
    let size = offset(&__first_heap_end) - offset(&__first_heap_start);
    // SAFETY: `linker.ld` sets this memory aside for this, and `entry.S` has mapped it.
    unsafe { heap::extend(start, size as usize) };
}

/// Says that EL2's own map can't be changed.
pub fn refusal(error: TableError) -> Refusal {
    refuse!("EL2's memory can't be mapped: {error:?}")
}

/// Makes the heap and the frames from all RAM that is nobody's; `taken` is already in use.
pub fn take(board: &Board, taken: &[Option<PaRange>]) -> Result<Frames, Refusal> {
    let free = taken
        .iter()
        .flatten()
        .fold(board.usable_ram.clone(), |ram, &range| {
            subtract(&ram, whole_pages(range))
        });
    let heap = choose_heap(&free)?;
    stage1::add_heap(heap).map_err(refusal)?;
    stage1::map_window(local::this().index).map_err(refusal)?;
    let mut frames = Frames::new();
    let blocks = subtract(&free, heap)
        .into_iter()
        .map(|range| range.shrink_to(GRANULE));
    for blocks in blocks.flat_map(parts) {
        let words = stage1::frame_words(blocks).map_err(refusal)?;
        // SAFETY: the words of these frames were just mapped, for good, for this.
        unsafe { frames.add(blocks, words) }
            .map_err(|error| refuse!("the RAM at {blocks} can't be managed: {error:?}"))?;
    }
    for range in taken.iter().flatten().copied().chain([heap]) {
        // Parts of pages count whole; what is outside RAM needs no reserving.
        let _ = frames.reserve(whole_pages(range));
    }
    Ok(frames)
}

/// Cuts a range into parts whose words the heap's largest block has room for; no parts of nothing.
fn parts(range: PaRange) -> impl Iterator<Item = PaRange> {
    let starts = (range.start().as_u64()..range.end().as_u64()).step_by(LARGEST_PART as usize);
    starts.map(move |start| {
        let end = start.saturating_add(LARGEST_PART).min(range.end().as_u64());
        PaRange::between(Pa::new(start), Pa::new(end))
    })
}

/// Chooses the heap: 4 MiB and a 128th of RAM, for tables and the frame table, at the end of the
/// largest free range.
fn choose_heap(free: &[PaRange]) -> Result<PaRange, Refusal> {
    let total: u64 = free.iter().map(|range| range.size()).sum();
    let size = (4 << 20) + (total / 128).next_multiple_of(GRANULE);
    let largest: Option<PaRange> = free
        .iter()
        .map(|range| range.shrink_to(GRANULE))
        .max_by_key(|range| range.size());
    largest
        .filter(|range| range.size() >= size)
        .and_then(|range| PaRange::new(Pa::new(range.end().as_u64() - size), size))
        .ok_or_else(|| {
            refuse!(
                "{} MiB of free RAM: too little for the hypervisor and a guest",
                total >> 20
            )
        })
}

fn whole_pages(range: PaRange) -> PaRange {
    let end = range.end().as_u64().next_multiple_of(PAGE_SIZE);
    PaRange::between(range.start().align_down(PAGE_SIZE), Pa::new(end))
}

/// Returns what is free in these ranges, for a person, in MiB.
pub fn mebibytes(ranges: &[PaRange]) -> u64 {
    ranges.iter().map(|range| range.size()).sum::<u64>() >> 20
}
