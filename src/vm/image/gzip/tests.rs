use alloc::vec::Vec;

use super::*;

/// Computes the checksum bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            crc >> 1 ^ if crc & 1 != 0 { 0xedb8_8320 } else { 0 }
        })
    })
}

/// Compresses with optional fields as `flags` say.
fn compress(bytes: &[u8], flags: u8) -> Vec<u8> {
    let mut file = vec![0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3];
    if flags & HAS_EXTRA != 0 {
        file.extend([3, 0, 1, 2, 3]);
    }
    if flags & HAS_NAME != 0 {
        file.extend(b"vmlinux\0");
    }
    if flags & HAS_COMMENT != 0 {
        file.extend(b"\0");
    }
    if flags & HAS_HEADER_CRC != 0 {
        file.extend([0, 0]);
    }
    file.extend(miniz_oxide::deflate::compress_to_vec(bytes, 6));
    file.extend(crc(bytes).to_le_bytes());
    file.extend((bytes.len() as u32).to_le_bytes());
    file
}

/// Compresses.
pub(in crate::vm) fn gzip(bytes: &[u8]) -> Vec<u8> {
    compress(bytes, HAS_NAME)
}

fn unpack(file: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut out = vec![];
    let mut unpacking = Gzip::read(file)?.unpack();
    while let Some(piece) = unpacking.next()? {
        out.extend(piece);
    }
    Ok(out)
}

/// Bytes that compress a little and repeat over distances of up to 32 KiB.
pub(in crate::vm) fn sample(size: usize) -> Vec<u8> {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize
    };
    let mut bytes: Vec<u8> = vec![];
    while bytes.len() < size {
        let back = 1 + random() % 0x8000;
        let count = random() % 40;
        for _ in 0..count {
            match bytes.len().checked_sub(back) {
                Some(from) if count < 30 => bytes.push(bytes[from]),
                _ => bytes.push(random() as u8),
            }
        }
    }
    bytes.truncate(size);
    bytes
}

#[test]
fn the_checksum_is_the_one_of_the_standard() {
    let mut crc = Crc::default();
    crc.add(b"1234");
    crc.add(b"56789");
    assert_eq!(crc.value(), 0xcbf4_3926);
}

#[test]
fn what_was_packed_comes_out() {
    for size in [0, 1, 1000, WINDOW - 1, WINDOW, WINDOW + 1, 5 * WINDOW + 77] {
        let bytes = sample(size);
        for flags in [0, HAS_NAME, 0x1e] {
            assert_eq!(unpack(&compress(&bytes, flags)).unwrap(), bytes, "{size}");
        }
        assert_eq!(
            Gzip::read(&gzip(&bytes)).unwrap().size(),
            size as u64,
            "{size}"
        );
    }
}

#[test]
fn a_window_comes_at_a_time() {
    let file = gzip(&sample(2 * WINDOW + 5));
    let mut unpacking = Gzip::read(&file).unwrap().unpack();
    let mut next = || unpacking.next().unwrap().map(<[u8]>::len);
    assert_eq!(
        [next(), next(), next(), next(), next()],
        [Some(WINDOW), Some(WINDOW), Some(5), None, None]
    );
}

#[test]
fn what_is_wrong_is_told() {
    let bytes = sample(100_000);
    let good = gzip(&bytes);
    let refusal = |file: &[u8]| unpack(file).unwrap_err().0;
    let of = |what: &str| alloc::format!("the kernel, compressed with gzip, {what}");

    assert_eq!(refusal(&good[..17]), of("is cut short"));
    let mut cut = good[..good.len() / 2].to_vec();
    cut.extend(&good[good.len() - 8..]);
    assert_eq!(refusal(&cut), of("is cut short"));
    let mut method = good.clone();
    method[2] = 9;
    assert_eq!(
        refusal(&method),
        of("has an unknown header: method 9, flags 0x8")
    );
    let mut short = good.clone();
    let at = short.len() - 4;
    short[at..].copy_from_slice(&99_999_u32.to_le_bytes());
    assert_eq!(
        refusal(&short),
        of("is larger than the 99999 bytes it says")
    );
    short[at..].copy_from_slice(&100_001_u32.to_le_bytes());
    assert_eq!(
        refusal(&short),
        of("is 1 bytes smaller than the 100001 it says")
    );
    let mut damaged = good.clone();
    damaged[at - 1] ^= 1;
    assert!(refusal(&damaged).starts_with(&of("is damaged: its checksum is 0x")));
    let mut twice = good.clone();
    twice.extend(&good);
    assert_eq!(
        refusal(&twice),
        of(&alloc::format!(
            "is followed by {} bytes of something else",
            good.len()
        ))
    );
    let block = 10 + b"vmlinux\0".len();
    let mut bad = good;
    bad[block] = 0xff;
    assert_eq!(refusal(&bad), of("is damaged"));
}

#[test]
fn mutated_files_do_not_panic() {
    let good = gzip(&sample(3000));
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize % below
    };
    let (mut same, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let mut file = good.clone();
        for _ in 0..=random(3) {
            let at = match random(3) {
                0 => random(30),
                1 => file.len() - 1 - random(8),
                _ => random(file.len()),
            };
            match random(8) {
                0 if random(4) == 0 => file.truncate(at.max(32)),
                1 => drop(file.remove(at)),
                _ => file[at] ^= 1 << random(8),
            }
        }
        let mut out = 0;
        let done = Gzip::read(&file).and_then(|gzip| {
            let mut unpacking = gzip.unpack();
            while let Some(piece) = unpacking.next()? {
                out += piece.len() as u64;
                assert!(out <= gzip.size());
            }
            Ok(())
        });
        match done {
            Ok(()) => same += 1,
            Err(refusal) => {
                refused += 1;
                assert!(refusal.0.starts_with("the kernel, compressed with gzip, "));
            }
        }
    }
    assert!(same > 100 && refused > 10_000, "{same} {refused}");
}
