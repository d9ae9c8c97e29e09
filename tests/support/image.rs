//! Builds the images under test, once per test binary.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const TARGET: &str = "aarch64-unknown-none-softfloat";

/// Returns the hypervisor's flat image, built if need be.
///
/// `ENTRESOL_IMAGE` names one to use instead.
pub fn hypervisor() -> &'static Path {
    static IMAGE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    built(&IMAGE, "ENTRESOL_IMAGE", "entresol")
}

/// Returns the test guests' flat image, built if need be.
///
/// `ENTRESOL_GUESTS` names one to use instead.
pub fn guests() -> &'static Path {
    static IMAGE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    built(&IMAGE, "ENTRESOL_GUESTS", "guests")
}

fn built(
    image: &'static OnceLock<Result<PathBuf, String>>,
    variable: &str,
    package: &str,
) -> &'static Path {
    let image = image.get_or_init(|| match std::env::var_os(variable) {
        Some(given) if !given.is_empty() => Ok(PathBuf::from(given)),
        _ => build(package),
    });
    match image {
        Ok(path) => path,
        Err(why) => panic!("{package} can't be tested: {why}"),
    }
}

/// Builds a package's binary of the same name and flattens it.
fn build(package: &str) -> Result<PathBuf, String> {
    // A folder apart: cargo holds a lock on the one that `cargo test` uses.
    let folder = super::root().join("target/image");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--release", "--target", TARGET])
        .args(["--package", package, "--bin", package, "--target-dir"])
        .arg(&folder)
        // They would take the place of the flags in .cargo/config.toml.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    succeed(&mut command)?;

    let image = folder.join(format!("{package}.img"));
    let mut flatten = Command::new("python3");
    flatten
        .arg(super::root().join("scripts/lib/elf.py"))
        .arg(folder.join(TARGET).join("release").join(package))
        .arg(&image);
    succeed(&mut flatten)?;
    Ok(image)
}

/// Runs a command in the project's folder to a good end.
fn succeed(command: &mut Command) -> Result<(), String> {
    let done = command
        .current_dir(super::root())
        .output()
        .map_err(|why| format!("{command:?}: {why}"))?;
    if done.status.success() {
        return Ok(());
    }
    let messages = String::from_utf8_lossy(&done.stderr);
    Err(format!("{command:?}: {}\n{messages}", done.status))
}
