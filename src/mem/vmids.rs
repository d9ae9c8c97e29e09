//! Which VMID a new VM gets.
//!
//! VMIDs are given out in turn, and one that a VM gave back rests until all others had theirs: then
//! a new *generation* begins, and with it everything that guests have in the TLBs is dropped. So
//! no VM ever meets what one before it left under the same number, whatever was dropped when that
//! one ended.

use alloc::vec::Vec;

/// Gives out VMIDs.
pub struct Vmids {
    /// The largest that the CPUs have.
    limit: u16,
    /// The one given out last.
    last: u16,
    /// Those in use when the generation began: what their VMs cached since is in the TLBs even
    /// when they are gone, so this generation leaves them out.
    carried: Vec<u16>,
}

/// A VMID for a new VM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fresh {
    /// The number: never 0, which is what VTTBR_EL2 holds before the first VM.
    pub vmid: u16,
    /// Whether a generation begins with it: the TLBs have to be emptied of all guests first.
    pub begins_generation: bool,
}

impl Vmids {
    /// Begins the first generation, with VMIDs of 16 bits or else of 8.
    pub const fn new(wide: bool) -> Self {
        Self {
            limit: if wide { u16::MAX } else { 0xff },
            last: 0,
            carried: Vec::new(),
        }
    }

    /// Returns the next VMID, given those that are in use; `None` if all are.
    pub fn take(&mut self, used: &[u16]) -> Option<Fresh> {
        if let Some(fresh) = self.take_of_generation(used, false) {
            return Some(fresh);
        }
        self.last = 0;
        self.carried = used.into();
        self.take_of_generation(used, true)
    }

    fn take_of_generation(&mut self, used: &[u16], begins_generation: bool) -> Option<Fresh> {
        let mut later = (self.last..self.limit).map(|vmid| vmid + 1);
        let vmid = later.find(|vmid| !used.contains(vmid) && !self.carried.contains(vmid))?;
        self.last = vmid;
        Some(Fresh {
            vmid,
            begins_generation,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn fresh(vmid: u16, begins_generation: bool) -> Option<Fresh> {
        Some(Fresh {
            vmid,
            begins_generation,
        })
    }

    #[test]
    fn one_that_was_given_back_rests_until_the_next_generation() {
        let mut vmids = Vmids::new(false);
        for vmid in 1..=0xff {
            assert_eq!(vmids.take(&[]), fresh(vmid, false));
        }
        assert_eq!(vmids.take(&[1, 4]), fresh(2, true));
        assert_eq!(vmids.take(&[1, 2, 4]), fresh(3, false));
        assert_eq!(vmids.take(&[1]), fresh(5, false), "4 rests too");
    }

    #[test]
    fn none_is_left_when_all_are_used() {
        let all: Vec<_> = (1..=0xff).collect();
        assert_eq!(Vmids::new(false).take(&all), None);
        assert_eq!(Vmids::new(true).take(&all), fresh(0x100, false));
    }

    /// A TLB that forgets nothing but on a flush never holds a number under two names.
    #[test]
    fn no_vm_meets_what_another_left() {
        let mut vmids = Vmids::new(false);
        let mut alive = BTreeSet::new();
        let mut cached = BTreeSet::new();
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..20_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            if random % 16 < 8 && alive.len() < 0x40 {
                let fresh = vmids.take(&Vec::from_iter(alive.iter().copied())).unwrap();
                if fresh.begins_generation {
                    cached.retain(|vmid| alive.contains(vmid));
                }
                assert!(alive.insert(fresh.vmid) && cached.insert(fresh.vmid));
            } else if let Some(&vmid) = alive.iter().nth(random as usize % alive.len().max(1)) {
                alive.remove(&vmid);
            }
        }
    }
}
