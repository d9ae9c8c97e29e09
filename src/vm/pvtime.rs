//! Stolen time: how long a vCPU was kept from running (Arm DEN 0057, "Paravirtualized Time").
//!
//! Each VM has memory of its own for this, which its guest may only read: one structure of 64
//! bytes for each vCPU, which EL2 updates when the vCPU is loaded after it had to wait.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::panic
    )
)]

use super::{
    memory::{GuestMemory, Unreachable},
    vcpu::Vcpu,
};
use crate::{
    addr::{Ipa, PAGE_SIZE, PaRange},
    mem::stage2::IpaRange,
};
use alloc::{boxed::Box, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering};

/// Where the structures are: where QEMU's `virt` machine has them, outside RAM and all devices.
pub const BASE: Ipa = Ipa::new(0x090a_0000);
/// The size of one, in bytes; it is aligned to that.
const STRUCTURE: u64 = 64;
/// Where the stolen time is in it, in nanoseconds; revision and attributes before it are zero.
const STOLEN: u64 = 8;

/// The stolen time of a VM's vCPUs.
pub struct StolenTime {
    memory: GuestMemory,
    /// By vCPU; the guest's memory is only ever written.
    stolen: Box<[Stolen]>,
    /// How fast the counter counts, in Hz.
    frequency: u64,
    /// How many counts are told at a time.
    step: u64,
}

/// The stolen time of one vCPU. One CPU at a time writes it.
#[derive(Default)]
struct Stolen {
    counts: AtomicU64,
    /// From how many counts on the guest is told.
    due: AtomicU64,
}

/// Reaching a guest's memory costs more than a switch of vCPUs does, so it is told a millisecond at
/// a time.
const STEPS_PER_SECOND: u64 = 1000;

/// Returns how many bytes the structures of so many vCPUs take: a power of two of pages.
pub const fn size(cpus: u32) -> u64 {
    let bytes = (cpus as u64).saturating_mul(STRUCTURE).next_power_of_two();
    if bytes < PAGE_SIZE { PAGE_SIZE } else { bytes }
}

/// Returns where a guest with so many vCPUs sees them.
pub const fn place(cpus: u32) -> IpaRange {
    IpaRange {
        start: BASE,
        size: size(cpus),
    }
}

impl StolenTime {
    /// Makes the structures of `cpus` vCPUs in `block`, which is [`size`] bytes and the VM's own,
    /// where a guest reads them whose caches are off. `frequency` is the counter's, in Hz.
    ///
    /// # Errors
    ///
    /// [`Unreachable`].
    pub fn new(cpus: u32, block: PaRange, frequency: u64) -> Result<Self, Unreachable> {
        let memory = GuestMemory::new(BASE, Vec::from([block]));
        memory.zero()?;
        Ok(Self {
            memory,
            stolen: (0..cpus).map(|_| Stolen::default()).collect(),
            frequency,
            step: frequency.checked_div(STEPS_PER_SECOND).unwrap_or(0),
        })
    }

    /// Returns the address of a vCPU's structure, which its guest is told.
    pub fn address(&self, vcpu: usize) -> Option<u64> {
        self.stolen.get(vcpu)?;
        Some(at(vcpu, 0).as_u64())
    }

    /// Adds time, in counts, in which a vCPU could have run and did not. For whoever loads the
    /// vCPU.
    pub fn add(&self, vcpu: usize, counts: u64) {
        let Some(stolen) = self.stolen.get(vcpu) else {
            return;
        };
        let before = stolen.counts.load(Ordering::Relaxed);
        let now = before.saturating_add(counts);
        stolen.counts.store(now, Ordering::Relaxed);
        if now >= stolen.due.load(Ordering::Relaxed) {
            stolen
                .due
                .store(now.saturating_add(self.step), Ordering::Relaxed);
            self.tell(vcpu, now);
        }
    }

    #[inline(never)]
    fn tell(&self, vcpu: usize, counts: u64) {
        // The structure is in range: `address` counts the same vCPUs. A guest that reads while
        // this is written sees the time before or after, nothing between.
        let ns = nanoseconds(counts, self.frequency);
        let _ = self.memory.store(at(vcpu, STOLEN), ns);
    }

    /// Returns how much was stolen from a vCPU, in nanoseconds.
    pub fn get(&self, vcpu: usize) -> u64 {
        let stolen = self.stolen.get(vcpu);
        let counts = stolen.map_or(0, |stolen| stolen.counts.load(Ordering::Relaxed));
        nanoseconds(counts, self.frequency)
    }
}

/// Since when a vCPU could run and another had the CPU, as a count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct PassedOver(Option<u64>);

impl PassedOver {
    /// Notes that another has the CPU from `now` on.
    fn begin(&mut self, now: u64) {
        self.0.get_or_insert(now);
    }

