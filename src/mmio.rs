//! A device's registers, reached by raw pointer.
//!
//! There is never a Rust reference to device memory: the compiler may read through a reference
//! whenever it likes and as often as it likes, and reading a device can change it. So registers
//! are not fields of a struct but offsets in a window, and an access is one call, done once, with
//! the width it says.

#![expect(unsafe_code, reason = "device registers are raw memory")]

use core::mem::size_of;

/// A window onto a device's registers.
///
/// It may move to another CPU but not be shared (it is not `Sync`): a driver that several CPUs use
/// sits behind a lock. Accesses to one device stay in program order (the memory is Device-nGnRE);
/// order against ordinary memory needs a barrier.
#[derive(Debug)]
pub struct Mmio {
    base: *mut u8,
    size: usize,
}

// SAFETY: the window stands for a device, which does not care which CPU speaks to it; nothing in
// it belongs to one thread.
unsafe impl Send for Mmio {}

macro_rules! access {
    ($word:ty, $read:ident, $load:literal, $write:ident, $store:literal) => {
        /// Reads the register at `offset` bytes with one access of this width.
        ///
        /// # Panics
        ///
        /// If the register is not inside the window or not aligned: a fault of the driver.
        #[inline(always)]
        #[track_caller]
        pub fn $read(&self, offset: usize) -> $word {
            let pointer = self.at::<$word>(offset);
            #[cfg(target_arch = "aarch64")]
            {
                let value: $word;
                // SAFETY: `at` gives an aligned address inside the window, which `new` was
                // promised to be readable for as long as this value lives. A plain base register
                // is used so that, under a hypervisor, the access has a syndrome.
                unsafe {
                    core::arch::asm!($load, value = out(reg) value, pointer = in(reg) pointer,
                        options(nostack, preserves_flags));
                }
                value
            }
            #[cfg(not(target_arch = "aarch64"))]
            // SAFETY: `at` gives an aligned address inside the window, which `new` was promised to
            // be readable for as long as this value lives.
            unsafe {
                pointer.read_volatile()
            }
        }

        /// Writes the register at `offset` bytes with one access of this width.
        ///
        /// # Panics
        ///
        /// If the register is not inside the window or not aligned: a fault of the driver.
        #[inline(always)]
        #[track_caller]
        pub fn $write(&self, offset: usize, value: $word) {
            let pointer = self.at::<$word>(offset);
            #[cfg(target_arch = "aarch64")]
            // SAFETY: `at` gives an aligned address inside the window, which `new` was promised to
            // be writable, and used through windows only, for as long as this value lives.
            unsafe {
                core::arch::asm!($store, value = in(reg) value, pointer = in(reg) pointer,
                    options(nostack, preserves_flags));
            }
            #[cfg(not(target_arch = "aarch64"))]
            // SAFETY: `at` gives an aligned address inside the window, which `new` was promised to
            // be writable, and used through windows only, for as long as this value lives.
            unsafe {
                pointer.write_volatile(value);
            }
        }
    };
}

impl Mmio {
    /// Makes a window of `size` bytes at `base`.
    ///
    /// # Safety
    ///
    /// 1. `base` is 8-byte aligned, and the `size` bytes at it stay mapped, readable and writable,
    ///    for as long as this window or one cut from it lives.
    /// 2. Nothing but windows touches them meanwhile, and what a write makes the device do (DMA,
    ///    say) is sound.
    /// 3. Windows on ordinary memory, as tests have them, all stay on one thread.
    pub const unsafe fn new(base: *mut u8, size: usize) -> Self {
        Self { base, size }
    }

    /// Returns the size in bytes.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Cuts out the window of `size` bytes at `offset`, or returns `None` when it is not inside
    /// this one or not 8-byte aligned.
    ///
    /// Both windows stay usable: two drivers that hold registers in common have to agree.
    pub fn window(&self, offset: usize, size: usize) -> Option<Self> {
        let inside = offset.checked_add(size).is_some_and(|end| end <= self.size);
        (inside && offset.is_multiple_of(8)).then(|| Self {
            base: self.base.wrapping_add(offset),
            size,
        })
    }

    access!(
        u8,
        read8,
        "ldrb {value:w}, [{pointer}]",
        write8,
        "strb {value:w}, [{pointer}]"
    );
    access!(
        u16,
        read16,
        "ldrh {value:w}, [{pointer}]",
        write16,
        "strh {value:w}, [{pointer}]"
    );
    access!(
        u32,
        read32,
        "ldr {value:w}, [{pointer}]",
        write32,
        "str {value:w}, [{pointer}]"
    );
    access!(
        u64,
        read64,
        "ldr {value:x}, [{pointer}]",
        write64,
        "str {value:x}, [{pointer}]"
    );

    /// Returns the address of the `T` at `offset`, which is then inside the window and aligned.
    #[inline(always)]
    #[track_caller]
    fn at<T>(&self, offset: usize) -> *mut T {
        let inside = self.size >= size_of::<T>() && offset <= self.size - size_of::<T>();
        if !inside || !offset.is_multiple_of(size_of::<T>()) {
            outside(offset, size_of::<T>());
        }
        self.base.wrapping_add(offset).cast()
    }
}

