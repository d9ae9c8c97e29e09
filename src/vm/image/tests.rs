use alloc::string::String;

use super::gzip::tests::{gzip, sample};
use super::*;

fn header(text_offset: u64, image_size: u64, flags: u64) -> Vec<u8> {
    let mut file = vec![0; 100];
    file[8..16].copy_from_slice(&text_offset.to_le_bytes());
    file[16..24].copy_from_slice(&image_size.to_le_bytes());
    file[24..32].copy_from_slice(&flags.to_le_bytes());
    file[56..60].copy_from_slice(b"ARMd");
    file
}

/// An Image that is an EFI program of one section, which ends at `end`.
fn efi_image(end: u32) -> Vec<u8> {
    let mut file = header(0, 0x1_0000, 0xa);
    file.resize(1000, 0);
    file[..2].copy_from_slice(b"MZ");
    file[60] = 64;
    file[64..68].copy_from_slice(b"PE\0\0");
    file[70] = 1;
    file[84] = 16;
    let section = 64 + 24 + 16;
    file[section + 16..section + 20].copy_from_slice(&(end - 512).to_le_bytes());
    file[section + 20..section + 24].copy_from_slice(&512_u32.to_le_bytes());
    file
}

fn zboot(payload: &[u8], method: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 64];
    file[..2].copy_from_slice(b"MZ");
    file[4..8].copy_from_slice(b"zimg");
    file[8] = 64;
    file[12..16].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    file[24..24 + method.len()].copy_from_slice(method);
    file.extend(payload);
    file
}

fn identify(file: &[u8], load: Option<u64>) -> Result<Kernel, Refusal> {
    let source = Source::open(file)?;
    Kernel::identify(&source.head()?, source.size(), load)
}

fn refusal(file: &[u8]) -> String {
    identify(file, None).unwrap_err().0
}

/// Unpacks a kernel into memory of its size.
fn loaded(file: &[u8]) -> Result<Vec<u8>, Refusal> {
    let kernel = identify(file, None)?;
    let mut memory = vec![0; kernel.memory_size() as usize];
    Source::open(file)?.unpack(&kernel.pieces(), |at, part| {
        memory[at as usize..][..part.len()].copy_from_slice(part);
        Ok(())
    })?;
    Ok(memory)
}

#[test]
fn images_are_read() {
    let kernel = identify(&header(0x1000, 0x20_0000, 0xa), None).unwrap();
    let expected = Arm64 {
        text_offset: 0x1000,
        image_size: 0x20_0000,
        big_endian: false,
        page_size: Some(0x1000),
        anywhere: true,
        file_size: 100,
    };
    assert_eq!(kernel, Kernel::Arm64(expected));
    assert_eq!(kernel.memory_size(), 0x20_0000);
    let whole = Piece {
        file: 0..100,
        offset: 0,
    };
    assert_eq!(kernel.pieces(), [whole]);
    let Ok(Kernel::Arm64(old)) = identify(&header(0x1234, 0, 0), None) else {
        panic!()
    };
    assert_eq!((old.text_offset, old.page_size), (0x8_0000, None));
    assert_eq!(old.memory_size(), 100);
}

#[test]
fn an_image_must_suit_the_cpu() {
    // TGran4 and TGran64: 0 there, 0xf not; TGran16: 1 there, 0 not.
    let (all, only4, only64) = (1 << 20, 0xf << 24, 0xf << 28);
    let check = |flags, mmfr0| {
        let kernel = identify(&header(0, 1, flags), None).unwrap();
        kernel.check_cpu(mmfr0).map_err(|refusal| refusal.0)
    };
    let lacks = |size| {
        Err(alloc::format!(
            "the kernel is for pages of {size} KiB, which the CPU does not have"
        ))
    };
    for flags in [0, 2, 4, 6] {
        assert_eq!(check(flags, all), Ok(()));
    }
    assert_eq!(check(0, only64), Ok(()), "it does not say");
    assert_eq!(check(2, only4), Ok(()));
    assert_eq!(check(2, only64), lacks(4));
    assert_eq!(check(4, only4), lacks(16));
    assert_eq!(check(6, only4), lacks(64));
    assert_eq!(check(6, only64), Ok(()));
    assert_eq!(
        check(3, all),
        Err("the kernel is big-endian; guests start little-endian here".into())
    );
}

