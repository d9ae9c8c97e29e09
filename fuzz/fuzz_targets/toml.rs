//! Lists of VMs.
#![no_main]

use entresol::config::vms;
use entresol_fuzz::assert_line;

libfuzzer_sys::fuzz_target!(|text: &str| {
    match vms::parse(text) {
        Ok(vms) => vms
            .iter()
            .filter_map(|(_, vm)| vm.as_ref().err())
            .for_each(assert_line),
        Err(refusal) => assert_line(&refusal),
    }
});
