//! Puts the hypervisor's flat image, which `ENTRESOL_IMAGE` names, where the application finds it.
//!
//! `scripts/image uefi` sets it. Without, the application is built as well, and says so when it is
//! started.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-env-changed=ENTRESOL_IMAGE");
    let folder = std::env::var("OUT_DIR").expect("cargo sets it");
    let image = match std::env::var("ENTRESOL_IMAGE") {
        Ok(path) if !path.is_empty() => {
            println!("cargo:rerun-if-changed={path}");
            std::fs::read(&path).unwrap_or_else(|why| panic!("ENTRESOL_IMAGE: {path}: {why}"))
        }
        _ => Vec::new(),
    };
    std::fs::write(Path::new(&folder).join("Image"), image).expect("cargo's folder can be written");
}
