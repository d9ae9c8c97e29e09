//! Linux's system calls, as few as are needed.

use core::arch::{asm, global_asm};
use core::ffi::{CStr, c_void};
use core::fmt;

use peers::abi::{ADD_ENTROPY, Plain, Request, Seed};

global_asm!(include_str!("linux.s"), start = sym super::process::start);

unsafe extern "C" {
    fn linux_clone(
        flags: u64,
        stack: *mut u8,
        run: extern "C" fn(*mut c_void) -> !,
        argument: *mut c_void,
    ) -> i64;
}

/// Linux's numbers of system calls on arm64.
mod number {
    pub const IOCTL: u64 = 29;
    pub const OPENAT: u64 = 56;
    pub const READ: u64 = 63;
    pub const WRITE: u64 = 64;
    pub const NANOSLEEP: u64 = 101;
    pub const SCHED_SETAFFINITY: u64 = 122;
    pub const REBOOT: u64 = 142;
    pub const MMAP: u64 = 222;
    pub const MADVISE: u64 = 233;
}

/// A system call that failed: what was to be done, and Linux's number of the reason.
#[derive(Clone, Copy, Debug)]
pub struct Error {
    what: &'static str,
    errno: i64,
}

impl Error {
    /// EINTR: a signal came first.
    pub const INTERRUPTED: i64 = 4;

    /// Makes one; `errno` is 0 where Linux has nothing to do with it.
    pub const fn new(what: &'static str, errno: i64) -> Self {
        Self { what, errno }
    }

    /// Returns Linux's number of the reason.
    pub const fn errno(&self) -> i64 {
        self.errno
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{} failed, errno {}", self.what, self.errno)
    }
}

/// # Safety
///
/// What the call does to this process's memory must be what Rust allows.
unsafe fn call(what: &'static str, number: u64, arguments: [u64; 6]) -> Result<u64, Error> {
    let [a, b, c, d, e, f] = arguments;
    let result: i64;
    // SAFETY: Linux keeps all registers but X0; the caller answers for memory.
    unsafe {
        asm!(
            "svc #0", in("x8") number, inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack)
        );
    }
    u64::try_from(result).map_err(|_| Error::new(what, -result))
}

const PAGE: usize = 4096;

/// An open file, for ever.
#[derive(Clone, Copy)]
pub struct File(u32);

impl File {
    /// Opens a file; a device may be written to as well.
    pub fn open(path: &'static CStr, writable: bool) -> Result<Self, Error> {
        let (from_root, flags) = (0, u64::from(writable) * 2);
        let what = path.to_str().unwrap_or("opening a file");
        // SAFETY: Linux reads the path, which ends with a zero.
        let opened = unsafe {
            call(
                what,
                number::OPENAT,
                [from_root, path.as_ptr() as u64, flags, 0, 0, 0],
            )
        };
        opened.map(|descriptor| Self(descriptor as u32))
    }

    /// Returns the file that Linux gave this number.
    pub const fn from_descriptor(descriptor: u32) -> Self {
        Self(descriptor)
    }

    /// Asks the file's driver; returns its answer.
    pub fn plain(self, what: &'static str, request: Plain, number: u64) -> Result<u64, Error> {
        // SAFETY: such requests of KVM touch no memory of this process, except for RUN: that
        // writes what `Mapping::of` mapped, which is read by volatile loads. ADD_ENTROPY reads.
        unsafe {
            call(
                what,
                number::IOCTL,
                [self.0.into(), request.0, number, 0, 0, 0],
            )
        }
    }

    /// Tells the file's driver something, or is told.
    pub fn request<T>(
        self,
        what: &'static str,
        request: &Request<T>,
        value: &mut T,
    ) -> Result<(), Error> {
        let arguments = [
            self.0.into(),
            request.number(),
            core::ptr::from_mut(value) as u64,
            0,
            0,
            0,
        ];
        // SAFETY: the number holds the size of T, and Linux goes by it. Addresses inside of it
        // are of what Linux reads, or of the guest's memory, which no Rust reference is to.
        unsafe { call(what, number::IOCTL, arguments) }.map(|_| ())
    }
}

/// Memory that others change: the guest, or Linux.
#[derive(Clone, Copy)]
pub struct Mapping {
    start: *mut u8,
    size: usize,
}

