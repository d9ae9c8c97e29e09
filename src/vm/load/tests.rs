use alloc::vec;

use super::*;
use crate::addr::{Ipa, Pa, PaRange};
use crate::cpu::fake::{self, Event};
use crate::vm::fdt::VIRT;
use crate::vm::image::Extent;

const SIZE: u64 = 8 << 20;
/// ID_AA64MMFR0_EL1 with pages of all sizes.
const MMFR0: u64 = 1 << 20;

fn files<'a>(kernel: &'a [u8], ramdisk: &'a [u8], dtb: Option<&'a [u8]>) -> Files<'a, 'static> {
    Files {
        kernel,
        aarch32: false,
        load: None,
        ramdisk,
        dtb,
        description: GuestDescription {
            map: &VIRT,
            cpus: &[0],
            ram: Extent::new(VIRT.ram, SIZE).unwrap(),
            bootargs: "a=b",
            ramdisk: None,
            rng_seed: [1; 32],
            kaslr_seed: 2,
        },
    }
}

fn memory() -> GuestMemory {
    fake::reset();
    fake::with(|cpu| cpu.ram = vec![0xaa; SIZE as usize]);
    let blocks = vec![PaRange::between(Pa::new(0), Pa::new(SIZE))];
    GuestMemory::new(VIRT.ram, blocks)
}

fn refusal(files: &Files<'_, '_>) -> alloc::string::String {
    Plan::new(files, MMFR0).err().unwrap().0
}

/// Fills the memory; returns how many steps that took.
fn fill(plan: Plan<'_>, memory: GuestMemory) -> Result<usize, Refusal> {
    let mut filling = plan.fill(memory);
    let mut percent = 0;
    for step in 1.. {
        let last = filling.step()?;
        assert!((percent..=100).contains(&filling.percent()));
        percent = filling.percent();
        assert_eq!(last, percent == 100);
        if last {
            assert_eq!(filling.finish().size(), SIZE);
            return Ok(step);
        }
    }
    unreachable!()
}

fn at(ipa: Ipa, size: usize) -> Vec<u8> {
    let start = (ipa.as_u64() - VIRT.ram.as_u64()) as usize;
    fake::with(|cpu| cpu.ram[start..start + size].to_vec())
}

#[test]
fn everything_is_where_it_was_planned() {
    let memory = memory();
    let files = files(b"kernel", b"ramdisk", None);
    let plan = Plan::new(&files, MMFR0).unwrap();
    let layout = plan.layout;
    fill(plan, memory).unwrap();
    assert_eq!(layout.entry, Ipa::new(0x4008_0000));
    assert_eq!(at(layout.kernel.start, 7), b"kernel\0");
    let ramdisk = layout.ramdisk.unwrap();
    assert_eq!(at(ramdisk.start, 8), b"ramdisk\0");
    let tree = at(layout.tree.start, layout.tree.size as usize);
    let place = ramdisk.start.as_u64().to_be_bytes();
    assert!(check(&tree).is_ok() && tree.windows(8).any(|bytes| bytes == place));
    assert_eq!(at(Ipa::new(0x4000_0000 + SIZE - 1), 1), [0]);
    fake::with(|cpu| assert_eq!(cpu.log.last(), Some(&Event::InvalidateInstructions)));
}

#[test]
fn an_owners_tree_is_merged() {
    let mut writer = fdt::Writer::new();
    writer.begin_node("");
    writer.cells("#size-cells", &[2]);
    writer.begin_node("thing-of-the-owner");
    writer.end_node();
    writer.end_node();
    let dtb = writer.finish();
    let memory = memory();
    let plan = Plan::new(&files(b"k", b"r", Some(&dtb)), MMFR0).unwrap();
    let place = plan.layout.tree;
    fill(plan, memory).unwrap();
    let tree = at(place.start, place.size as usize);
    assert!(check(&tree).is_ok());
    for wanted in [&b"thing-of-the-owner"[..], b"a=b", b"memory@40000000"] {
        assert!(tree.windows(wanted.len()).any(|bytes| bytes == wanted));
    }
}

#[test]
fn what_is_wrong_is_told_before_anything_is_written() {
    let mut image = vec![0; 64];
    image[16] = 1;
    image[24] = 4;
    image[56..60].copy_from_slice(b"ARMd");
    let plan = |mmfr0| Plan::new(&files(&image, b"", None), mmfr0).err();
    assert_eq!(plan(MMFR0), None);
    assert_eq!(
        plan(0).unwrap().0,
        "the kernel is for pages of 16 KiB, which the CPU does not have"
    );
    assert_eq!(
        refusal(&files(b"k", b"", Some(b"tree"))),
        "device tree: begins with 0x74726565, not 0xd00dfeed"
    );
    let large = vec![0; SIZE as usize];
    assert!(
        refusal(&files(b"k", &large, None))
            .starts_with("8388608 bytes of RAM do not hold a kernel")
    );
    assert!(refusal(&files(&large, b"", None)).contains("do not hold a kernel of 8388608 bytes"));
    assert!(refusal(&files(b"\x1f\x8b", b"", None)).ends_with("is cut short"));
}

/// Each step touches no more than a window, and the steps together all that has to be written.
#[test]
fn a_guest_is_filled_in_small_steps() {
    let kernel: Vec<u8> = (0..1_600_000_u32).map(|n| (n / 7) as u8).collect();
    let ramdisk: Vec<u8> = (0..700_000_u32).map(|n| (n / 5) as u8).collect();
    let packed = crate::vm::image::gzipped(&kernel);
    for (file, parts) in [
        (&kernel, 1_600_000 / (512 << 10)),
        (&packed, 1_600_000 >> 16),
    ] {
        let memory = memory();
        let plan = Plan::new(&files(file, &ramdisk, None), MMFR0).unwrap();
        let layout = plan.layout;
        let steps = fill(plan, memory).unwrap();
        // 4 windows to zero; the kernel's parts, the last of them short, and that it has no more;
        // two parts of the ramdisk, the tree.
        assert_eq!(steps, 4 + (parts + 2) + 2 + 1);
        assert_eq!(at(layout.kernel.start, kernel.len()), kernel);
        let place = layout.ramdisk.unwrap();
        assert_eq!(at(place.start, ramdisk.len()), ramdisk);
        assert_eq!(at(Ipa::new(0x4007_fff0), 16), [0; 16]);
        let largest = fake::with(|cpu| {
            let cleaned = cpu.log.iter().filter_map(|event| match event {
                Event::Clean(_, size) => Some(*size),
                _ => None,
            });
            cleaned.max()
        });
        assert!(largest.is_some_and(|size| size <= 2 << 20));
    }
}

#[test]
fn a_damaged_kernel_is_found_on_the_way() {
    let mut packed = crate::vm::image::gzipped(&vec![7; 300_000]);
    let at = packed.len() - 8;
    packed[at] ^= 1;
    let memory = memory();
    let plan = Plan::new(&files(&packed, b"", None), MMFR0).unwrap();
    let Refusal(text) = fill(plan, memory).unwrap_err();
    assert!(text.contains("its checksum is"), "{text}");
}
