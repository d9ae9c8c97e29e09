//! The state of 32 interrupts, one bit each in words, whatever registers show it.

use super::list_register as lr;

/// A target or owner that is no vCPU.
pub(super) const NOBODY: u8 = u8::MAX;

/// The SGIs in a private bank.
pub(super) const SGIS: u32 = 0xffff;

/// Returns a word with bit `n` (modulo 32) set.
#[inline(always)]
pub(super) const fn mask(n: u32) -> u32 {
    1u32.wrapping_shl(n)
}

/// Returns a word with bit `n` (modulo 64) set.
#[inline(always)]
pub(super) const fn mask64(n: u32) -> u64 {
    1u64.wrapping_shl(n)
}

/// Iterates over the numbers of the bits set in a word, lowest first.
#[derive(Clone, Copy)]
pub(super) struct Bits(pub u32);

impl Iterator for Bits {
    type Item = u32;

    #[inline(always)]
    fn next(&mut self) -> Option<u32> {
        let n = self.0.trailing_zeros();
        self.0 &= self.0.wrapping_sub(1);
        (n < 32).then_some(n)
    }
}

/// The same for 64 bits.
#[derive(Clone, Copy)]
pub(super) struct Bits64(pub u64);

impl Iterator for Bits64 {
    type Item = u32;

    #[inline(always)]
    fn next(&mut self) -> Option<u32> {
        let n = self.0.trailing_zeros();
        self.0 &= self.0.wrapping_sub(1);
        (n < 64).then_some(n)
    }
}

/// Which groups the distributor forwards: all ones or all zeros each, to mask words with.
#[derive(Clone, Copy, Default)]
pub(super) struct Open {
    pub group0: u32,
    pub group1: u32,
}

/// Where an interrupt's list register is: a vCPU and the number of the register.
///
/// Outlives the stay: for an active interrupt it says which vCPU acknowledged it.
#[derive(Clone, Copy, Default)]
pub(super) struct Home(u16);

impl Home {
    #[inline(always)]
    pub fn new(vcpu: usize, slot: u32) -> Self {
        Self(((vcpu as u16) << 4) | (slot & 15) as u16)
    }

    #[inline(always)]
    pub fn vcpu(self) -> usize {
        (self.0 >> 4) as usize
    }

    #[inline(always)]
    pub fn slot(self) -> u32 {
        (self.0 & 15) as u32
    }
}

/// 32 interrupts. In each word, bit n is interrupt n of the bank.
#[repr(C, align(64))]
#[derive(Clone, Default)]
pub(super) struct Bank {
    pub enabled: u32,
    pub group1: u32,
    /// Configured as edge-triggered.
    pub edge: u32,
    /// The line is high.
    pub level: u32,
    /// The pending latch, without what is in a list register.
    pub pending: u32,
    /// Active, and not in a list register.
    pub active: u32,
    /// In a list register of the vCPU that [`Home`] names.
    pub homed: u32,
    /// Pending in the list register because of the latch (not the line) when last looked at.
    pub lr_pending: u32,
    /// Active in the list register when last looked at.
    pub lr_active: u32,
    /// Asked for while homed elsewhere: forget the pending state found there.
    pub clear_pending: u32,
    /// Asked for while homed elsewhere: forget the active state found there.
    pub clear_active: u32,
    /// Active because the guest acknowledged it, so that its EOI is still to come.
    pub acked: u32,
    /// The physical interrupt of the same bit in `hw` is active on this interrupt's behalf.
    pub in_flight: u32,
    /// The interrupts that exist.
    pub valid: u32,
    /// INTID of bit 0.
    pub base: u32,
    /// The bank's bit in a vCPU's summary words.
    pub summary: u32,
    pub priority: [u8; 32],
    /// The priority each had when it was acknowledged.
    pub running: [u8; 32],
    pub home: [Home; 32],
    /// Physical INTIDs.
    pub hw: [u16; 32],
    /// The vCPU each interrupt is routed to, or [`NOBODY`].
    pub target: [u8; 32],
    /// The vCPU whose private bank this is, or [`NOBODY`].
    pub owner: u8,
    /// The SGIs that know who sent them: all of GICv2's private banks, none of GICv3's.
    pub sourced: u32,
    /// The vCPUs that sent each SGI and whose turn is still to come, a bit each.
    pub senders: [u8; 16],
    /// The vCPU that sent the active one.
    pub sender: [u8; 16],
}

impl Bank {
    /// Returns the pending state of what is in the bank: the latch, or a level-sensitive line.
    #[inline(always)]
    pub fn pended(&self) -> u32 {
        self.pending | (self.level & !self.edge)
    }

    /// Returns the interrupts that may be signalled when pending: enabled, in an open group.
    #[inline(always)]
    pub fn allowed(&self, open: Open) -> u32 {
        self.enabled & ((self.group1 & open.group1) | (!self.group1 & open.group0))
    }

    /// Returns the interrupts that should be in a list register as pending, and are in none.
    #[inline(always)]
    pub fn ready(&self, open: Open) -> u32 {
        self.pended() & self.allowed(open) & !self.active & !self.homed
    }