// SAFETY: an address; who uses it says why it may.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Makes memory that starts at a multiple of `alignment`, in blocks as large as can be.
    pub fn anonymous(size: usize, alignment: usize) -> Result<Self, Error> {
        const PRIVATE_ANONYMOUS: u64 = 0x22;
        const HUGE_PAGES: u64 = 14;
        let whole = Self::map(size + alignment, PRIVATE_ANONYMOUS, u64::MAX)?;
        let skipped = whole.start.align_offset(alignment);
        // SAFETY: `alignment` bytes more were mapped.
        let start = unsafe { whole.start.add(skipped) };
        // SAFETY: changes no contents.
        unsafe {
            call(
                "madvise",
                number::MADVISE,
                [start as u64, size as u64, HUGE_PAGES, 0, 0, 0],
            )?
        };
        Ok(Self { start, size })
    }

    /// Maps the first `size` bytes of a file.
    pub fn of(file: File, size: usize) -> Result<Self, Error> {
        const SHARED: u64 = 1;
        Self::map(size, SHARED, file.0.into())
    }

    fn map(size: usize, flags: u64, file: u64) -> Result<Self, Error> {
        const READ_WRITE: u64 = 3;
        // SAFETY: Linux chooses addresses that this process doesn't use.
        let start = unsafe {
            call(
                "mmap",
                number::MMAP,
                [0, size as u64, READ_WRITE, flags, file, 0],
            )?
        };
        Ok(Self {
            start: start as *mut u8,
            size,
        })
    }

    /// Returns where it starts.
    pub const fn start(self) -> *mut u8 {
        self.start
    }

    /// Returns its size in bytes.
    pub const fn size(self) -> usize {
        self.size
    }

    /// Fills it from byte `offset` with a file's contents.
    pub fn load(self, offset: usize, path: &'static CStr) -> Result<(), Error> {
        let file = File::open(path, false)?;
        let mut at = offset;
        while at < self.size {
            let to = self.start as u64 + at as u64;
            let free = (self.size - at) as u64;
            // SAFETY: Linux writes inside of the mapping, to which no Rust reference is.
            let read = unsafe { call("read", number::READ, [file.0.into(), to, free, 0, 0, 0])? };
            if read == 0 {
                return Ok(());
            }
            at += read as usize;
        }
        Err(Error::new(
            "a file larger than the guest's memory: loading",
            0,
        ))
    }
}

/// Runs `run(argument)` in a thread of its own.
pub fn spawn<T: Send>(run: fn(T) -> !, argument: T) -> Result<(), Error> {
    extern "C" fn enter<T>(task: *mut c_void) -> ! {
        // SAFETY: `spawn` wrote it there for this thread alone.
        let (run, argument) = unsafe { task.cast::<(fn(T) -> !, T)>().read() };
        run(argument)
    }
    const STACK: usize = 64 * 1024;
    // CLONE_VM, _FS, _FILES, _SIGHAND, _THREAD, _SYSVSEM.
    const THREAD: u64 = 0x5_0f00;
    let stack = Mapping::anonymous(STACK, PAGE)?;
    let task = stack.start().cast();
    // SAFETY: the far end of the new stack, aligned to a page, which nothing else uses yet.
    unsafe {
        stack
            .start()
            .cast::<(fn(T) -> !, T)>()
            .write((run, argument))
    };
    // SAFETY: the stack is the thread's alone and is never unmapped; `enter` gets what it reads.
    let thread = unsafe { linux_clone(THREAD, stack.start().add(STACK), enter::<T>, task) };
    if thread < 0 {
        return Err(Error::new("starting a thread", -thread));
    }
    Ok(())
}

/// Gives Linux what its random numbers need to be ready, as they are on a machine that has been up
/// for long: until then it mixes all it has anew for each system call, some 9,000 instructions.
pub fn seed_random_numbers() -> Result<(), Error> {
    let seed = Seed {
        entropy: 256,
        size: 32,
        bytes: [0x5a; 32],
    };
    let random = File::open(c"/dev/random", true)?;
    let address = &raw const seed as u64;
    random.plain("seeding random numbers", ADD_ENTROPY, address)?;
    Ok(())
}

/// Keeps this thread on a CPU.
pub fn pin(cpu: usize) -> Result<(), Error> {
    let mask: u64 = 1 << cpu;
    let arguments = [
        0,
        size_of_val(&mask) as u64,
        &raw const mask as u64,
        0,
        0,
        0,
    ];
    // SAFETY: Linux reads the mask.
    unsafe { call("sched_setaffinity", number::SCHED_SETAFFINITY, arguments) }.map(|_| ())
}

/// Lets so many seconds pass.
pub fn sleep(seconds: u64) -> Result<(), Error> {
    let time = [seconds, 0];
    // SAFETY: Linux reads the time.
    unsafe {
        call(
            "nanosleep",
            number::NANOSLEEP,
            [&raw const time as u64, 0, 0, 0, 0, 0],
        )
    }
    .map(|_| ())
}

/// Turns the machine off.
pub fn power_off() -> ! {
    const MAGIC: [u64; 2] = [0xfee1_dead, 0x2812_1969];
    const POWER_OFF: u64 = 0x4321_fedc;
    loop {
        // SAFETY: nothing of this process goes on after it.
        let _ = unsafe {
            call(
                "reboot",
                number::REBOOT,
                [MAGIC[0], MAGIC[1], POWER_OFF, 0, 0, 0],
            )
        };
    }
}

/// The console, which Linux opened for the first process.
pub struct Console;

impl Console {
    /// Writes bytes as they are. That it can't has nobody to be told.
    pub fn send(&self, bytes: &[u8]) {
        // SAFETY: Linux reads the bytes.
        let _ = unsafe {
            call(
                "write",
                number::WRITE,
                [1, bytes.as_ptr() as u64, bytes.len() as u64, 0, 0, 0],
            )
        };
    }
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.send(text.as_bytes());
        Ok(())
    }
}
