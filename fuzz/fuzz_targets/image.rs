//! arm64 Images, EFI programs and raw binaries: recognised, checked and placed.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (load, file) = match data {
        [0, load @ ..] if load.len() > 8 => {
            let (load, file) = load.split_at(8);
            (load.try_into().map(u64::from_le_bytes).ok(), file)
        }
        file => (None, file),
    };
    entresol_fuzz::place(file, load);
});
