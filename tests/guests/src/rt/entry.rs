//! From the loader's jump to the program's main function.

use core::arch::global_asm;
use core::cell::UnsafeCell;

use super::mmu::{self, Table};
use super::trap;
use crate::fdt;

const STACK_SIZE: usize = 64 * 1024;

/// The registers as the loader left them, before anything changed them.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct EntryState {
    /// CurrentEL.
    pub current_el: u64,
    /// DAIF.
    pub daif: u64,
    /// SCTLR_EL1.
    pub sctlr: u64,
    /// X0 to X3: the device tree's address, and three words the boot protocol wants zero.
    pub x: [u64; 4],
}

#[repr(C, align(16))]
struct Start<T>(UnsafeCell<T>);

// SAFETY: written by the entry code only, before any Rust runs, and read thereafter; the
// stack is used by the one CPU there is.
unsafe impl<T> Sync for Start<T> {}

static ENTRY_STATE: Start<EntryState> = Start(UnsafeCell::new(EntryState {
    current_el: 0,
    daif: 0,
    sctlr: 0,
    x: [0; 4],
}));
static STACK: Start<[u8; STACK_SIZE]> = Start(UnsafeCell::new([0; STACK_SIZE]));

global_asm!(
    include_str!("entry.s"),
    relative = const 1027, // R_AARCH64_RELATIVE
    entry_state = sym ENTRY_STATE,
    stack = sym STACK,
    stack_size = const STACK_SIZE,
    level1 = sym mmu::LEVEL1,
    level2 = sym mmu::LEVEL2,
    device_block = const Table::DEVICE_BLOCK,
    ram_block = const mmu::RAM_BASE | Table::RAM_BLOCK,
    mair = const mmu::MAIR,
    tcr = const mmu::TCR,
    sctlr = const mmu::SCTLR,
    vectors = sym trap::guest_vectors,
);

unsafe extern "C" {
    safe static _start: u8;
    safe static guest_end: u8;
}

/// Names the main function, `fn() -> !`, of a guest.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        // SAFETY: the only symbol of this name; the entry code jumps to it once, with a
        // stack and the MMU on.
        #[unsafe(no_mangle)]
        extern "C" fn guest_main() -> ! {
            $crate::rt::mmu::shape_ram();
            $crate::rt::place::devices();
            let main: fn() -> ! = $main;
            main()
        }
    };
}

/// Returns the registers as they were at entry.
pub fn state() -> EntryState {
    // SAFETY: written once by the entry code, which is over.
    unsafe { *ENTRY_STATE.0.get() }
}

/// Returns the first address of the program and the one after its last.
pub fn image() -> (u64, u64) {
    (&raw const _start as u64, &raw const guest_end as u64)
}

/// Returns the device tree, or nothing when X0 did not point to one inside the first GiB of RAM.
pub fn device_tree() -> Option<&'static [u8]> {
    let address = state().x[0];
    let inside = mmu::RAM_BASE..mmu::RAM_BASE + (1 << 30) - 64;
    if !inside.contains(&address) || !address.is_multiple_of(8) {
        return None;
    }
    // SAFETY: the header's words lie in the first GiB of RAM, which is mapped as normal
    // memory and which nobody writes.
    let header = unsafe { core::slice::from_raw_parts(address as *const u8, 8) };
    let size =
        u64::from(fdt::word(header, 4).filter(|_| fdt::word(header, 0) == Some(fdt::MAGIC))?);
    if size > inside.end - address {
        return None;
    }
    // SAFETY: as above, for the size the header gives.
    Some(unsafe { core::slice::from_raw_parts(address as *const u8, size as usize) })
}

/// Returns the first address of RAM and the one after its last, as the device tree says;
/// an empty range when it does not.
pub fn ram() -> (u64, u64) {
    let reg = || {
        let reg = fdt::property(device_tree()?, "memory", "reg")?;
        Some((fdt::double(reg, 0)?, fdt::double(reg, 8)?))
    };
    reg().map_or((0, 0), |(start, size)| (start, start.saturating_add(size)))
}

/// Returns whether the word stands among the boot arguments.
pub fn has_argument(word: &str) -> bool {
    arguments().any(|argument| argument == word)
}

/// Returns what follows `key=` among the boot arguments.
pub fn argument(key: &str) -> Option<&'static str> {
    arguments().find_map(|argument| argument.strip_prefix(key)?.strip_prefix('='))
}

fn arguments() -> impl Iterator<Item = &'static str> {
    let text = device_tree()
        .and_then(|tree| fdt::property(tree, "chosen", "bootargs"))
        .and_then(|bytes| core::str::from_utf8(bytes).ok())
        .unwrap_or("");
    text.trim_end_matches('\0').split_ascii_whitespace()
}
