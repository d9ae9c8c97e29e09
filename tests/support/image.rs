//! Builds the images under test, once per test binary.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::{Bundle, Scratch};

const TARGET: &str = "aarch64-unknown-none-softfloat";
const TARGET_32: &str = "armv7a-none-eabi";

/// A hypervisor that was built: its file with symbols, and what a boot loader takes.
pub struct Built {
    /// The ELF file.
    pub elf: PathBuf,
    /// The flat image.
    pub image: PathBuf,
}

/// Returns the hypervisor's flat image, built if need be.
///
/// `ENTRESOL_IMAGE` names one to use instead.
///
/// # Panics
///
/// Panics where it can't be built.
pub fn hypervisor() -> &'static Path {
    static IMAGE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let image = IMAGE.get_or_init(|| match given("ENTRESOL_IMAGE") {
        Some(image) => Ok(image),
        None => {
            build("image", &["--bin", "entresol"]).and_then(|folder| flatten(&folder, "entresol"))
        }
    });
    image
        .as_deref()
        .unwrap_or_else(|why| panic!("the hypervisor can't be tested: {why}"))
}

/// Returns the hypervisor that faults when it is told to (feature `selftest`), built if need be.
///
/// # Panics
///
/// Panics where it can't be built.
pub fn selftest() -> &'static Built {
    static BUILT: OnceLock<Result<Built, String>> = OnceLock::new();
    // A folder apart, so that the two do not take turns in one place.
    let built = BUILT.get_or_init(|| {
        let folder = build(
            "image-selftest",
            &["--bin", "entresol", "--features", "selftest"],
        )?;
        Ok(Built {
            image: flatten(&folder, "entresol")?,
            elf: folder.join("entresol"),
        })
    });
    built
        .as_ref()
        .unwrap_or_else(|why| panic!("the hypervisor can't be tested: {why}"))
}

/// Returns the flat image of the hypervisor with debug assertions, which check the order of its locks
/// among much else, built if need be.
///
/// # Panics
///
/// Panics where it can't be built.
pub fn checked() -> &'static Path {
    static IMAGE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let image = IMAGE.get_or_init(|| {
        let mut command = cargo(TARGET, "image-checked", &["--bin", "entresol"]);
        // Not made to be fast, but to be built fast.
        for (setting, value) in [
            ("DEBUG_ASSERTIONS", "true"),
            ("OVERFLOW_CHECKS", "true"),
            ("LTO", "off"),
            ("CODEGEN_UNITS", "16"),
            ("OPT_LEVEL", "1"),
        ] {
            command.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
        }
        succeed(&mut command)?;
        flatten(&binaries(TARGET, "image-checked"), "entresol")
    });
    image
        .as_deref()
        .unwrap_or_else(|why| panic!("the hypervisor can't be tested: {why}"))
}

/// Returns the flat image of a test guest, a binary of `tests/guests`, built if need be.
///
/// `ENTRESOL_GUESTS` names a folder with `NAME.img` to use instead.
///
/// # Panics
///
/// Panics where it can't be built.
pub fn guest(name: &str) -> PathBuf {
    if let Some(folder) = given("ENTRESOL_GUESTS") {
        return folder.join(format!("{name}.img"));
    }
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    static IMAGES: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let folder = FOLDER.get_or_init(|| build("image", &["--package", "guests", "--bins"]));
    let mut images = IMAGES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(image) = images.get(name) {
        return image.clone();
    }
    let image = match folder {
        Ok(folder) => flatten(folder, name),
        Err(why) => Err(why.clone()),
    };
    let image = image.unwrap_or_else(|why| panic!("the guest {name} can't be run: {why}"));
    images.insert(name.to_owned(), image.clone());
    image
}

/// Returns the test guest in AArch32, a raw binary, built if need be.
///
/// # Panics
///
/// Panics where it can't be built.
pub fn guest32() -> PathBuf {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let folder = build_for(TARGET_32, "image", &["--package", "guests32"])?;
        Ok(folder.join("guests32"))
    });
    match built {
        Ok(path) => path.clone(),
        Err(why) => panic!("the guest in AArch32 can't be run: {why}"),
    }
}

/// Makes what is copied to a board, with the hypervisor under test: a disk image, or a folder of
/// files if `name` ends with a slash, in `folder`.
///
/// # Panics
///
/// Panics where it can't be made.
pub fn board(folder: &Path, name: &str, board: &str, bundle: &[u8], more: &[&str]) -> PathBuf {
    let output = format!("{}/{name}", folder.display());
    let archive = folder.join("handed-over.cpio");
    std::fs::write(&archive, bundle).expect("the build's folder for tests can be written");
    let mut command = Command::new(super::root().join("scripts/image"));
    command
        .args([board, "-o", &output, "--bundle"])
        .arg(&archive)
        .arg("--kernel")
        .arg(hypervisor())
        .args(more)
        .env("CARGO_TARGET_DIR", super::root().join("target/image"))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    succeed(&mut command).unwrap_or_else(|why| panic!("no image for {board}: {why}"));
    PathBuf::from(output)
}

/// Builds a Linux program of `tests/data`, which is one file and uses no library, and returns a ramdisk
/// of which it is the first process.
///
/// # Panics
///
/// Panics where it can't be built.
pub fn linux_init(source: &str) -> Vec<u8> {
    let folder = Scratch::folder("init");
    let output = folder.path().join("init");
    let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command
        .args(["--edition", "2024", "--target", TARGET])
        .args(["-O", "-C", "panic=abort", "-C", "relocation-model=static"])
        .args(["-C", "link-arg=--image-base=0x400000", "-o"])
        .arg(&output)
        .arg(super::root().join("tests/data").join(source));
    succeed(&mut command).unwrap_or_else(|why| panic!("{source}: {why}"));
    let program = std::fs::read(output).expect("was made");
    let mut archive = Bundle::new().file("init", program).archive();
    // The mode is the second field after the magic number: a program, not a plain file.
    archive[14..22].copy_from_slice(b"000081ed");
    archive
}

fn given(variable: &str) -> Option<PathBuf> {
    let value = std::env::var_os(variable).filter(|value| !value.is_empty())?;
    Some(PathBuf::from(value))
}

/// Builds binaries for the bare machine in a folder of `target`, and returns where they are.
fn build(folder: &str, what: &[&str]) -> Result<PathBuf, String> {
    build_for(TARGET, folder, what)
}

fn build_for(target: &str, folder: &str, what: &[&str]) -> Result<PathBuf, String> {
    succeed(&mut cargo(target, folder, what))?;
    Ok(binaries(target, folder))
}

/// Returns where the binaries are that were built in a folder of `target`.
fn binaries(target: &str, folder: &str) -> PathBuf {
    let folder = super::root().join("target").join(folder);
    folder.join(target).join("release")
}

fn cargo(target: &str, folder: &str, what: &[&str]) -> Command {
    // A folder apart: cargo holds a lock on the one that `cargo test` uses.
    let folder = super::root().join("target").join(folder);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--release", "--target", target])
        .args(what)
        .arg("--target-dir")
        .arg(&folder)
        // They would take the place of the flags in .cargo/config.toml.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}

/// Makes the flat image of an ELF file in `folder`, beside it.
fn flatten(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let image = folder.join(format!("{name}.img"));
    let mut command = Command::new("python3");
    command
        .arg(super::root().join("scripts/lib/elf.py"))
        .arg(folder.join(name))
        .arg(&image);
    succeed(&mut command)?;
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
