use alloc::string::ToString;
use alloc::vec;

use super::cpio::tests::Writer;
use super::*;
use crate::sched::DEFAULT_WEIGHT;

const TOML: &str = "# VMs ü\n[vm.linux]\nkernel = \"Image\"\nramdisk = \"./initrd\"\n\
    bootargs = \"a b\"\ncpus = 2\nmemory = \"64M\"\npin = [0, 1]\n\n\
    [vm.bare]\nkernel = \"bare.bin\"\nload = \"0x1000\"\ndtb = \"x.dtb\"\naarch32 = true\n";

fn bundle(list: &str, files: &[&str]) -> Vec<u8> {
    let writer = Writer::default().file(LIST, list.as_bytes());
    files
        .iter()
        .fold(writer, |writer, name| writer.file(name, name.as_bytes()))
        .build()
}

fn file(name: &str) -> File<'_> {
    File {
        name,
        bytes: name.as_bytes(),
    }
}

fn refusal(bytes: &[u8]) -> String {
    match Config::from_bundle(bytes) {
        Err(refusal) => refusal.to_string(),
        Ok(config) => config.refused[0].to_string(),
    }
}

#[test]
fn vms_get_their_files() {
    let bytes = bundle(TOML, &["Image", "initrd", "bare.bin", "x.dtb"]);
    let linux = Vm {
        name: "linux".into(),
        kernel: file("Image"),
        ramdisk: Some(file("initrd")),
        dtb: None,
        bootargs: "a b".into(),
        cpus: 2,
        memory: 64 << 20,
        pin: vec![0, 1],
        load: None,
        aarch32: false,
        weight: DEFAULT_WEIGHT,
        background: false,
        on_reboot: Reaction::Restart,
        on_crash: Reaction::Stop,
    };
    let bare = Vm {
        name: "bare".into(),
        kernel: file("bare.bin"),
        ramdisk: None,
        dtb: Some(file("x.dtb")),
        bootargs: String::new(),
        cpus: 1,
        memory: 256 << 20,
        pin: vec![],
        load: Some(0x1000),
        aarch32: true,
        weight: DEFAULT_WEIGHT,
        background: false,
        on_reboot: Reaction::Restart,
        on_crash: Reaction::Stop,
    };
    let config = Config::from_bundle(&bytes).unwrap();
    assert_eq!(config.vms, [linux, bare]);
    assert_eq!((config.refused, config.notes), (vec![], vec![]));
    assert_eq!(
        alloc::format!("{:?}", config.vms[0].kernel),
        "Image (5 bytes)"
    );
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(
        refusal(&bundle(TOML, &["Image", "bare.bin", "x.dtb"])),
        "vms.toml: missing file \"./initrd\" named by vm.linux.ramdisk; \
         the bundle has: vms.toml, Image, bare.bin, x.dtb"
    );
    assert_eq!(
        refusal(&Writer::default().file("a", b"").build()),
        "bundle: no vms.toml; the bundle has: a"
    );
    assert_eq!(
        refusal(&Writer::default().build()),
        "bundle: no vms.toml; the bundle has: no files"
    );
    let many: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(
        refusal(&bundle("vm.a.kernel = 'x'", &many)),
        "vms.toml: missing file \"x\" named by vm.a.kernel; the bundle has: vms.toml, \
         0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14 and 5 more"
    );
    let text = refusal(&Writer::default().file(LIST, b"# \xff").build());
    assert_eq!(text, "vms.toml: not UTF-8 after 2 bytes");
    assert_eq!(
        refusal(&bundle("[vm]", &[])),
        "vms.toml: no VMs: a [vm.NAME] table is needed"
    );
}

#[test]
fn vms_without_fault_are_kept() {
    let config = Config::from_bundle(&bundle(TOML, &["Image", "initrd", "x.dtb"]).clone())
        .map(|config| (config.vms.len(), config.refused.len()));
    assert_eq!(config, Ok((1, 1)));
}

#[test]
fn what_the_machine_does_not_have_is_told() {
    let bytes = bundle(TOML, &["Image", "initrd", "bare.bin", "x.dtb"]);
    let vm = &Config::from_bundle(&bytes).unwrap().vms[0];
    let check = |cpus, mebibytes: u64| {
        let checked = vm.check_machine(cpus, mebibytes << 20);
        checked.map_err(|refusal| refusal.to_string())
    };
    assert_eq!(check(2, 64), Ok(()));
    assert_eq!(
        check(2, 63),
        Err("it wants 64 MiB of RAM, and 63 MiB are free".into())
    );
    let mut free = vm.clone();
    free.pin = vec![];
    assert_eq!(free.check_machine(1, 1 << 30), Ok(()), "vCPUs share a CPU");
    let mut pinned = vm.clone();
    pinned.pin = vec![0, 2];
    assert_eq!(
        pinned.check_machine(2, 1 << 30).unwrap_err().to_string(),
        "it is pinned to CPU 2, and the machine has CPUs 0 to 1"
    );
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    /// Breaks bytes a little: bits, characters that mean something, cuts, moved pieces.
    fn mutate(&mut self, bytes: &mut Vec<u8>, letters: &[u8]) {
        for _ in 0..=self.below(3) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            match self.below(6) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 | 2 => bytes[at] = letters[self.below(letters.len())],
                3 => bytes.insert(at, letters[self.below(letters.len())]),
                4 => {
                    let from = self.below(bytes.len());
                    let piece = bytes[from..(from + self.below(24)).min(bytes.len())].to_vec();
                    bytes.splice(at..at, piece);
                }
                _ if self.below(4) == 0 => bytes.truncate(at),
                _ => drop(bytes.drain(at..(at + self.below(8)).min(bytes.len()))),
            }
        }
    }
}

#[test]
fn mutated_bundles_do_not_panic() {
    let whole = bundle(TOML, &["Image", "initrd", "bare.bin", "x.dtb"]);
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut read = 0;
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        random.mutate(&mut bytes, b"0123456789abcdefF+\0.");
        match Config::from_bundle(&bytes) {
            Ok(config) => {
                assert!(!config.vms.is_empty() || !config.refused.is_empty());
                read += usize::from(config.refused.is_empty());
            }
            Err(refusal) => assert!(!refusal.0.contains('\n'), "{refusal}"),
        }
    }
    assert!((500..19_500).contains(&read), "{read} read");
}

#[test]
fn mutated_lists_do_not_panic() {
    let mut random = Random(0xfeed_5678_9abc_def1);
    let mut read = 0;
    for _ in 0..20_000 {
        let mut bytes = TOML.as_bytes().to_vec();
        random.mutate(&mut bytes, b"[]{}\"'=.,#\n\\ _-09azKMG\xff\xc3");
        let text = String::from_utf8_lossy(&bytes);
        let refusals = match vms::parse(&text) {
            Ok(vms) => vms.into_iter().filter_map(|(_, vm)| vm.err()).collect(),
            Err(refusal) => vec![refusal],
        };
        read += usize::from(refusals.is_empty());
        for refusal in refusals {
            assert!(refusal.0.starts_with("vms.toml:"), "{refusal}");
            assert!(!refusal.0.contains('\n'), "{refusal}");
        }
    }
    assert!((500..19_500).contains(&read), "{read} read");
}

#[test]
fn names_stay_on_the_line() {
    let text = refusal(&bundle("[vm.a]\nkernel = \"none\"\n", &["Im\nage"]));
    assert!(!text.contains('\n'), "{text}");
}
