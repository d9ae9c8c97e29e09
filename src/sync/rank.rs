//! The order in which a CPU takes locks.
//!
//! Two CPUs that each hold what the other wants wait forever. They can't if all take locks in one
//! order, and [`Rank`] is that order. With debug assertions each lock that is taken is checked
//! against those that its CPU holds; without, a rank is no bit and no instruction.

macro_rules! ranks {
    ($($(#[$attribute:meta])* $rank:ident),* $(,)?) => {
        /// **All locks of EL2, in the order in which one CPU may take them**: whoever holds one takes only
        /// what is listed later, and no two of a rank.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Rank {
            $($(#[$attribute])* $rank),*
        }

        #[cfg(any(debug_assertions, test))]
        impl Rank {
            const ALL: &[Self] = &[$(Self::$rank),*];
        }
    };
}

ranks! {
    /// `boot::guests`: which VMs there are, the free frames, VMIDs.
    Guests,
    /// `debugger::commands`: which VMs are debugged.
    Debuggers,
    /// `vm::debug::control`: the vCPUs of a VM that stand still.
    Parked,
    /// `sched::cpu`: what was handed to a CPU.
    Inbox,
    /// A VM's UART.
    Uart,
    /// A VM's real-time clock.
    Rtc,
    /// A VM's random numbers.
    Trng,
    /// A VM's interrupt controller.
    Gic,
    /// `vm::host`: a CPU's part of the machine's GICv3.
    Redistributor,
    /// `dev::gic::v2`: the registers of the machine's GICv2 that say what a line means.
    GicConfiguration,
    /// `vm::host`: what the CPUs need against speculation.
    Workarounds,
    /// `vm::input`: who reads the console.
    Reader,
    /// `mem::stage1`: EL2's own map.
    Map,
    /// `log`: the latest messages, while they are shown.
    Messages,
    /// `dev::console`: the machine's console. Whoever logs takes it.
    Console,
    /// `dev::console`: the line that a guest writes.
    Line,
    /// `vm::input`: the command that is typed.
    Command,
    /// `mem::heap`: EL2's heap. Whoever allocates takes it.
    Heap,
}

#[cfg(any(debug_assertions, test))]
impl Rank {
    /// Returns the bit that stands for it in a set.
    pub(super) const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Returns the last of a set that forbids to take this one: it comes later, or is the same.
    pub(super) fn forbidden_by(self, held: u32) -> Option<Self> {
        let late = held & !(self.bit() - 1);
        Self::ALL.get(late.checked_ilog2()? as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_forbidden_by_itself_and_by_later_ones() {
        for (n, &next) in Rank::ALL.iter().enumerate() {
            assert_eq!(next.forbidden_by(0), None);
            for (m, &held) in Rank::ALL.iter().enumerate() {
                let expected = (m >= n).then_some(held);
                assert_eq!(next.forbidden_by(held.bit()), expected);
                let with_first = held.bit() | Rank::Guests.bit();
                let expected = expected.or((n == 0).then_some(Rank::Guests));
                assert_eq!(next.forbidden_by(with_first), expected);
            }
        }
    }
}
