//! Bundles: the archive, and the list in it.
#![no_main]

use entresol::config::Config;
use entresol_fuzz::assert_line;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    match Config::from_bundle(data) {
        Ok(config) => config.refused.iter().for_each(assert_line),
        Err(refusal) => assert_line(&refusal),
    }
});
