use alloc::string::String;
use alloc::string::ToString;

use super::*;

/// Writes archives as `cpio -H newc` does, or wrongly where asked.
#[derive(Default)]
pub(in crate::config) struct Writer(Vec<u8>);

impl Writer {
    pub(in crate::config) fn file(self, name: &str, data: &[u8]) -> Self {
        self.entry("070701", 0o100_644, 1, 0, name, data)
    }

    fn entry(
        mut self,
        magic: &str,
        mode: u32,
        links: u32,
        sum: u32,
        name: &str,
        data: &[u8],
    ) -> Self {
        self.0.extend(magic.as_bytes());
        let (size, name_size) = (data.len() as u32, name.len() as u32 + 1);
        let fields = [7, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, sum];
        for field in fields {
            self.0.extend(alloc::format!("{field:08x}").as_bytes());
        }
        self.0.extend(name.as_bytes());
        self.0.push(0);
        self.pad();
        self.0.extend(data);
        self.pad();
        self
    }

    fn pad(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    pub(in crate::config) fn build(self) -> Vec<u8> {
        let mut bytes = self.file(TRAILER, &[]).0;
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }
}

fn refusal(bytes: &[u8]) -> String {
    Archive::read(bytes).unwrap_err().to_string()
}

fn sample() -> Vec<u8> {
    Writer::default()
        .entry("070701", 0o040_755, 2, 0, ".", &[])
        .file("./vms.toml", b"[vm]\n")
        .entry(
            "070702",
            0o100_644,
            1,
            0x61 + 0x62 + 0x63,
            "dir/Image",
            b"abc",
        )
        .file("empty", &[])
        .build()
}

#[test]
fn files_are_found_by_name() {
    let bytes = sample();
    let archive = Archive::read(&bytes).unwrap();
    let names: Vec<&str> = archive.files().iter().map(|file| file.name).collect();
    assert_eq!(names, ["vms.toml", "dir/Image", "empty"]);
    assert_eq!(archive.find("vms.toml"), Some(&b"[vm]\n"[..]));
    assert_eq!(archive.find("./vms.toml"), Some(&b"[vm]\n"[..]));
    assert_eq!(archive.find("dir/Image"), Some(&b"abc"[..]));
    assert_eq!(archive.find("empty"), Some(&b""[..]));
    assert_eq!(archive.find("."), None);
    assert_eq!(archive.find("Image"), None);
}

#[test]
fn an_archive_may_end_with_its_trailer() {
    let bytes = sample();
    let end = bytes.windows(10).position(|w| w == b"TRAILER!!!").unwrap() + 11;
    assert_eq!(Archive::read(&bytes[..end]).unwrap().files().len(), 3);
}

/// Cut anywhere before the end of the trailer's name, the refusal says where.
#[test]
fn every_cut_is_noticed() {
    let bytes = sample();
    let end = bytes.windows(10).position(|w| w == b"TRAILER!!!").unwrap() + 11;
    for cut in 0..end {
        let text = refusal(&bytes[..cut]);
        assert!(text.starts_with("bundle: cut short in "), "{cut}: {text}");
    }
    assert_eq!(refusal(&[]), "bundle: cut short in the header of entry 1");
    let name = bytes.windows(4).position(|w| w == b"vms.").unwrap();
    assert_eq!(
        refusal(&bytes[..name]),
        "bundle: cut short in the name of entry 2"
    );
    let data = bytes.windows(4).position(|w| w == b"[vm]").unwrap();
    assert_eq!(
        refusal(&bytes[..data + 2]),
        "bundle: cut short in \"./vms.toml\": 2 of its 5 bytes are there"
    );
}

#[test]
fn other_formats_are_named() {
    let mut zipped = vec![0x1f, 0x8b, 8, 0];
    zipped.resize(200, 0);
    assert_eq!(
        refusal(&zipped),
        "bundle: compressed with gzip; it must be a plain newc archive"
    );
    assert_eq!(
        refusal(&[b'x'; 200]),
        "bundle: no newc archive at entry 1, offset 0x0"
    );
    let second = Writer::default()
        .file("a", b"b")
        .entry("070707", 0, 1, 0, "b", b"");
    assert_eq!(
        refusal(&second.build()),
        "bundle: no newc archive at entry 2, offset 0x74"
    );
}

#[test]
fn damage_is_named() {
    let mut signed = sample();
    signed[6 + 8 * 6] = b'+';
    assert_eq!(
        refusal(&signed),
        "bundle: field 6 of the header of entry 1 is not hexadecimal"
    );
    let damaged = Writer::default().entry("070702", 0o100_644, 1, 1, "a", b"abc");
    assert_eq!(
        refusal(&damaged.build()),
        "bundle: \"a\" is damaged: its checksum is 0x126, not 0x1"
    );
    let twice = Writer::default().file("a", b"1").file("./a", b"2");
    assert_eq!(refusal(&twice.build()), "bundle: two files named \"a\"");
    let link = Writer::default().entry("070701", 0o100_644, 2, 0, "a", b"");
    assert_eq!(
        refusal(&link.build()),
        "bundle: \"a\" is a hard link; store it as a file"
    );
    let unnamed = Writer::default().file("", b"");
    assert_eq!(
        refusal(&unnamed.build()),
        "bundle: the name of entry 1 is empty or does not end"
    );
    let mut foreign = Writer::default().file("ab", b"").build();
    foreign[HEADER_SIZE] = 0xff;
    assert_eq!(
        refusal(&foreign),
        "bundle: the name of entry 1 is not UTF-8"
    );
}