    /// Returns the interrupts that should be in a list register and are in none.
    #[inline(always)]
    pub fn wanting(&self, open: Open) -> u32 {
        self.ready(open) | (self.active & !self.homed)
    }

    /// Returns the pending state a reader sees, as fresh as the last look at the list registers.
    #[inline(always)]
    pub fn pending_seen(&self) -> u32 {
        self.pended() | (self.lr_pending & !self.clear_pending)
    }

    /// Returns the active state a reader sees, as fresh as the last look at the list registers.
    #[inline(always)]
    pub fn active_seen(&self) -> u32 {
        self.active | (self.lr_active & !self.clear_active)
    }

    /// Returns the in-flight interrupts that nothing in the guest will end any more.
    #[inline(always)]
    pub fn orphans(&self) -> u32 {
        self.in_flight & !self.homed & !self.active & !self.pending
    }

    /// Returns the INTID of interrupt `n`.
    #[inline(always)]
    pub fn intid(&self, n: u32) -> u32 {
        self.base | (n & 31)
    }

    /// Returns what goes into a list register for interrupt `n` in the given state.
    ///
    /// While a level-sensitive line is high the end of the interrupt must be noticed, for another
    /// look at the line. A hardware-linked one can't be active and pending in one list register
    /// (the pending half would be the physical distributor's), so then the link is kept by us.
    #[inline(always)]
    pub fn entry(&self, n: u32, state: u64) -> u64 {
        let bit = mask(n);
        let value = state | u64::from(self.intid(n)) | self.fields(n);
        if self.sourced & bit != 0 {
            return value | self.sender_fields(n, state);
        }
        if self.in_flight & bit != 0 && state != lr::PENDING | lr::ACTIVE {
            value | lr::HW | (u64::from(at(&self.hw, n)) << lr::PINTID)
        } else if (self.in_flight | (self.level & !self.edge)) & bit != 0 {
            value | lr::EOI
        } else {
            value
        }
    }

    /// Returns interrupt `n`'s priority and group, as a list register has them.
    #[inline(always)]
    pub fn fields(&self, n: u32) -> u64 {
        (u64::from(at(&self.priority, n)) << lr::PRIORITY)
            | (u64::from(self.group1.wrapping_shr(n) & 1) << lr::GROUP1)
    }

    /// Records that interrupt `n` moved into a list register in the given state.
    #[inline(always)]
    pub fn settle(&mut self, n: u32, state: u64, home: Home) {
        let bit = mask(n);
        self.homed |= bit;
        set(&mut self.home, n, home);
        if state & lr::PENDING != 0 {
            self.lr_pending = (self.lr_pending & !bit) | (self.pending & bit);
            self.pending &= !bit;
            if self.sourced & bit != 0 {
                self.take_sender(n);
            }
        }
        if state & lr::ACTIVE != 0 {
            self.lr_active |= bit;
            self.active &= !bit;
        }
    }

    /// Notes what interrupt `n`'s list register holds now.
    #[inline(always)]
    pub fn observe(&mut self, n: u32, value: u64) {
        let bit = mask(n);
        if value & lr::ACTIVE == 0 {
            self.lr_active &= !bit;
            self.acked &= !bit;
        } else {
            if self.lr_active & bit == 0 {
                self.acked |= bit;
                set(&mut self.running, n, (value >> lr::PRIORITY) as u8);
                if self.sourced & bit != 0 {
                    self.note_sender(n, value);
                }
            }
            self.lr_active |= bit;
        }
        if value & lr::PENDING == 0 {
            self.lr_pending &= !bit;
        }
    }

    /// Takes interrupt `n`, last seen in its list register as `value`, back into the bank.
    ///
    /// Returns whether its physical interrupt must be deactivated: nothing in the guest is left
    /// to end it, and the hardware did not.
    #[inline(always)]
    pub fn unsettle(&mut self, n: u32, value: u64) -> bool {
        let bit = mask(n);
        self.observe(n, value);
        if self.sourced & self.lr_pending & bit != 0 {
            self.return_sender(n, value);
        }
        self.pending |= bit & self.lr_pending & !self.clear_pending;
        self.active |= bit & self.lr_active & !self.clear_active;
        self.acked &= !(bit & self.clear_active);
        self.homed &= !bit;
        self.lr_pending &= !bit;
        self.lr_active &= !bit;
        self.clear_pending &= !bit;
        self.clear_active &= !bit;
        let over = self.orphans() & bit;
        self.in_flight &= !over;
        over != 0 && !(value & lr::HW != 0 && value & (lr::PENDING | lr::ACTIVE) == 0)
    }
}

/// Reads element `n` (modulo the length, a power of two).
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "masked to the length")]
pub(super) fn at<T: Copy, const N: usize>(array: &[T; N], n: u32) -> T {
    array[n as usize & const { last(N) }]
}

/// Writes element `n` (modulo the length, a power of two).
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "masked to the length")]
pub(super) fn set<T, const N: usize>(array: &mut [T; N], n: u32, value: T) {
    array[n as usize & const { last(N) }] = value;
}

/// Returns the last index of an array whose length is a power of two.
const fn last(length: usize) -> usize {
    assert!(length.is_power_of_two());
    length.wrapping_sub(1)
}
