//! Links the bare-metal programs by `guest.ld`; does nothing for the host.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=guest.ld");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let here = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    // A position independent image: the entry code applies the relative
    // relocations, also those of read-only data, hence `notext`.
    for arg in [
        &format!("-T{here}/guest.ld"),
        "-pie",
        "--no-dynamic-linker",
        "-znotext",
    ] {
        println!("cargo::rustc-link-arg-bins={arg}");
    }
}