#[test]
fn an_image_cut_short_is_noticed() {
    assert!(identify(&efi_image(1000), None).is_ok());
    assert_eq!(
        refusal(&efi_image(1001)),
        "the kernel is an arm64 Image cut short: 1000 of 1001 bytes are there"
    );
    assert_eq!(
        refusal(&header(0, 1, 0)[..63]),
        "the kernel is an arm64 Image cut short: 63 of 64 bytes are there"
    );
}

#[test]
fn anything_else_is_raw() {
    let raw = |load, file_size| Ok(Kernel::Raw { load, file_size });
    assert_eq!(identify(&[0; 60], None), raw(0x8_0000, 60));
    assert_eq!(identify(&[7], Some(0)), raw(0, 1));
    // Cut in the middle of the magic number.
    assert_eq!(identify(&header(0, 1, 0)[..59], None), raw(0x8_0000, 59));
    assert_eq!(loaded(&[1, 2, 3]).unwrap(), [1, 2, 3]);
}

#[test]
fn compressed_kernels_are_what_they_hold() {
    let mut image = header(0, 400_000, 0xa);
    image.extend(sample(300_000));
    let mut memory = image.clone();
    memory.resize(400_000, 0);
    for file in [image.clone(), gzip(&image), zboot(&gzip(&image), b"gzip")] {
        assert_eq!(identify(&file, None), identify(&image, None));
        assert_eq!(loaded(&file).unwrap(), memory);
    }
    let (code, data) = (sample(200_000), sample(70_000));
    let program = elf::tests::program(
        0x20_0000,
        &[
            (0x20_0000, 0x20_0000, 0x4_0000, &code),
            (0x30_0000, 0x30_0000, 0x2_0000, &data),
        ],
    );
    let mut memory = code;
    memory.resize(0x10_0000, 0);
    memory.extend(data);
    memory.resize(0x12_0000, 0);
    assert_eq!(loaded(&program).unwrap(), memory);
    assert_eq!(loaded(&gzip(&program)).unwrap(), memory);
    let raw = sample(150_000);
    assert_eq!(loaded(&gzip(&raw)).unwrap(), raw);
}

#[test]
fn what_cannot_start_is_named() {
    let expected = |format| {
        alloc::format!(
            "the kernel is {format}; an arm64 Image, a zImage, an ELF program or a raw binary is needed"
        )
    };
    assert_eq!(refusal(&[]), expected("empty"));
    assert_eq!(refusal(&gzip(&[])), expected("empty"));
    assert_eq!(
        refusal(&gzip(&gzip(&[]))),
        expected("compressed with gzip twice")
    );
    assert_eq!(refusal(b"\xfd7zXZ\0"), expected("compressed with xz"));
    let mut efi = efi_image(600);
    efi[56] = 0;
    assert_eq!(
        refusal(&efi),
        expected("an EFI program without an arm64 Image in it")
    );
    assert_eq!(
        refusal(&zboot(b"", b"zstd")),
        "the kernel is packed as an EFI program with \"zstd\"; gzip is needed"
    );
    assert_eq!(
        refusal(&zboot(b"x", b"gzip")),
        "the kernel is packed as an EFI program, but what it says of itself is wrong, or it is cut short"
    );
    for (file, name) in [
        (header(0, 1, 0), "an arm64 Image"),
        (elf::tests::program(0, &[(0, 0, 8, b"")]), "an ELF file"),
    ] {
        assert_eq!(
            identify(&file, Some(0)).unwrap_err().0,
            alloc::format!("load is for raw binaries, but the kernel is {name}")
        );
    }
}