    /// Notes that it has the CPU again, and returns for how many counts it had not.
    fn end(&mut self, now: u64) -> u64 {
        self.0.take().map_or(0, |since| now.saturating_sub(since))
    }
}

impl Vcpu {
    /// Notes that it could run from count `now` on, and another has the CPU.
    #[inline(always)]
    pub fn pass_over(&mut self, now: u64) {
        self.passed_over.begin(now);
    }

    /// Notes that it was chosen at count `now`: what it waited since it was passed over was
    /// stolen from it.
    #[inline(always)]
    pub fn end_wait(&mut self, now: u64) {
        let counts = self.passed_over.end(now);
        if counts != 0 {
            self.vm.stolen_time.add(self.index, counts);
        }
    }
}

/// Converts counts at so many Hz.
const fn nanoseconds(counts: u64, frequency: u64) -> u64 {
    const SECOND: u64 = 1_000_000_000;
    let scaled = (counts as u128).saturating_mul(SECOND as u128);
    match scaled.checked_div(frequency as u128) {
        Some(nanoseconds) if nanoseconds > u64::MAX as u128 => u64::MAX,
        Some(nanoseconds) => nanoseconds as u64,
        None => 0,
    }
}

/// Returns the address of a word of a vCPU's structure.
const fn at(vcpu: usize, offset: u64) -> Ipa {
    let structure = (vcpu as u64).wrapping_mul(STRUCTURE);
    Ipa::new(BASE.as_u64().wrapping_add(structure).wrapping_add(offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{addr::Pa, cpu::fake};

    const BLOCK: u64 = 2 << 20;
    const GIGAHERTZ: u64 = 1_000_000_000;

    fn stolen_time(cpus: u32) -> StolenTime {
        fake::reset();
        fake::with(|cpu| cpu.ram = alloc::vec![0xaa; 4 << 20]);
        let block = PaRange::new(Pa::new(BLOCK), size(cpus)).unwrap();
        StolenTime::new(cpus, block, GIGAHERTZ).unwrap()
    }

    fn memory(offset: usize, size: usize) -> Vec<u8> {
        fake::with(|cpu| cpu.ram[BLOCK as usize + offset..][..size].to_vec())
    }

    #[test]
    fn a_structure_is_64_bytes_little_endian() {
        let time = stolen_time(2);
        time.add(1, 0x1122_3344);
        time.add(1, 0x1_0000_0000);
        assert_eq!(time.get(1), 0x1_1122_3344);
        assert_eq!(memory(0, 64), [0; 64], "the other vCPU's");
        let mut expected = [0; 64];
        expected[8..16].copy_from_slice(&0x1_1122_3344_u64.to_le_bytes());
        assert_eq!(memory(64, 64), expected);
        assert_eq!(memory(128, 4096 - 128), [0; 4096 - 128]);
        assert_eq!(memory(4096, 1), [0xaa], "past the page");
    }

    #[test]
    fn a_guest_is_told_a_millisecond_at_a_time() {
        let time = stolen_time(1);
        let told = || u64::from_le_bytes(memory(8, 8).try_into().unwrap());
        for (more, all) in [(5, 5), (999_999, 5), (0, 5), (1, 1_000_005), (7, 1_000_005)] {
            time.add(0, more);
            assert_eq!(told(), all, "after {more}");
        }
        assert_eq!(time.get(0), 1_000_012);
    }

    #[test]
    fn only_the_vms_vcpus_have_one() {
        let time = stolen_time(2);
        assert_eq!(time.address(0), Some(0x090a_0000));
        assert_eq!(time.address(1), Some(0x090a_0040));
        assert_eq!(time.address(2), None);
        time.add(2, 5);
        assert_eq!((time.get(2), memory(128, 64)), (0, alloc::vec![0; 64]));
    }

    #[test]
    fn a_wait_lasts_from_the_first_time_it_was_passed_over() {
        let mut wait = PassedOver::default();
        assert_eq!(wait.end(5), 0, "it was not passed over");
        wait.begin(10);
        wait.begin(20);
        assert_eq!(wait.end(34), 24);
        assert_eq!(wait.end(50), 0, "what was told once is not told again");
    }

    #[test]
    fn counts_become_nanoseconds_at_any_frequency() {
        assert_eq!(nanoseconds(7, 1_000_000_000), 7);
        assert_eq!(nanoseconds(62_500_001, 62_500_000), 1_000_000_016);
        assert_eq!(nanoseconds(3, 1_000_000), 3000);
        assert_eq!(nanoseconds(u64::MAX, 54_000_000), u64::MAX);
        assert_eq!(nanoseconds(1, 0), 0);
    }

    #[test]
    fn structures_of_many_vcpus_take_more_pages() {
        for (cpus, bytes) in [(1, 4096), (64, 4096), (65, 8192), (128, 8192), (512, 32768)] {
            assert_eq!(size(cpus), bytes, "{cpus} vCPUs");
        }
    }
}
