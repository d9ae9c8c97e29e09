//! Boots images in QEMU for the integration tests.
//!
//! ```ignore
//! let bundle = Bundle::new().vms_toml(VMS).file("Image", support::cached("Image"));
//! let mut run = Qemu::virt().cpu("cortex-a72").cpus(2).bundle(&bundle).start();
//! run.wait_for("Guest is up", support::BOOT);
//! run.send("poweroff\n");
//! assert!(run.wait_exit(support::BOOT).success());
//! ```
//!
//! A test that waits in vain panics with everything that was printed. Time is
//! only ever a deadline, long enough for a loaded machine without KVM.

// Each test binary compiles this module and uses its own part of it.
#![allow(dead_code, unused_imports)]

mod bundle;
mod image;
mod qemu;
mod run;
mod scratch;
pub mod vms;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use bundle::Bundle;
pub use image::{Built, board, checked, guest, guest32, hypervisor, linux_init, selftest};
pub use qemu::Qemu;
pub use run::Run;
pub use scratch::{Contents, Scratch};

/// A deadline for anything that takes a boot or less.
pub const BOOT: Duration = Duration::from_secs(180);

/// Returns the project's top folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns a file of the cache that `scripts/setup` fills, such as `Image` or `initrd.cpio.gz`.
///
/// # Panics
///
/// Panics where the file isn't there.
pub fn cached(name: &str) -> PathBuf {
    let cache = std::env::var_os("ENTRESOL_CACHE")
        .filter(|value| !value.is_empty())
        .map_or_else(|| root().join(".cache"), PathBuf::from);
    let path = cache.join(name);
    assert!(
        path.is_file(),
        "{} isn't there: run scripts/setup",
        path.display()
    );
    path
}

/// Returns code that enters an image as the boot protocol says, with the
/// device tree of one's choice: x0 = `device_tree`, x1 to x3 = 0, then a jump
/// to `entry`.
///
/// Hand it to [`Qemu::kernel`] (QEMU loads it at 0x4008_0000) and put the image
/// and the tree into memory with [`Qemu::loader`].
pub fn entry_stub(device_tree: u64, entry: u64) -> Vec<u8> {
    const CODE: [u32; 6] = [
        0x5800_00c0, // ldr x0, =device_tree (24 bytes on)
        0x5800_00e4, // ldr x4, =entry       (28 bytes on)
        0xaa1f_03e1, // mov x1, xzr
        0xaa1f_03e2, // mov x2, xzr
        0xaa1f_03e3, // mov x3, xzr
        0xd61f_0080, // br  x4
    ];
    let mut stub: Vec<u8> = CODE.iter().flat_map(|word| word.to_le_bytes()).collect();
    stub.extend(device_tree.to_le_bytes());
    stub.extend(entry.to_le_bytes());
    stub
}
