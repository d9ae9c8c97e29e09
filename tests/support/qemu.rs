//! Starts QEMU, reads its serial port, and always ends it.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::bundle::Bundle;
use super::scratch::{Contents, Scratch};

const PROGRAM: &str = "qemu-system-aarch64";

/// QEMUs at once, over all threads of a test binary: what two cores carry.
const SLOTS: usize = 2;

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
        let slot = Slot::take();
        let mut child = self
            .command(how, &what)
            .spawn()
            .unwrap_or_else(|why| panic!("{PROGRAM}: {why}: run scripts/setup"));
        let serial = Arc::new(Stream::default());
        let messages = Arc::new(Stream::default());
        let readers = vec![
            read(child.stdout.take().expect("is piped"), &serial),
            read(child.stderr.take().expect("is piped"), &messages),
        ];
        Run {
            input: child.stdin.take().expect("is piped"),
            child,
            serial,
            messages,
            readers,
            seen: 0,
            _scratch: self.scratch,
            _slot: slot,
        }
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

/// A machine that was started; dropping it ends it.
pub struct Run {
    child: Child,
    input: ChildStdin,
    serial: Arc<Stream>,
    messages: Arc<Stream>,
    readers: Vec<JoinHandle<()>>,
    /// How much of the serial output earlier waits have passed.
    seen: usize,
    _scratch: Vec<Scratch>,
    _slot: Slot,
}

impl Run {
    /// Waits for a line with `wanted` in it, after those already waited for,
    /// and returns the whole line.
    ///
    /// # Panics
    ///
    /// Panics with the log if the deadline passes or QEMU ends before.
    pub fn wait_for(&mut self, wanted: &str, deadline: Duration) -> String {
        self.wait(wanted, deadline, true)
    }

    /// Waits like [`wait_for`](Self::wait_for), for text that no newline
    /// follows, and returns what its line holds up to its end.
    ///
    /// # Panics
    ///
    /// Panics with the log if the deadline passes or QEMU ends before.
    pub fn wait_for_prompt(&mut self, wanted: &str, deadline: Duration) -> String {
        self.wait(wanted, deadline, false)
    }

    /// Waits until all of these were printed after what was waited for already, in any order: what
    /// different VMs print comes as it likes. None of them needs a newline.
    ///
    /// # Panics
    ///
    /// Panics with the log if the deadline passes or QEMU ends before.
    pub fn wait_for_all(&mut self, wanted: &[&str], deadline: Duration) {
        let start = self.seen;
        let mut end = start;
        for wanted in wanted {
            self.seen = start;
            self.wait(wanted, deadline, false);
            end = end.max(self.seen);
        }
        self.seen = end;
    }

    /// Waits until everything printed so far is enough for `is_enough`.
    ///
    /// # Panics
    ///
    /// Panics with the log if the deadline passes or QEMU ends before.
    pub fn wait_until(&self, what: &str, deadline: Duration, is_enough: impl Fn(&str) -> bool) {
        let found = self.serial.wait_until(Instant::now() + deadline, |text| {
            match is_enough(&String::from_utf8_lossy(&text.bytes)) {
                false if !text.ended => None,
                enough => Some(enough),
            }
        });
        match found {
            Some(true) => {}
            Some(false) => self.fail(&format!("QEMU ended before {what}")),
            None => self.fail(&format!("not within {deadline:?}: {what}")),
        }
    }

    /// Types text on the serial port.
    ///
    /// # Panics
    ///
    /// Panics with the log if QEMU has ended.
    pub fn send(&mut self, text: &str) {
        let sent = self.input.write_all(text.as_bytes());
        if sent.and_then(|()| self.input.flush()).is_err() {
            self.fail(&format!("QEMU ended before {text:?} could be typed"));
        }
    }

    /// Waits until QEMU ends by itself, and returns its status.
    ///
    /// # Panics
    ///
    /// Panics with the log if the deadline passes.
    pub fn wait_exit(&mut self, deadline: Duration) -> ExitStatus {
        let ended = self
            .serial
            .wait_until(Instant::now() + deadline, |text| text.ended.then_some(()));
        if ended.is_none() {
            self.fail(&format!("QEMU still runs after {deadline:?}"));
        }
        self.child.wait().expect("a child can be waited for")
    }

    /// Returns everything printed on the serial port so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.serial.lock().bytes).into_owned()
    }

    fn wait(&mut self, wanted: &str, deadline: Duration, whole_line: bool) -> String {
        let seen = self.seen;
        let found = self.serial.wait_until(Instant::now() + deadline, |text| {
            match text.find(seen, wanted, whole_line) {
                Some(found) => Some(Some(found)),
                None if text.ended => Some(None),
                None => None,
            }
        });
        match found {
            Some(Some((line, end))) => {
                self.seen = end;
                line
            }
            Some(None) => self.fail(&format!("QEMU ended before it printed {wanted:?}")),
            None => self.fail(&format!("no {wanted:?} within {deadline:?}")),
        }
    }

    fn fail(&self, why: &str) -> ! {
        let mut report = format!("{why}\n--- serial log ---\n{}\n", self.log());
        let messages = self.messages.lock();
        if !messages.bytes.is_empty() {
            let text = String::from_utf8_lossy(&messages.bytes);
            write!(report, "--- from QEMU ---\n{text}").expect("a string can be written to");
        }
        panic!("{report}--- end ---");
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

/// Output as it arrives.
#[derive(Default)]
struct Stream {
    text: Mutex<Text>,
    grew: Condvar,
}

#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    ended: bool,
}

impl Stream {
    fn lock(&self) -> MutexGuard<'_, Text> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks again whenever there is more, until there is an answer or the deadline.
    fn wait_until<T>(&self, deadline: Instant, ask: impl Fn(&Text) -> Option<T>) -> Option<T> {
        let mut text = self.lock();
        loop {
            let answer = ask(&text);
            let left = deadline.saturating_duration_since(Instant::now());
            if answer.is_some() || left.is_zero() {
                return answer;
            }
            (text, _) = self
                .grew
                .wait_timeout(text, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Text {
    /// Returns the line that holds `wanted` after `from`, and where to go on.
    fn find(&self, from: usize, wanted: &str, whole_line: bool) -> Option<(String, usize)> {
        let at = from + find(&self.bytes[from..], wanted.as_bytes())?;
        let start = self.bytes[..at]
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |newline| newline + 1);
        let end = match find(&self.bytes[at..], b"\n") {
            _ if !whole_line => at + wanted.len(),
            Some(length) => at + length + 1,
            None if self.ended => self.bytes.len(),
            None => return None,
        };
        let line = String::from_utf8_lossy(&self.bytes[start..end]);
        let line = if whole_line { line.trim_end() } else { &line };
        Some((line.to_owned(), end))
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// Reads a stream to its end on a thread of its own.
fn read(mut from: impl Read + Send + 'static, into: &Arc<Stream>) -> JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            let length = from.read(&mut buffer).unwrap_or(0);
            let mut text = into.lock();
            text.bytes.extend_from_slice(&buffer[..length]);
            text.ended = length == 0;
            drop(text);
            into.grew.notify_all();
            if length == 0 {
                return;
            }
        }
    })
}

/// Leave to run one QEMU, given back when dropped.
struct Slot;

static TAKEN: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

impl Slot {
    fn take() -> Self {
        let (taken, freed) = &TAKEN;
        let taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = freed
            .wait_while(taken, |taken| *taken >= SLOTS)
            .unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
        Self
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let (taken, freed) = &TAKEN;
        *taken.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        freed.notify_one();
    }
}
