//! Who is to blame when something can't be done.

use core::fmt;

/// What a handler answers when a guest asks for what it can't have.
///
/// The guest is to blame, so only the guest pays: it gets the exception the
/// architecture defines, or its VM stops. A fault of the hypervisor itself is a
/// panic, never a value of this type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GuestError {
    /// The instruction is UNDEFINED for this guest.
    Undefined,
    /// Nothing answers at the address: a synchronous external abort.
    ExternalAbort,
    /// The VM can't go on; the text says why.
    Stop(&'static str),
}

/// A reason why the machine or a VM can't be started, for a person to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal(pub alloc::string::String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Refusal {
    /// Makes one that says this; for [`refuse!`](crate::refuse). Apart, since there are hundreds of
    /// places that refuse something.
    #[cold]
    #[inline(never)]
    pub fn new(text: fmt::Arguments<'_>) -> Self {
        Self(alloc::fmt::format(text))
    }
}

/// Makes a [`Refusal`] as `format!` makes a string.
#[macro_export]
macro_rules! refuse {
    ($($text:tt)*) => { $crate::error::Refusal::new(core::format_args!($($text)*)) };
}
