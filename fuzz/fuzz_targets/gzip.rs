//! gzip files. The first three bytes are always right, so that every input is one.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let file = [b"\x1f\x8b\x08", data].concat();
    entresol_fuzz::place(&file, None);
});
