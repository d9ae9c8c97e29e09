//! ELF programs. The first four bytes are always right, so that every input is one.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let file = [b"\x7fELF", data].concat();
    entresol_fuzz::place(&file, None);
});
