use super::*;
use crate::vm::image::Arm64;

const MIB: u64 = 1 << 20;
const START: u64 = 0x4000_0000;

fn ram(size: u64) -> Extent {
    extent(START, size)
}

fn extent(start: u64, size: u64) -> Extent {
    Extent::new(Ipa::new(start), size).unwrap()
}

fn image(text_offset: u64, image_size: u64, file_size: u64) -> Kernel {
    Kernel::Arm64(Arm64 {
        text_offset,
        image_size,
        big_endian: false,
        page_size: None,
        anywhere: true,
        file_size,
    })
}

fn raw(load: u64, file_size: u64) -> Kernel {
    Kernel::Raw { load, file_size }
}

#[test]
fn an_image_with_room_is_placed_as_by_qemu() {
    let layout = Layout::plan(
        ram(512 * MIB),
        &image(0, 40 * MIB, 30 * MIB),
        5_000_001,
        7000,
    );
    assert_eq!(
        layout,
        Ok(Layout {
            kernel: extent(START, 40 * MIB),
            ramdisk: Some(extent(START + 128 * MIB, 5_000_001)),
            tree: extent(START + 128 * MIB + 5_001_216, 7000),
            entry: Ipa::new(START),
        })
    );
}

#[test]
fn an_image_in_little_room_is_followed_closely() {
    let layout = Layout::plan(
        ram(16 * MIB),
        &image(0x8_0000, 6 * MIB, 100),
        7 * MIB,
        MIB + 4096,
    )
    .unwrap();
    assert_eq!(layout.entry, Ipa::new(START + 0x8_0000));
    assert_eq!(layout.kernel.size, 6 * MIB);
    assert_eq!(
        layout.ramdisk,
        Some(extent(START + 6 * MIB + 0x8_0000, 7 * MIB))
    );
    // 13.5 MiB would do but for the 2 MiB boundary.
    assert_eq!(layout.tree, extent(START + 14 * MIB, MIB + 4096));
    assert_eq!(
        Layout::plan(ram(16 * MIB), &image(0, 12 * MIB, 100), 4 * MIB, 4096),
        Err(refuse!(
            "16777216 bytes of RAM do not hold a kernel of 12582912 bytes at 0x40000000, \
             a ramdisk of 4194304 bytes and a device tree of 4096 bytes"
        ))
    );
}

#[test]
fn a_raw_binary_has_its_tree_at_the_start() {
    let layout = Layout::plan(ram(64 * MIB), &raw(0x8_0000, 1000), 10, 0x8_0000).unwrap();
    assert_eq!(layout.entry, Ipa::new(START + 0x8_0000));
    assert_eq!(layout.tree, extent(START, 0x8_0000));
    assert_eq!(layout.ramdisk, Some(extent(START + 32 * MIB, 10)));
    // One byte more, and it does not fit below the binary.
    let layout = Layout::plan(ram(64 * MIB), &raw(0x8_0000, 1000), 0, 0x8_0001).unwrap();
    assert_eq!(layout.tree.start, Ipa::new(START + 32 * MIB));
    assert_eq!(layout.ramdisk, None);
    let layout = Layout::plan(ram(64 * MIB), &raw(0, 1000), 0, 100).unwrap();
    assert_eq!(layout.entry, Ipa::new(START));
    assert_eq!(layout.tree.start, Ipa::new(START + 32 * MIB));
    // A binary at the end leaves room below only.
    let layout = Layout::plan(ram(64 * MIB), &raw(20 * MIB, 44 * MIB), MIB, 100).unwrap();
    assert_eq!(layout.tree.start, Ipa::new(START));
    assert_eq!(layout.ramdisk, Some(extent(START + 4096, MIB)));
}

#[test]
fn what_does_not_fit_is_refused_with_its_size() {
    let text = |kernel: &Kernel, tree| Layout::plan(ram(16 * MIB), kernel, 0, tree).unwrap_err().0;
    assert_eq!(
        text(&raw(0, 1), 2 * MIB + 1),
        "a device tree of 2097153 bytes can't be passed: 2 MiB is the most"
    );
    assert_eq!(
        text(&raw(0, 1), 0),
        "a device tree of 0 bytes can't be passed: 2 MiB is the most"
    );
    assert_eq!(
        text(&raw(u64::MAX, 1), 1),
        "16777216 bytes of RAM do not hold a kernel of 1 bytes at offset 0xffffffffffffffff"
    );
    assert_eq!(
        text(&image(0x8_0000, 16 * MIB, 1), 1),
        "16777216 bytes of RAM do not hold a kernel of 16777216 bytes at offset 0x80000"
    );
}

