//! The first process of a Linux guest in `tests/debug.rs`: a debugger and what it debugs.
//!
//! The child goes round and round: it calls 16 functions, and stores to a variable after each. The
//! parent sets as many hardware breakpoints and watchpoints as the kernel says there are, on
//! those from its own number on (`0` or `8`, its argument), and counts where the child stops.

#![no_std]
#![no_main]

mod linux;

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::fmt::{self, Write};
use linux::{REBOOT, WRITE, call};

const NANOSLEEP: u64 = 101;
const PTRACE: u64 = 117;
const KILL: u64 = 129;
const GETPID: u64 = 172;
const CLONE: u64 = 220;
const WAIT4: u64 = 260;

const SIGTRAP: i32 = 5;
const SIGCHLD: u64 = 17;
const SIGSTOP: u64 = 19;

const TRACEME: u64 = 0;
const CONT: u64 = 7;
const SINGLESTEP: u64 = 9;
const GETSIGINFO: u64 = 0x4202;
const GETREGSET: u64 = 0x4204;
const SETREGSET: u64 = 0x4205;

const NT_ARM_HW_BREAK: u64 = 0x402;
const NT_ARM_HW_WATCH: u64 = 0x403;

/// A breakpoint of EL0, four bytes, enabled; a watchpoint of EL0, eight bytes, stores, enabled.
const BREAK: u32 = 0xf << 5 | 2 << 1 | 1;
const WATCH: u32 = 0xff << 5 | 2 << 3 | 2 << 1 | 1;

/// How many functions and variables there are.
const SPOTS: u64 = 16;
const ROUNDS: u64 = 50;

global_asm!(
    ".globl _start",
    "_start:",
    "mov x0, sp",
    "b start",
    "functions:",
    ".rept 16",
    "ret",
    "nop",
    ".endr",
);

unsafe extern "C" {
    fn functions();
}

#[repr(C, align(128))]
struct Variables(UnsafeCell<[u64; SPOTS as usize]>);

// SAFETY: each process has one thread.
unsafe impl Sync for Variables {}

static VARIABLES: Variables = Variables(UnsafeCell::new([0; SPOTS as usize]));

fn function(n: u64) -> u64 {
    functions as *const () as u64 + 8 * n
}

fn variable(n: u64) -> u64 {
    VARIABLES.0.get() as u64 + 8 * n
}

struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        call(WRITE, [1, text.as_ptr() as u64, text.len() as u64, 0, 0]);
        Ok(())
    }
}

/// What the debugger is about: never returns.
fn child() -> ! {
    call(PTRACE, [TRACEME, 0, 0, 0, 0]);
    let this = call(GETPID, [0; 5]) as u64;
    call(KILL, [this, SIGSTOP, 0, 0, 0]);
    loop {
        for n in 0..SPOTS {
            // SAFETY: a function that returns at once, and a variable of nobody else's.
            unsafe {
                asm!("blr {}", "str {1}, [{2}]", in(reg) function(n), in(reg) n,
                    in(reg) variable(n), out("x30") _);
            }
        }
    }
}

/// Registers as `PTRACE_SETREGSET` takes them: how many there are, then address and control of each.
#[repr(C)]
struct Points {
    info: u32,
    padding: u32,
    each: [(u64, u32, u32); 16],
}

struct Child {
    pid: u64,
}

impl Child {
    fn ptrace(&self, request: u64, address: u64, data: u64) -> i64 {
        call(PTRACE, [request, self.pid, address, data, 0])
    }

    /// Waits until it stops; returns the signal.
    fn wait(&self) -> i32 {
        let mut status = 0_i32;
        call(WAIT4, [self.pid, &raw mut status as u64, 0, 0, 0]);
        if status & 0xff == 0x7f { status >> 8 } else { -1 }
    }

    /// Returns the address that it stopped for.
    fn address(&self) -> u64 {
        let mut info = [0_u64; 16];
        self.ptrace(GETSIGINFO, 0, &raw mut info as u64);
        info[2]
    }

