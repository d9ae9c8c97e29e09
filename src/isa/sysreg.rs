//! **The table**: every system register of a guest is one row, here and nowhere else.
//!
//! From the rows come the enum, the names, the decoding of trapped accesses, the saved file with
//! its save and restore lists, the accessors, the `_EL12` aliases (`vm::sysregs`), the ids of the
//! register export (`vm::export`) and the tests. A row that is added is complete: there is no
//! second list to forget. The rows themselves are in the files below, a family each.
//!
//! # Columns
//!
//! | column | what it says |
//! |---|---|
//! | name | the architecture's; `RUN_` before it for the hypervisor's own control words |
//! | op0 op1 CRn CRm op2 | the encoding |
//! | class | when the register is moved: [`Class`] |
//! | alias | `el12` where EL2 reaches it by another name when HCR_EL2.E2H is set |
//! | feature | without which it does not exist: one, or several in brackets |
//! | reset | what a vCPU starts with |
//! | RES0, RES1 | bits that are so whatever the CPU has |
//! | slot | where FEAT_NV2 keeps it in the page at VNCR_EL2; `_` for in the vCPU's array alone |
//! | export | `rw`, `ro` or `_`; `[n]` and `{…}`: under another id, see [`Export`] |
//!
//! # Two HCR_EL2
//!
//! A guest that is a hypervisor has an HCR_EL2, and the hypervisor has one to run that guest with.
//! They are different registers and have different rows: [`SysReg::HCR_EL2`] is the guest's, memory
//! alone, found by the encoding of a trapped access; [`SysReg::RUN_HCR_EL2`] is what load writes to
//! the CPU's HCR_EL2, and no access of a guest ever reaches it. The same goes for VTTBR_EL2,
//! VTCR_EL2, CPTR_EL2, VPIDR_EL2, VMPIDR_EL2 and CNTVOFF_EL2.

pub(crate) mod aarch32;
pub(crate) mod control;
pub mod coproc;
pub(crate) mod debug;
pub(crate) mod el1;
pub(crate) mod el2;
pub(crate) mod interface;
pub(crate) mod pmu;
mod present;
mod rows;
pub(crate) mod timer;

pub use present::Present;
pub(crate) use rows::{by_crm, by_op2, next, sysreg_rows};

use super::{encoding::Encoding, features::Features};

/// When a register is moved between a CPU and a vCPU's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Saved at every exit, so that memory has it while EL2 runs. No row needs it so far: what an
    /// exit must save are general registers, and the assembly does that.
    Immediate,
    /// On the CPU from load to put; saved and restored only there.
    Deferred,
    /// As deferred, and loaded for guests whose EL1 is AArch32 only.
    Deferred32,
    /// As deferred; put also clears it on the CPU, since it acts without the vCPU: a timer's control.
    Timer,
    /// Memory is the truth: written to the CPU at load and when it changes, never read back.
    LoadOnly,
    /// Moved with the FP registers, when the guest first uses those.
    LazyFp,
    /// As deferred, but in memory while debug is kept from the guest: MDSCR_EL1.
    DebugControl,
    /// Moved with the breakpoints, when the guest first uses those.
    LazyDebug,
    /// One of the breakpoints' registers, of which CPUs have different numbers.
    Breakpoint,
    /// One of the watchpoints' registers, likewise.
    Watchpoint,
    /// Never on the CPU: accesses trap and find it here.
    MemoryOnly,
    /// Has no value of its own: computed from another register.
    View,
}

impl Class {
    /// Returns whether the register is ever on a CPU.
    pub const fn reaches_cpu(self) -> bool {
        !matches!(self, Self::Immediate | Self::MemoryOnly | Self::View)
    }
}

/// Under which id a register is exported (`vm::export`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Export {
    /// Not at all.
    No,
    /// Under its own encoding.
    Own,
    /// Under its own encoding, and can't be changed.
    ReadOnly,
    /// As a core register: this many 32-bit words into KVM's `struct kvm_regs`.
    Core(u16),
    /// Under the encoding of another register.
    As(Encoding),
}

/// What the table says of one register.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// Its encoding.
    pub encoding: Encoding,
    /// When it is moved.
    pub class: Class,
    /// Whether EL2 reaches it by its `_EL12` or `_EL02` name when HCR_EL2.E2H is set.
    pub aliased: bool,
    /// Features without which it does not exist.
    pub features: Features,
    /// What a vCPU starts with, and which bits are reserved.
    pub bits: &'static Bits,
    /// Where FEAT_NV2 keeps it in the page at VNCR_EL2: an offset in bytes.
    pub vncr: Option<u16>,
    /// How it is exported.
    pub export: Export,
}

/// What is known of a register's bits. Most rows have the same: nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bits {
    /// What a vCPU starts with.
    pub reset: u64,
    /// Bits that are zero on every CPU.
    pub res0: u64,
    /// Bits that are one on every CPU.
    pub res1: u64,
}