/// Whatever the sizes, a plan keeps everything apart, inside and aligned; and one small
/// ramdisk and tree that leave half of RAM free are never refused.
#[test]
fn plans_never_overlap() {
    let mut seed = 0x853c_49e6_748f_ea9b_u64;
    let mut random = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let mut planned = 0;
    for _ in 0..20_000 {
        let unit = [PAGE_SIZE, MIB, 1][random(3) as usize];
        let start = START + unit * random(10);
        let most = [16, 64, 1024][random(3) as usize] * MIB;
        let ram = extent(start, 1 + random(most));
        let size = |random: &mut dyn FnMut(u64) -> u64| {
            let limit = [100, MIB, ram.size, u64::MAX][random(4) as usize];
            random(limit)
        };
        let (one, other, file) = (size(&mut random), size(&mut random), size(&mut random));
        let kernel = match random(2) {
            0 => image(one, other, file),
            _ => raw(one, file),
        };
        let (ramdisk, tree) = (size(&mut random), random(2 * MIB + 10));
        let Ok(layout) = Layout::plan(ram, &kernel, ramdisk, tree) else {
            let small = ram.size / 8;
            let fits = kernel.memory_size() < small
                && one < small
                && ramdisk < small
                && (1..=2 * MIB).contains(&tree)
                && ram.size > 32 * MIB;
            assert!(!fits, "{ram:?} {kernel:?} {ramdisk} {tree}");
            continue;
        };
        planned += 1;
        let parts = [Some(layout.kernel), layout.ramdisk, Some(layout.tree)];
        let parts: alloc::vec::Vec<Extent> = parts.into_iter().flatten().collect();
        for (index, part) in parts.iter().enumerate() {
            assert!(ram.contains(*part), "{layout:?} in {ram:?}");
            assert!(parts[..index].iter().all(|other| !other.overlaps(*part)));
        }
        assert_eq!(layout.kernel.size, kernel.memory_size());
        assert_eq!(layout.ramdisk.map_or(0, |place| place.size), ramdisk);
        assert_eq!(layout.tree.size, tree);
        assert!(layout.tree.start.is_aligned(8));
        let block = |address: u64| address / (2 * MIB);
        let last = layout.tree.end().as_u64() - 1;
        assert_eq!(block(layout.tree.start.as_u64()), block(last));
        assert_eq!(layout.entry, layout.kernel.start);
    }
    assert!(planned > 2000, "{planned} planned");
}

fn zimage(file_size: u64) -> Kernel {
    Kernel::Zimage(crate::vm::image::Zimage {
        big_endian: false,
        file_size,
    })
}

#[test]
fn a_zimage_has_room_to_unpack_below_everything_else() {
    let layout = Layout::plan(ram(512 * MIB), &zimage(6 * MIB), MIB, 7000).unwrap();
    assert_eq!(layout.entry, Ipa::new(START + 32 * MIB));
    assert_eq!(layout.ramdisk, Some(extent(START + 128 * MIB, MIB)));
    assert_eq!(layout.tree.start, Ipa::new(START + 129 * MIB));
    let small = Layout::plan(ram(64 * MIB), &zimage(6 * MIB), MIB, 7000).unwrap();
    assert_eq!(small.entry, Ipa::new(START + 0x1_0000));
    assert_eq!(small.ramdisk, Some(extent(START + 32 * MIB, MIB)));
    // Not below, where it unpacks.
    assert!(Layout::plan(ram(64 * MIB), &zimage(6 * MIB), 40 * MIB, 7000).is_err());
}

#[test]
fn what_a_zimage_needs_is_below_4_gib() {
    let layout = |ramdisk| Layout::plan(ram(8192 * MIB), &zimage(6 * MIB), ramdisk, 7000);
    let most = 3072 * MIB - 130 * MIB;
    let fits = layout(most).unwrap();
    assert!(
        fits.tree.end() <= Ipa::new(1 << 32) && fits.ramdisk.unwrap().end() <= Ipa::new(1 << 32)
    );
    assert!(layout(most + 4 * MIB).is_err());
}
