//! Files that live as long as the value that names them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// What a file is to hold: given as bytes, or as another file.
pub enum Contents {
    /// The bytes themselves.
    Bytes(Vec<u8>),
    /// The file that holds them.
    File(PathBuf),
}

impl Contents {
    /// Returns the bytes.
    pub fn read(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::File(path) => {
                std::fs::read(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
            }
        }
    }
}

impl From<Vec<u8>> for Contents {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<&[u8]> for Contents {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<PathBuf> for Contents {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&Path> for Contents {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

/// A file or folder of a test's own, removed when dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Writes a new file whose name ends in `name`.
    pub fn file(name: &str, bytes: &[u8]) -> Self {
        let scratch = Self(fresh(name));
        std::fs::write(&scratch.0, bytes).expect("the build's folder for tests can be written");
        scratch
    }

    /// Makes a new, empty folder whose name ends in `name`.
    pub fn folder(name: &str) -> Self {
        let scratch = Self(fresh(name));
        std::fs::create_dir(&scratch.0).expect("the build's folder for tests can be written");
        scratch
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing is lost if it stays: the folder is the build's own.
        let _ = if self.0.is_dir() {
            std::fs::remove_dir_all(&self.0)
        } else {
            std::fs::remove_file(&self.0)
        };
    }
}

fn fresh(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{number}-{name}", std::process::id()))
}