impl Info {
    /// Returns a value with its reserved bits as they must be.
    pub const fn settle(&self, value: u64) -> u64 {
        value & !self.bits.res0 | self.bits.res1
    }
}

/// What SCTLR_EL1 is at reset in AArch32, where other bits are RES1 (Arm ARM, G8.2.128 "SCTLR"):
/// SPAN, nTWE, nTWI, CP15BEN, LSMAOE, nTLSMD and those without a name.
const SCTLR_OF_AARCH32: u64 = 0x00c5_0838;

/// Whether a row's alias column says `el12`.
macro_rules! has_alias {
    (el12) => {
        true
    };
    (_) => {
        false
    };
}
pub(crate) use has_alias;

/// The features that a row's feature column names.
macro_rules! features_of {
    (_) => {
        $crate::isa::features::Features::NONE
    };
    ([$($feature:ident)*]) => {
        $crate::isa::features::Features::NONE
            $(.with($crate::isa::features::Features::$feature, true))*
    };
    ($feature:ident) => {
        $crate::isa::features::Features::$feature
    };
}

/// A row's place in the page at VNCR_EL2; `{base n}` is number n of a family.
macro_rules! slot {
    (_) => {
        None
    };
    ({_ $n:literal}) => {
        None
    };
    ({$base:literal $n:literal}) => {
        Some($base + 8 * $n)
    };
    ($offset:literal) => {
        Some($offset)
    };
}

/// A row's export column.
macro_rules! export {
    (_) => {
        Export::No
    };
    (rw) => {
        Export::Own
    };
    (ro) => {
        Export::ReadOnly
    };
    ([$words:literal]) => {
        Export::Core($words)
    };
    ({$op0:literal $op1:literal $crn:literal $crm:literal $op2:literal}) => {
        Export::As(Encoding::new($op0, $op1, $crn, $crm, $op2))
    };
}

/// Whether a row is one of the hypervisor's control words, as a pattern.
macro_rules! is_control {
    (LoadOnly) => {
        true
    };
    ($class:ident) => {
        false
    };
}

macro_rules! define {
    ($($(#[$doc:meta])* $name:ident
       $op0:literal $op1:literal $crn:literal $crm:literal $op2:literal
       $class:ident $alias:tt $when:tt $reset:literal $res0:literal $res1:literal
       $slot:tt $export:tt;)*) => {
        /// A register of the table; as a number, its place in a vCPU's saved file.
        #[expect(non_camel_case_types, reason = "the architecture's names")]
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u16)]
        pub enum SysReg { $($(#[$doc])* $name),* }

        /// How many registers the table holds.
        pub const COUNT: usize = [$(SysReg::$name),*].len();

        /// Every register, in order.
        pub const ALL: [SysReg; COUNT] = [$(SysReg::$name),*];

        /// Their names, in one: a slice for each would take more than the names do.
        const NAMES: &str = concat!($(stringify!($name), " "),*);

        /// The table itself, in the same order.
        pub static TABLE: [Info; COUNT] = [$(Info {
            encoding: Encoding::new($op0, $op1, $crn, $crm, $op2),
            class: Class::$class,
            aliased: has_alias!($alias),
            features: features_of!($when),
            bits: &Bits { reset: $reset, res0: $res0, res1: $res1 },
            vncr: slot!($slot),
            export: export!($export),
        }),*];

        impl SysReg {
            /// Finds the register behind a trapped access, which is never a control word of the
            /// hypervisor. Two rows of one encoding fail the build.
            pub const fn from_encoding(encoding: Encoding) -> Option<Self> {
                let Encoding { op0, op1, crn, crm, op2 } = encoding;
                #[deny(unreachable_patterns)]
                match (false, op0, op1, crn, crm, op2) {
                    $((is_control!($class), $op0, $op1, $crn, $crm, $op2) => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}
sysreg_rows!(define);

impl SysReg {
    /// Returns when the register is moved.
    #[inline(always)]
    pub const fn class(self) -> Class {
        TABLE[self as usize].class
    }

    /// Returns the features without which the register does not exist.
    #[inline(always)]
    pub const fn features(self) -> Features {
        TABLE[self as usize].features
    }

    /// Returns what a vCPU starts with whose EL1 is AArch32, or AArch64.
    pub const fn reset(self, aarch32: bool) -> u64 {
        match self {
            Self::SCTLR_EL1 if aarch32 => SCTLR_OF_AARCH32,
            _ => TABLE[self as usize].bits.reset,
        }
    }

    /// Returns the architecture's name.
    pub fn name(self) -> &'static str {
        NAMES.split(' ').nth(self as usize).unwrap_or_default()
    }

    /// Returns what the table says of the register.
    pub fn info(self) -> &'static Info {
        &TABLE[self as usize]
    }
}

#[cfg(test)]
mod tests;
