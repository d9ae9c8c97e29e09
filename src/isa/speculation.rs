//! What speculation leaks on which core: facts by MIDR_EL1, and what a guest may be told.
//!
//! A guest asks for the firmware's workarounds by SMCCC_ARCH_FEATURES. "Not needed" may be said
//! only where the core is known to be safe; of everything else nothing is said, and a guest then
//! takes itself for vulnerable or uses a workaround of its own, such as a branch history loop.

use super::features::{IdReg, IdRegs};
use crate::bits::field;

/// What is known of a core by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Core {
    implementer: u8,
    part: u16,
    /// What its branch predictor leaks to a victim's targets: variant 2 without ID_AA64PFR0.CSV2.
    pub targets: Exposure,
    /// What its branch history leaks.
    pub history: Exposure,
    /// What loads that pass older stores leak: variant 4.
    pub stores: Exposure,
}

/// How a core stands towards one kind of leak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exposure {
    /// The core does not have it.
    Safe,
    /// It does, and nothing at its own exception level helps.
    Firmware,
    /// It does, and this many taken branches in a row displace the history.
    Loop(u8),
    /// Nothing is known, or ID registers tell.
    Unknown,
}

/// What calling for an architecture workaround does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Workaround {
    /// Nothing is known: there is no such call.
    Unknown,
    /// It mitigates: the firmware is called for it.
    Effective,
    /// It is there, and not needed on any CPU.
    NotNeeded,
}

/// What a guest is told of the three workarounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Workarounds {
    /// SMCCC_ARCH_WORKAROUND_1: branch targets.
    pub targets: Workaround,
    /// SMCCC_ARCH_WORKAROUND_2: speculative store bypass.
    pub stores: Workaround,
    /// SMCCC_ARCH_WORKAROUND_3: branch history, and targets.
    pub history: Workaround,
}

const ARM: u8 = 0x41;
const BROADCOM: u8 = 0x42;
const HISILICON: u8 = 0x48;
const QUALCOMM: u8 = 0x51;
const AMPERE: u8 = 0xc0;

macro_rules! cores {
    ($($implementer:ident $part:literal $targets:expr, $history:expr, $stores:expr;)*) => {{
        use Exposure::{Firmware, Loop, Safe, Unknown};
        &[$(Core {
            implementer: $implementer,
            part: $part,
            targets: $targets,
            history: $history,
            stores: $stores,
        }),*]
    }};
}

/// Arm's white paper "Cache speculation side-channels" and the "Spectre-BHB" security bulletin
/// (tables of affected cores); columns: branch targets, branch history, stores.
#[rustfmt::skip]
static CORES: &[Core] = cores! {
    ARM 0xd03 Safe, Safe, Safe;             // Cortex-A53
    ARM 0xd04 Safe, Safe, Safe;             // Cortex-A35
    ARM 0xd05 Safe, Safe, Safe;             // Cortex-A55
    ARM 0xd46 Unknown, Safe, Unknown;       // Cortex-A510
    ARM 0xd80 Unknown, Safe, Unknown;       // Cortex-A520
    ARM 0xd07 Firmware, Loop(8), Unknown;   // Cortex-A57
    ARM 0xd08 Firmware, Loop(8), Unknown;   // Cortex-A72
    ARM 0xd09 Firmware, Firmware, Unknown;  // Cortex-A73
    ARM 0xd0a Firmware, Firmware, Unknown;  // Cortex-A75
    ARM 0xd0b Unknown, Loop(24), Unknown;   // Cortex-A76
    ARM 0xd0c Unknown, Loop(24), Unknown;   // Neoverse N1
    ARM 0xd0d Unknown, Loop(24), Unknown;   // Cortex-A77
    ARM 0xd0e Unknown, Loop(24), Unknown;   // Cortex-A76AE
    ARM 0xd40 Unknown, Loop(32), Unknown;   // Neoverse V1
    ARM 0xd41 Unknown, Loop(32), Unknown;   // Cortex-A78
    ARM 0xd42 Unknown, Loop(32), Unknown;   // Cortex-A78AE
    ARM 0xd44 Unknown, Loop(32), Unknown;   // Cortex-X1
    ARM 0xd47 Unknown, Loop(32), Unknown;   // Cortex-A710
    ARM 0xd48 Unknown, Loop(32), Unknown;   // Cortex-X2
    ARM 0xd49 Unknown, Loop(32), Unknown;   // Neoverse N2
    ARM 0xd4b Unknown, Loop(32), Unknown;   // Cortex-A78C
    ARM 0xd4d Unknown, Loop(38), Unknown;   // Cortex-A715
    ARM 0xd81 Unknown, Loop(38), Unknown;   // Cortex-A720
    ARM 0xd4e Unknown, Loop(132), Unknown;  // Cortex-X3
    ARM 0xd4f Unknown, Loop(132), Unknown;  // Neoverse V2
    BROADCOM 0x100 Safe, Safe, Safe;        // Brahma-B53
    HISILICON 0xd01 Safe, Unknown, Unknown; // TSV110
    QUALCOMM 0x801 Safe, Safe, Unknown;     // Kryo 2xx Silver
    QUALCOMM 0x803 Safe, Safe, Safe;        // Kryo 3xx Silver
    QUALCOMM 0x805 Safe, Safe, Safe;        // Kryo 4xx Silver
    QUALCOMM 0x804 Unknown, Loop(24), Unknown; // Kryo 4xx Gold
    AMPERE 0xac3 Unknown, Loop(11), Unknown; // AmpereOne
};