/// A window whose size is known when the driver is compiled, so that an access to a register of
/// known offset is checked by then and costs one instruction.
#[derive(Debug)]
pub struct Fixed<const SIZE: usize> {
    base: *mut u8,
}

// SAFETY: as for [`Mmio`].
unsafe impl<const SIZE: usize> Send for Fixed<SIZE> {}

impl<const SIZE: usize> Fixed<SIZE> {
    /// Takes the first `SIZE` bytes of a window, or returns `None` when it is smaller.
    pub fn new(window: &Mmio) -> Option<Self> {
        (window.size >= SIZE).then_some(Self { base: window.base })
    }

    /// Returns it as a window like any other, for what is not done often.
    #[inline(always)]
    pub const fn window(&self) -> Mmio {
        Mmio {
            base: self.base,
            size: SIZE,
        }
    }

    /// Does [`Mmio::read32`].
    ///
    /// # Panics
    ///
    /// As there.
    #[inline(always)]
    #[track_caller]
    pub fn read32(&self, offset: usize) -> u32 {
        self.window().read32(offset)
    }

    /// Does [`Mmio::write32`].
    ///
    /// # Panics
    ///
    /// As there.
    #[inline(always)]
    #[track_caller]
    pub fn write32(&self, offset: usize, value: u32) {
        self.window().write32(offset, value);
    }
}

/// Stops a driver that asked for what is not there; out of line, so that an access is short.
#[cold]
#[inline(never)]
#[track_caller]
fn outside(offset: usize, size: usize) -> ! {
    panic!("no register of {size} bytes at {offset:#x}");
}

/// A block of ordinary memory that stands for a device in tests.
#[cfg(test)]
pub(crate) struct Bench(*mut [u64]);

#[cfg(test)]
impl Bench {
    /// Makes a device of `size` bytes, all zero.
    pub(crate) fn new(size: usize) -> Self {
        let words = alloc::vec![0; size.div_ceil(8)].into_boxed_slice();
        Self(alloc::boxed::Box::into_raw(words))
    }

    /// Returns a window on the whole of it, to be used while this lives.
    pub(crate) fn window(&mut self) -> Mmio {
        // SAFETY: the block is 8-byte aligned, is reached through its raw pointer only, and is this
        // thread's, as the pointer makes a bench neither `Send` nor `Sync`.
        unsafe { Mmio::new(self.0.cast(), self.0.len() * 8) }
    }
}

#[cfg(test)]
impl Drop for Bench {
    fn drop(&mut self) {
        // SAFETY: the pointer came from a box in `new` and is given back once.
        drop(unsafe { alloc::boxed::Box::from_raw(self.0) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_meet_in_memory_little_end_first() {
        let mut bench = Bench::new(16);
        let mmio = bench.window();
        mmio.write64(8, 0x1122_3344_5566_7788);
        assert_eq!(mmio.read32(8), 0x5566_7788);
        assert_eq!(mmio.read32(12), 0x1122_3344);
        assert_eq!(mmio.read16(14), 0x1122);
        assert_eq!(mmio.read8(15), 0x11);
        mmio.write8(8, 0xff);
        mmio.write16(10, 0xeeee);
        mmio.write32(12, 0xdddd_dddd);
        assert_eq!(mmio.read64(8), 0xdddd_dddd_eeee_77ff);
        assert_eq!(mmio.read64(0), 0);
    }

    #[test]
    fn the_last_register_is_inside() {
        let mut bench = Bench::new(16);
        assert_eq!(bench.window().read8(15), 0);
        assert_eq!(bench.window().read64(8), 0);
    }

    #[test]
    #[should_panic(expected = "no register of 4 bytes at 0x10")]
    fn past_the_end_is_refused() {
        Bench::new(16).window().read32(16);
    }

    #[test]
    #[should_panic(expected = "no register of 8 bytes at 0x4")]
    fn a_misaligned_register_is_refused() {
        Bench::new(16).window().write64(4, 0);
    }

    #[test]
    #[should_panic(expected = "no register of 4 bytes")]
    fn an_offset_that_wraps_is_refused() {
        Bench::new(16).window().read32(usize::MAX - 3);
    }

    #[test]
    fn a_fixed_window_needs_its_size() {
        let mut bench = Bench::new(16);
        assert!(Fixed::<24>::new(&bench.window()).is_none());
        let fixed = Fixed::<8>::new(&bench.window()).unwrap();
        fixed.write32(4, 7);
        assert_eq!((fixed.read32(4), bench.window().read32(4)), (7, 7));
        assert_eq!(fixed.window().size(), 8);
    }

    #[test]
    #[should_panic(expected = "no register of 4 bytes at 0x8")]
    fn past_the_end_of_a_fixed_window_is_refused() {
        Fixed::<8>::new(&Bench::new(16).window()).unwrap().read32(8);
    }

    #[test]
    fn a_cut_window_is_smaller_and_elsewhere() {
        let mut bench = Bench::new(32);
        let whole = bench.window();
        let part = whole.window(8, 16).unwrap();
        part.write32(0, 7);
        assert_eq!((whole.read32(8), part.size()), (7, 16));
        assert!(whole.window(24, 16).is_none());
        assert!(whole.window(4, 8).is_none());
        assert!(whole.window(usize::MAX - 7, 16).is_none());
    }
}
