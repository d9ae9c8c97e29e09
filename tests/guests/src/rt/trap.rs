//! Exceptions: expected ones are recorded and stepped over, others end the check.

use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::{irq, smccc};
use crate::{mrs, println};

/// ESR.EC: unknown, that is UNDEFINED.
pub const EC_UNKNOWN: u64 = 0;
/// ESR.EC: an instruction abort of this exception level.
pub const EC_INSTRUCTION_ABORT: u64 = 0x21;
/// ESR.EC: a data abort of this exception level.
pub const EC_DATA_ABORT: u64 = 0x25;
/// ESR.EC: SVC.
pub const EC_SVC: u64 = 0x15;
/// ESR.EC: a breakpoint, at this exception level.
pub const EC_BREAKPOINT: u64 = 0x31;
/// ESR.EC: a single step, at this exception level.
pub const EC_STEP: u64 = 0x33;
/// ESR.EC: a watchpoint, at this exception level.
pub const EC_WATCHPOINT: u64 = 0x35;
/// ESR.EC: BRK.
pub const EC_BRK: u64 = 0x3c;
/// ESR.ISS.DFSC: a synchronous external abort, not on a table walk.
pub const EXTERNAL_ABORT: u64 = 0x10;
/// ESR.ISS.DFSC: an alignment fault.
pub const ALIGNMENT_FAULT: u64 = 0x21;

/// What the vectors save; `vectors.s` knows the offsets.
#[repr(C)]
struct Frame {
    x: [u64; 31],
    elr: u64,
    spsr: u64,
    padding: u64,
}

const _: () = assert!(size_of::<Frame>().is_multiple_of(16));
const _: () = assert!(core::mem::offset_of!(Frame, elr) == 248);

/// A synchronous exception that was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// ESR_EL1.
    pub esr: u64,
    /// ELR_EL1: the instruction.
    pub elr: u64,
    /// FAR_EL1.
    pub far: u64,
}

impl Fault {
    /// Returns the exception class.
    pub const fn class(self) -> u64 {
        self.esr >> 26 & 0x3f
    }

    /// Returns the fault status code of an abort.
    pub const fn status(self) -> u64 {
        self.esr & 0x3f
    }

    /// Returns whether an abort was by a store.
    pub const fn is_write(self) -> bool {
        self.esr & 1 << 6 != 0
    }
}

/// How a program goes on after an exception.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Onward {
    /// With the instruction after the one that took it.
    Skip,
    /// By one instruction, debug exceptions unmasked.
    Step,
    /// As it was, debug exceptions masked.
    Masked,
}

/// PSTATE.D: debug exceptions are masked.
const PSTATE_D: u64 = 1 << 9;
/// PSTATE.SS: one instruction is done before the step is over.
const PSTATE_SS: u64 = 1 << 21;

/// A value that handlers and the interrupted program share.
struct Shared(UnsafeCell<Option<Fault>>);

// SAFETY: one CPU; the exception handler writes it while the program stands still.
unsafe impl Sync for Shared {}

/// Decides how the program goes on after an exception.
pub type Observe = fn(Fault) -> Onward;

/// Who decides it now.
struct Observer(UnsafeCell<Option<Observe>>);

// SAFETY: one CPU; it is written while no exception is expected.
unsafe impl Sync for Observer {}

impl Observer {
    fn set(&self, observer: Option<Observe>) {
        // SAFETY: see `Sync`.
        unsafe { self.0.get().write_volatile(observer) }
    }

    fn get(&self) -> Option<Observe> {
        // SAFETY: as for `set`.
        unsafe { self.0.get().read_volatile() }
    }
}

impl Shared {
    fn put(&self, fault: Option<Fault>) {
        // SAFETY: see `Sync`; volatile, for an exception may have come in between.
        unsafe { self.0.get().write_volatile(fault) }
    }

    fn get(&self) -> Option<Fault> {
        // SAFETY: as for `put`.
        unsafe { self.0.get().read_volatile() }
    }
}