impl Core {
    /// Finds a core by MIDR_EL1.
    pub fn from_midr(midr: u64) -> Option<&'static Self> {
        let (implementer, part) = (field(midr, 24, 8), field(midr, 4, 12));
        CORES
            .iter()
            .find(|core| u64::from(core.implementer) == implementer && u64::from(core.part) == part)
    }
}

impl Workaround {
    /// Returns what holds on a CPU by what its ID registers and its firmware say of it.
    const fn or(self, firmware: Self) -> Self {
        match self {
            Self::NotNeeded => Self::NotNeeded,
            _ => firmware,
        }
    }

    /// Returns what holds for a vCPU that may run on CPUs of either kind: a call that mitigates is
    /// harmless where it is not needed (Arm DEN 0028, 7.5).
    const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::NotNeeded, Self::NotNeeded) => Self::NotNeeded,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            _ => Self::Effective,
        }
    }
}

impl Workarounds {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        targets: Workaround::Unknown,
        stores: Workaround::Unknown,
        history: Workaround::Unknown,
    };

    /// Returns what holds on a CPU of which the firmware says this.
    pub const fn or(self, firmware: Self) -> Self {
        Self {
            targets: self.targets.or(firmware.targets),
            stores: self.stores.or(firmware.stores),
            history: self.history.or(firmware.history),
        }
    }

    /// Returns what holds on two CPUs.
    pub const fn and(self, other: Self) -> Self {
        Self {
            targets: self.targets.and(other.targets),
            stores: self.stores.and(other.stores),
            history: self.history.and(other.history),
        }
    }

    /// Returns what a guest is told on a CPU whose exits to EL2 do nothing against any of it.
    pub fn without_mitigation(midr: u64, ids: &IdRegs) -> Self {
        let core = Core::from_midr(midr);
        let safe = |of: fn(&Core) -> Exposure| core.is_some_and(|core| of(core) == Exposure::Safe);
        // ID_AA64PFR0_EL1.CSV2 (Arm ARM, D24.2): from 1 on, targets trained in one context do not
        // steer another; from 3 on, neither does branch history.
        let csv2 = field(ids.get(IdReg::ID_AA64PFR0), 56, 4);
        let told = |safe| {
            if safe {
                Workaround::NotNeeded
            } else {
                Workaround::Unknown
            }
        };
        Self {
            targets: told(csv2 >= 1 || safe(|core| core.targets)),
            stores: told(safe(|core| core.stores)),
            history: told(csv2 >= 3 || safe(|core| core.history)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Workaround::{Effective, NotNeeded, Unknown};

    fn told(midr: u64, csv2: u64) -> [Workaround; 3] {
        let mut ids = IdRegs::ZERO;
        ids.set(IdReg::ID_AA64PFR0, csv2 << 56);
        let told = Workarounds::without_mitigation(midr, &ids);
        [told.targets, told.stores, told.history]
    }

    #[test]
    fn no_core_is_called_safe_that_is_not() {
        assert_eq!(told(0x410f_d083, 0), [Unknown; 3], "Cortex-A72");
        assert_eq!(told(0x413f_d0c1, 1), [NotNeeded, Unknown, Unknown], "N1");
        assert_eq!(told(0x410f_d034, 0), [NotNeeded; 3], "Cortex-A53");
        assert_eq!(told(0x411f_d461, 1), [NotNeeded, Unknown, NotNeeded]);
        // QEMU's `max`, and any other core that is not known.
        assert_eq!(told(0x000f_0510, 0), [Unknown; 3]);
        assert_eq!(told(0x000f_0510, 2), [NotNeeded, Unknown, Unknown]);
        assert_eq!(told(0x000f_0510, 3), [NotNeeded, Unknown, NotNeeded]);
    }

    #[test]
    fn the_worst_cpu_decides() {
        let all = [Unknown, Effective, NotNeeded];
        for (n, a) in all.into_iter().enumerate() {
            for (m, b) in all.into_iter().enumerate() {
                assert_eq!(a.and(b), all[n.min(m)], "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn the_firmware_is_believed_where_the_core_is_not_known_to_be_safe() {
        assert_eq!(NotNeeded.or(Unknown), NotNeeded);
        assert_eq!(NotNeeded.or(Effective), NotNeeded);
        assert_eq!(Unknown.or(Effective), Effective);
        assert_eq!(Unknown.or(NotNeeded), NotNeeded);
    }

    #[test]
    fn a_core_is_known_by_implementer_and_part() {
        let history = |midr| Core::from_midr(midr).map(|core| core.history);
        assert_eq!(history(0x410f_d083), Some(Exposure::Loop(8)));
        assert_eq!(history(0x413f_d0c1), Some(Exposure::Loop(24)));
        assert_eq!(history(0x510f_d083), None, "another maker's part");
        for core in CORES {
            let midr = u64::from(core.implementer) << 24 | u64::from(core.part) << 4;
            assert_eq!(Core::from_midr(midr), Some(core), "listed twice: {midr:#x}");
        }
    }
}
