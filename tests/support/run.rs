//! A machine that runs: what it prints, and what is typed.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::scratch::Scratch;

/// QEMUs at once, over all threads of a test binary: what two cores carry.
const SLOTS: usize = 2;

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
    /// Runs a command, as soon as fewer than two others run, and keeps the files it reads.
    pub(super) fn spawn(mut command: Command, scratch: Vec<Scratch>) -> Self {
        let slot = Slot::take();
        let mut child = command.spawn().unwrap_or_else(|why| {
            let program = command.get_program().display();
            panic!("{program}: {why}: run scripts/setup")
        });
        let serial = Arc::new(Stream::default());
        let messages = Arc::new(Stream::default());
        let readers = vec![
            read(child.stdout.take().expect("is piped"), &serial),
            read(child.stderr.take().expect("is piped"), &messages),
        ];
        Self {
            input: child.stdin.take().expect("is piped"),
            child,
            serial,
            messages,
            readers,
            seen: 0,
            _scratch: scratch,
            _slot: slot,
        }
    }

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
