//! Links the bare-metal program by `guest.ld`, to a flat file; does nothing for the host.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=guest.ld");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let here = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    println!("cargo::rustc-link-arg-bins=-T{here}/guest.ld");
    println!("cargo::rustc-link-arg-bins=--oformat=binary");
}