static CAUGHT: Shared = Shared(UnsafeCell::new(None));
static UNEXPECTED: Shared = Shared(UnsafeCell::new(None));
static CATCHING: AtomicBool = AtomicBool::new(false);
static OBSERVER: Observer = Observer(UnsafeCell::new(None));
static GUARD: AtomicU64 = AtomicU64::new(0);

global_asm!(
    include_str!("vectors.s"),
    frame_size = const size_of::<Frame>(),
    exception = sym exception,
    guard = sym GUARD,
);

unsafe extern "C" {
    /// The vector table.
    pub safe fn guest_vectors();
    safe fn guest_recover();
    fn guest_guarded(run: extern "C" fn(*mut c_void), argument: *mut c_void) -> u64;
}

/// Runs a function that may take synchronous exceptions: each faulting instruction is
/// stepped over, and a call to where nothing can be fetched returns. Returns the last
/// exception.
pub fn catch(f: impl FnOnce()) -> Option<Fault> {
    CAUGHT.put(None);
    CATCHING.store(true, Relaxed);
    f();
    CATCHING.store(false, Relaxed);
    CAUGHT.get()
}

/// Runs a function of whose synchronous exceptions each goes to `observer`, which decides how to
/// go on.
pub fn observe(observer: Observe, f: impl FnOnce()) {
    OBSERVER.set(Some(observer));
    f();
    OBSERVER.set(None);
}

/// Runs a function to its end; an unexpected exception ends it early and is returned.
pub fn guard<R>(f: fn() -> R) -> Result<R, Fault> {
    struct Call<R> {
        f: fn() -> R,
        result: Option<R>,
    }
    extern "C" fn run<R>(call: *mut c_void) {
        // SAFETY: `guard` passes its own `Call`, which outlives the call.
        let call = unsafe { &mut *call.cast::<Call<R>>() };
        call.result = Some((call.f)());
    }
    let mut call = Call { f, result: None };
    // SAFETY: `run` gets the type it expects. Recovery drops the frames of `f` without
    // running destructors: the programs of this package have none that matter.
    unsafe { guest_guarded(run::<R>, (&raw mut call).cast()) };
    CATCHING.store(false, Relaxed);
    OBSERVER.set(None);
    call.result.ok_or_else(|| {
        UNEXPECTED.get().unwrap_or(Fault {
            esr: 0,
            elr: 0,
            far: 0,
        })
    })
}

extern "C" fn exception(vector: u64, frame: &mut Frame) {
    match vector {
        5 => irq::dispatch(),
        4 if OBSERVER.get().is_some() => {
            let onward = OBSERVER.get().map(|observer| observer(syndrome(frame)));
            go_on(frame, onward.unwrap_or(Onward::Skip));
        }
        4 if CATCHING.load(Relaxed) => {
            let fault = syndrome(frame);
            CAUGHT.put(Some(fault));
            // Where nothing can be fetched there is no next instruction: return instead.
            frame.elr = if fault.class() == EC_INSTRUCTION_ABORT {
                frame.x[30]
            } else {
                frame.elr + 4
            };
        }
        _ => recover(vector, frame),
    }
}

fn go_on(frame: &mut Frame, onward: Onward) {
    frame.spsr &= !PSTATE_SS;
    match onward {
        Onward::Skip => frame.elr += 4,
        Onward::Step => frame.spsr = frame.spsr & !PSTATE_D | PSTATE_SS,
        Onward::Masked => frame.spsr |= PSTATE_D,
    }
}

fn syndrome(frame: &Frame) -> Fault {
    Fault {
        esr: mrs!("ESR_EL1"),
        elr: frame.elr,
        far: mrs!("FAR_EL1"),
    }
}

fn recover(vector: u64, frame: &mut Frame) {
    let fault = syndrome(frame);
    if GUARD.load(Relaxed) == 0 {
        println!(
            "unexpected exception: vector {vector} ESR {:#x} ELR {:#x} FAR {:#x}",
            fault.esr, fault.elr, fault.far
        );
        smccc::system_off();
    }
    UNEXPECTED.put(Some(fault));
    frame.elr = guest_recover as *const () as u64;
    frame.spsr = 0x3c5; // EL1h, everything masked
}
