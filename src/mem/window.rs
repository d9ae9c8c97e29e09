//! The one way to memory that is a guest's: a window onto it, for as long as it is used.

#[cfg(not(target_os = "none"))]
use super::table::TableError;
#[cfg(not(target_os = "none"))]
use crate::addr::PaRange;

/// The most that one window shows, in bytes; it does not reach over a multiple of this.
pub const WINDOW_SIZE: u64 = 2 << 20;

#[cfg(target_os = "none")]
pub use super::stage1::with_window;

/// Shows `f` the fake machine's memory at `range`.
///
/// # Errors
///
/// [`TableError::OutOfRange`] where it has none, or for a range of more than one window.
#[cfg(not(target_os = "none"))]
pub fn with_window<R>(
    range: PaRange,
    f: impl FnOnce(*mut u8, usize) -> R,
) -> Result<R, TableError> {
    let last = range.end().as_u64().saturating_sub(1);
    if range.start().as_u64() / WINDOW_SIZE != last / WINDOW_SIZE {
        return Err(TableError::OutOfRange);
    }
    let memory = crate::cpu::fake::memory(range).ok_or(TableError::OutOfRange)?;
    Ok(f(memory, range.size() as usize))
}