    fn regset(&self, request: u64, kind: u64, points: &mut Points, count: usize) -> i64 {
        let vector = [points as *mut Points as u64, 8 + 16 * count as u64];
        self.ptrace(request, kind, &raw const vector as u64)
    }

    /// Returns how many there are of a kind.
    fn count(&self, kind: u64) -> usize {
        let mut points = Points { info: 0, padding: 0, each: [(0, 0, 0); 16] };
        self.regset(GETREGSET, kind, &mut points, 16);
        (points.info & 0xff) as usize
    }

    /// Sets all of a kind but one, from the first place on.
    fn set(&self, kind: u64, count: usize, first: u64, but: Option<u64>) {
        let mut points = Points { info: 0, padding: 0, each: [(0, 0, 0); 16] };
        for (n, point) in (first..).zip(&mut points.each[..count]) {
            let (address, control) =
                if kind == NT_ARM_HW_BREAK { (function(n), BREAK) } else { (variable(n), WATCH) };
            *point = (address, if but == Some(n) { control & !1 } else { control }, 0);
        }
        let result = self.regset(SETREGSET, kind, &mut points, count);
        if result != 0 {
            let _ = writeln!(Console, "PTRACE can't set {count} of {kind:#x}: {result}");
        }
    }

    /// Lets it go on to the next stop, which should be at an address of a kind; does the one
    /// instruction there. Returns whether all was right.
    fn stops_at(&self, kind: u64, count: usize, first: u64, n: u64) -> bool {
        self.ptrace(CONT, 0, 0);
        let expected = if kind == NT_ARM_HW_BREAK { function(n) } else { variable(n) };
        let stopped = self.wait() == SIGTRAP && self.address() == expected;
        self.set(kind, count, first, Some(n));
        self.ptrace(SINGLESTEP, 0, 0);
        let stepped = self.wait() == SIGTRAP;
        self.set(kind, count, first, None);
        stopped && stepped
    }
}

fn debug(child: &Child, first: u64) {
    let breakpoints = child.count(NT_ARM_HW_BREAK).min(8);
    let watchpoints = child.count(NT_ARM_HW_WATCH).min(8);
    child.set(NT_ARM_HW_BREAK, breakpoints, first, None);
    child.set(NT_ARM_HW_WATCH, watchpoints, first, None);
    let (mut right, mut wrong) = (0, 0);
    for _ in 0..ROUNDS {
        for n in first..first + 8 {
            let place = (n - first) as usize;
            for (kind, count) in [(NT_ARM_HW_BREAK, breakpoints), (NT_ARM_HW_WATCH, watchpoints)] {
                if place < count {
                    let was_right = child.stops_at(kind, count, first, n);
                    *if was_right { &mut right } else { &mut wrong } += 1;
                }
            }
        }
    }
    // The two of them don't speak at once.
    let pause = [first, 0];
    call(NANOSLEEP, [pause.as_ptr() as u64, 0, 0, 0, 0]);
    let _ = writeln!(
        Console,
        "\nPTRACE {breakpoints} breakpoints, {watchpoints} watchpoints, {right} right, {wrong} wrong end"
    );
}

// SAFETY: no other symbol has this name. The kernel's stack holds the arguments: their number, then
// their addresses.
#[unsafe(no_mangle)]
extern "C" fn start(stack: *const u64) -> ! {
    // SAFETY: as the kernel made it.
    let count = unsafe { *stack };
    let first = if count > 1 {
        // SAFETY: the second argument is there, and is a string.
        unsafe { *(*stack.add(2) as *const u8) - b'0' }.into()
    } else {
        0
    };
    let pid = call(CLONE, [SIGCHLD, 0, 0, 0, 0]);
    if pid == 0 {
        child();
    }
    let child = Child { pid: pid as u64 };
    child.wait();
    debug(&child, first);
    call(REBOOT, [0xfee1_dead, 0x2812_1969, 0x4321_fedc, 0, 0]);
    loop {}
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
