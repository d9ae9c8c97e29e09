//! What QEMU is to emulate.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::bundle::Bundle;
use super::run::Run;
use super::scratch::{Contents, Scratch};

const PROGRAM: &str = "qemu-system-aarch64";

/// A machine to start; each method changes one thing of it.
pub struct Qemu {
    /// Of a Raspberry Pi 4, which of its serial ports is read and typed to; of `virt`, none.
    raspi4b_port: Option<usize>,
    has_el2: bool,
    cpu: String,
    gic: u32,
    cpus: u32,
    memory: String,
    kernel: Option<PathBuf>,
    firmware: Option<PathBuf>,
    append: String,
    icount: bool,
    arguments: Vec<String>,
    scratch: Vec<Scratch>,
}

impl Qemu {
    /// Describes a `virt` machine with EL2, on which the hypervisor is booted.
    pub fn virt() -> Self {
        Self {
            raspi4b_port: None,
            has_el2: true,
            cpu: "max".into(),
            gic: 3,
            cpus: 1,
            memory: "1G".into(),
            kernel: None,
            firmware: None,
            append: String::new(),
            icount: false,
            arguments: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Describes a `virt` machine without EL2: its [`kernel`](Self::kernel)
    /// starts at EL1, as a guest does, with no hypervisor below.
    pub fn native() -> Self {
        Self {
            has_el2: false,
            ..Self::virt()
        }
    }

    /// Describes a Raspberry Pi 4, on which the hypervisor is booted with this device tree: four
    /// CPUs, a GICv2, 2 GiB, and a console on `port`: 0 is its PL011, 1 its mini UART.
    pub fn raspi4b(device_tree: impl Into<Contents>, port: usize) -> Self {
        let mut board = Self {
            raspi4b_port: Some(port),
            ..Self::virt()
        };
        let path = board.keep("tree.dtb", device_tree.into());
        board.raw_args(&["-dtb", text(&path)])
    }

    /// Sets the CPU, by QEMU's name, with properties if any.
    pub fn cpu(mut self, name: &str) -> Self {
        name.clone_into(&mut self.cpu);
        self
    }

    /// Sets the version of the interrupt controller: 2 or 3.
    pub fn gic(mut self, version: u32) -> Self {
        self.gic = version;
        self
    }

    /// Sets the number of CPUs.
    pub fn cpus(mut self, count: u32) -> Self {
        self.cpus = count;
        self
    }

    /// Sets the size of memory, as `512M` or `1G`.
    pub fn memory(mut self, size: &str) -> Self {
        size.clone_into(&mut self.memory);
        self
    }

    /// Boots this instead of the hypervisor: an Image, or plain code, which
    /// QEMU loads at 0x4008_0000.
    pub fn kernel(mut self, contents: impl Into<Contents>) -> Self {
        let path = self.keep("kernel", contents.into());
        self.kernel = Some(path);
        self
    }

    /// Starts the machine by firmware, which looks for what to boot itself.
    pub fn firmware(mut self, path: &Path) -> Self {
        self.firmware = Some(path.to_owned());
        self
    }

    /// Puts in a disk that is not written to, or a folder's files as one; by a device of QEMU's.
    pub fn disk(self, path: &Path, device: &str) -> Self {
        let prefix = if path.is_dir() { "fat:" } else { "" };
        let drive = format!(
            "if=none,id=disk,format=raw,readonly=on,file={prefix}{}",
            text(path)
        );
        let device = format!("{device},drive=disk");
        self.raw_args(&["-drive", &drive, "-device", &device])
    }

    /// Hands over a bundle.
    pub fn bundle(self, bundle: &Bundle) -> Self {
        self.initrd(bundle.archive())
    }

    /// Hands over a file in the boot protocol's place for a ramdisk.
    pub fn initrd(mut self, contents: impl Into<Contents>) -> Self {
        let path = self.keep("initrd", contents.into());
        self.raw_args(&["-initrd", text(&path)])
    }

    /// Puts a file at a physical address before the machine starts.
    pub fn loader(mut self, contents: impl Into<Contents>, address: u64) -> Self {
        let path = self.keep("loaded", contents.into());
        let device = format!("loader,file={},addr={address:#x},force-raw=on", text(&path));
        self.raw_args(&["-device", &device])
    }

    /// Sets the command line of what is booted.
    pub fn append(mut self, line: &str) -> Self {
        line.clone_into(&mut self.append);
        self
    }

    /// Lets virtual time be the number of executed instructions, so that a run
    /// repeats exactly.
    pub fn icount(mut self) -> Self {
        self.icount = true;
        self
    }

    /// Adds arguments of QEMU's own.
    pub fn raw_args(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Starts the machine, as soon as fewer than two others run.
    ///
    /// A test that holds one [`Run`] must not start a second: two such tests
    /// would wait for each other.
    pub fn start(mut self) -> Run {
        let (how, what) = match (self.firmware.take(), self.kernel.take()) {
            (Some(firmware), _) => ("-bios", firmware),
            (None, Some(kernel)) => ("-kernel", kernel),
            (None, None) if self.has_el2 => ("-kernel", super::hypervisor().to_owned()),
            (None, None) => panic!("Qemu::native() boots nothing by itself: give it a kernel"),
        };
        Run::spawn(self.command(how, &what), self.scratch)
    }

    fn command(&self, how: &str, what: &Path) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(["-nodefaults", "-display", "none", "-monitor", "none"])
            .args(self.machine())
            .arg(how)
            .arg(what)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if !self.append.is_empty() {
            command.args(["-append", &self.append]);
        }
        if self.icount {
            command.args(["-icount", "shift=0,sleep=off"]);
            command.args(["-rtc", "base=2024-01-01,clock=vm"]);
        }
        command.args(&self.arguments);
        command
    }

    fn machine(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut add = |name: &str, value: &str| arguments.extend([name, value].map(String::from));
        if let Some(port) = self.raspi4b_port {
            (0..port).for_each(|_| add("-serial", "null"));
            add("-machine", "raspi4b");
        } else {
            let switch = if self.has_el2 { "on" } else { "off" };
            let random = if self.icount {
                ",dtb-randomness=off"
            } else {
                ""
            };
            let gic = self.gic;
            let machine = format!("virt,virtualization={switch},gic-version={gic}{random}");
            add("-machine", &machine);
            add("-cpu", &self.cpu);
            add("-smp", &self.cpus.to_string());
            add("-m", &self.memory);
        }
        add("-serial", "stdio");
        arguments
    }

    /// Returns a path to the contents that is good while the machine runs.
    fn keep(&mut self, name: &str, contents: Contents) -> PathBuf {
        match contents {
            Contents::File(path) => path,
            Contents::Bytes(bytes) => {
                let scratch = Scratch::file(name, &bytes);
                let path = scratch.path().to_owned();
                self.scratch.push(scratch);
                path
            }
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the build's folder is named in UTF-8")
}
