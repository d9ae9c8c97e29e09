//! The world switch: general registers only, in two tiers.
//!
//! [`enter`] runs the guest like a function. On an exit, the vectors call a handler with the
//! guest's volatile registers saved; most exits end there with [`Next::resume`]. Only
//! [`Next::leave`] completes the frame and returns to the caller of [`enter`].

#![expect(unsafe_code, reason = "assembly reads and writes the frame")]

/// A guest's general registers while EL2 runs.
#[repr(C, align(16))]
pub struct Frame {
    /// x0 to x30. While a handler of the first tier runs, x20 to x29 are current only in
    /// `guest_synchronous`.
    pub x: [u64; 31],
    /// EL2's stack pointer while the guest runs; the assembly owns it.
    pub(super) host_sp: u64,
}

impl Frame {
    /// All registers zero.
    pub const ZERO: Self = Self {
        x: [0; 31],
        host_sp: 0,
    };

    /// Reads register `n` as an instruction's operand: 31 is the zero register.
    #[inline(always)]
    pub fn read(&self, n: u8) -> u64 {
        self.x.get(usize::from(n)).copied().unwrap_or(0)
    }

    /// Writes register `n` as an instruction's result: 31 is the zero register.
    #[inline(always)]
    pub fn write(&mut self, n: u8, value: u64) {
        if let Some(x) = self.x.get_mut(usize::from(n)) {
            *x = value;
        }
    }
}

pub(super) const RESUME_ALL: usize = 1;
const LEAVE: usize = 3;

/// What follows a handler: the answer `vectors.S` acts on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
#[must_use]
pub struct Next(usize);

impl Next {
    /// Goes on with the guest; of the frame, only x0 to x18 and x30 may have changed.
    #[inline(always)]
    pub fn resume(frame: &mut Frame) -> Self {
        Self(core::ptr::from_mut(frame) as usize)
    }

    /// Goes on with the guest; register `rt` of the frame has changed, if any.
    #[inline(always)]
    pub fn resume_written(frame: &mut Frame, rt: u8) -> Self {
        if (19..30).contains(&rt) {
            Self(RESUME_ALL)
        } else {
            Self::resume(frame)
        }
    }

    /// Goes on with the guest; any register of the frame may have changed.
    pub const fn resume_all() -> Self {
        Self(RESUME_ALL)
    }

    /// Returns from [`enter`].
    pub const fn leave() -> Self {
        Self(LEAVE)
    }

    /// Returns whether this is [`Next::leave`].
    pub fn leaves(self) -> bool {
        self.0 == LEAVE
    }
}

/// Runs the guest whose frame this is until a handler answers [`Next::leave`].
///
/// # Safety
///
/// The rest of the guest's context must be loaded on this CPU, and `frame` must be the first
/// field of what the handlers take it for.
#[cfg(target_os = "none")]
#[inline(always)]
pub unsafe fn enter(frame: *mut Frame) {
    unsafe extern "C" {
        fn enter_guest(frame: *mut Frame);
    }
    // SAFETY: passed on to the caller. `enter_guest` keeps the C ABI: it saves and restores
    // x19-x30 and the stack pointer.
    unsafe { enter_guest(frame) }
}

/// Plays the exits that the test put into the fake machine, until a handler answers
/// [`Next::leave`].
///
/// # Safety
///
/// As on the machine.
#[cfg(not(target_os = "none"))]
pub unsafe fn enter(frame: *mut Frame) {
    while !super::fake::next_exit(frame).leaves() {}
}