/// Whatever a file says, it is refused in a line, or placed and filled inside RAM.
#[test]
fn mutated_kernels_stay_inside() {
    let image = efi_image(1000);
    let program = elf::tests::program(
        0x4000_0000,
        &[
            (0x4000_0000, 0x4000_0000, 3000, &sample(2000)),
            (0x4000_1000, 0xffff_1000, 100, &sample(100)),
        ],
    );
    let packed = [
        gzip(&image),
        gzip(&program),
        zboot(&gzip(&image), b"gzip"),
        image,
        program,
    ];
    let ram = Extent::new(crate::addr::Ipa::new(0x4000_0000), 16 << 20).unwrap();
    let mut seed = 0x853c_49e6_748f_ea9b_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize % below
    };
    let (mut filled, mut refused) = (0, 0);
    for round in 0..20_000 {
        let mut file = packed[round % packed.len()].clone();
        for _ in 0..=random(3) {
            let limit = [64, 64 + 3 * 56, file.len()][random(3)];
            let at = random(limit.min(file.len()));
            match random(6) {
                0 if random(8) == 0 => file.truncate(at.max(240)),
                1 => file[at] = [0, 1, 0x7f, 0xff][random(4)],
                2 => {
                    let at = (at & !7).min(file.len() - 8);
                    let word = [0, 1, u64::MAX, 0x4000_0000, 1 << 63][random(5)];
                    file[at..at + 8].copy_from_slice(&word.to_le_bytes());
                }
                _ => file[at] ^= 1 << random(8),
            }
        }
        let fill = || {
            let kernel = identify(&file, None)?;
            kernel.check_cpu(1 << 20)?;
            let layout = Layout::plan(ram, &kernel, 0, 4096)?;
            assert!(ram.contains(layout.kernel));
            Source::open(&file)?.unpack(&kernel.pieces(), |at, part| {
                assert!(at + part.len() as u64 <= layout.kernel.size);
                Ok(())
            })
        };
        match fill() {
            Ok(()) => filled += 1,
            Err(Refusal(text)) => {
                refused += 1;
                assert!(!text.contains('\n'), "{text}");
            }
        }
    }
    assert!(filled > 2000 && refused > 2000, "{filled} {refused}");
}

/// The header of a zImage whose words say that it takes `size` bytes.
fn zimage(size: u32, order: u32) -> Vec<u8> {
    let mut file = vec![0; 64];
    for (at, word) in [
        (0x24, 0x016f_2818),
        (0x28, 0x100),
        (0x2c, 0x100 + size),
        (0x30, order),
    ] {
        file[at..at + 4].copy_from_slice(&u32::to_le_bytes(word));
    }
    file
}

#[test]
fn a_zimage_is_for_aarch32_and_all_else_that_says_so_is_not() {
    const LITTLE: u32 = 0x0403_0201;
    let kernel = identify(&zimage(64, LITTLE), None).unwrap();
    let Kernel::Zimage(image) = &kernel else {
        panic!("{kernel:?}");
    };
    assert_eq!((image.file_size, image.big_endian), (64, false));
    assert!(kernel.check_cpu(0).is_ok() && kernel.check_state(true).is_ok());
    assert_eq!(
        kernel.check_state(false).unwrap_err().0,
        "the kernel is a zImage for AArch32, which takes aarch32 = true"
    );
    assert_eq!(
        refusal(&zimage(65, LITTLE)),
        "the kernel is a zImage cut short: 64 of 65 bytes are there"
    );
    let big = identify(&zimage(64, LITTLE.swap_bytes()), None).unwrap();
    assert!(big.check_cpu(0).unwrap_err().0.contains("big-endian"));
    assert!(
        identify(&zimage(64, LITTLE), Some(0)).is_err(),
        "it says itself where it goes"
    );
    let arm64 = identify(&header(0, 0x1000, 0), None).unwrap();
    assert!(arm64.check_state(false).is_ok() && arm64.check_state(true).is_err());
    let raw = identify(b"raw", None).unwrap();
    assert!(raw.check_state(false).is_ok() && raw.check_state(true).is_ok());
}
