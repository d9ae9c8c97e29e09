//! The archive of guests that is handed over at boot.

use super::scratch::Contents;

/// A bundle being put together; files keep the order in which they are added.
#[derive(Default)]
pub struct Bundle {
    files: Vec<(String, Contents)>,
}

impl Bundle {
    /// Returns an empty bundle.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the description of the virtual machines.
    pub fn vms_toml(self, text: &str) -> Self {
        self.file("vms.toml", text.as_bytes())
    }

    /// Adds a file, from a path or from bytes.
    pub fn file(mut self, name: &str, contents: impl Into<Contents>) -> Self {
        self.files.push((name.to_owned(), contents.into()));
        self
    }

    /// Returns the archive (cpio, newc): the bytes that `scripts/bundle` makes.
    pub fn archive(&self) -> Vec<u8> {
        let mut archive = Vec::new();
        let mut inode = 0;
        for (name, contents) in &self.files {
            inode += 1;
            entry(&mut archive, inode, 0o100_644, name, &contents.read());
        }
        entry(&mut archive, inode + 1, 0, "TRAILER!!!", &[]);
        archive
    }
}

fn entry(archive: &mut Vec<u8>, inode: usize, mode: usize, name: &str, data: &[u8]) {
    // Owner, group, links, time, size, two device numbers twice, name, checksum.
    let (owner, links, time, device, checksum) = (0, 1, 0, 0, 0);
    archive.extend(b"070701");
    for field in [
        inode,
        mode,
        owner,
        owner,
        links,
        time,
        data.len(),
        device,
        device,
        device,
        device,
        name.len() + 1,
        checksum,
    ] {
        archive.extend(format!("{field:08x}").bytes());
    }
    archive.extend(name.bytes());
    archive.push(0);
    pad(archive);
    archive.extend(data);
    pad(archive);
}

/// Every header and every file starts at a multiple of four bytes.
fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}
