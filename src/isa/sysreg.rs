//! **The table**: every system register of a guest is one row, here and nowhere else.
//!
//! From the rows come the enum, the names, the decoding of trapped accesses, the saved file with
//! its save and restore lists, the accessors and the `_EL12` aliases (`vm::sysregs`). A row that
//! is added is complete: there is no second list to forget.
//!
//! Columns: name, op0, op1, CRn, CRm, op2, class, alias (`el12` where EL2 reaches the register by
//! another name when HCR_EL2.E2H is set), feature without which it does not exist, reset value.

use super::encoding::Encoding;

/// When a register is moved between a CPU and a vCPU's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// On the CPU from load to put; saved and restored only there.
    Deferred,
    /// As deferred; put also clears it on the CPU, since it acts without the vCPU: a timer's control.
    Timer,
    /// Memory is the truth: written to the CPU at load and when it changes, never read back.
    LoadOnly,
    /// Never on the CPU: accesses trap and find it here.
    MemoryOnly,
}

/// What the table says of one register.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// Its architectural name.
    pub name: &'static str,
    /// Its encoding.
    pub encoding: Encoding,
    /// When it is moved.
    pub class: Class,
    /// Whether EL2 reaches it by its `_EL12` or `_EL02` name when HCR_EL2.E2H is set.
    pub aliased: bool,
    /// What a vCPU starts with.
    pub reset: u64,
}

/// Hands every row to the macro `$use`.
macro_rules! sysreg_rows {
    ($use:ident) => {
        $use! {
            /// Cache size selection.
            CSSELR_EL1      3 2 0 0 0    Deferred    _     _      0;
            /// System control; the reset value holds what is RES1 in Armv8.0, MMU and caches off.
            SCTLR_EL1       3 0 1 0 0    Deferred    el12  _      0x30d0_0800;
            /// Auxiliary control: implementation defined, so trapped and kept from the CPU.
            ACTLR_EL1       3 0 1 0 1    MemoryOnly  _     _      0;
            /// Feature access control.
            CPACR_EL1       3 0 1 0 2    Deferred    el12  _      0;
            /// Translation table base, lower half.
            TTBR0_EL1       3 0 2 0 0    Deferred    el12  _      0;
            /// Translation table base, upper half.
            TTBR1_EL1       3 0 2 0 1    Deferred    el12  _      0;
            /// Translation control.
            TCR_EL1         3 0 2 0 2    Deferred    el12  _      0;
            /// Pointer authentication, instruction key A, low half.
            APIAKEYLO_EL1   3 0 2 1 0    Deferred    _     PAUTH  0;
            /// Its high half.
            APIAKEYHI_EL1   3 0 2 1 1    Deferred    _     PAUTH  0;
            /// Instruction key B, low half.
            APIBKEYLO_EL1   3 0 2 1 2    Deferred    _     PAUTH  0;
            /// Its high half.
            APIBKEYHI_EL1   3 0 2 1 3    Deferred    _     PAUTH  0;
            /// Data key A, low half.
            APDAKEYLO_EL1   3 0 2 2 0    Deferred    _     PAUTH  0;
            /// Its high half.
            APDAKEYHI_EL1   3 0 2 2 1    Deferred    _     PAUTH  0;
            /// Data key B, low half.
            APDBKEYLO_EL1   3 0 2 2 2    Deferred    _     PAUTH  0;
            /// Its high half.
            APDBKEYHI_EL1   3 0 2 2 3    Deferred    _     PAUTH  0;
            /// Generic key, low half.
            APGAKEYLO_EL1   3 0 2 3 0    Deferred    _     PAUTH  0;
            /// Its high half.
            APGAKEYHI_EL1   3 0 2 3 1    Deferred    _     PAUTH  0;
            /// Saved program status of EL1.
            SPSR_EL1        3 0 4 0 0    Deferred    el12  _      0;
            /// Exception link of EL1.
            ELR_EL1         3 0 4 0 1    Deferred    el12  _      0;
            /// Stack pointer of EL0.
            SP_EL0          3 0 4 1 0    Deferred    _     _      0;
            /// Stack pointer of EL1.
            SP_EL1          3 4 4 1 0    Deferred    _     _      0;
            /// Auxiliary fault status 0.
            AFSR0_EL1       3 0 5 1 0    Deferred    el12  _      0;
            /// Auxiliary fault status 1.
            AFSR1_EL1       3 0 5 1 1    Deferred    el12  _      0;
            /// Syndrome.
            ESR_EL1         3 0 5 2 0    Deferred    el12  _      0;
            /// Fault address.
            FAR_EL1         3 0 6 0 0    Deferred    el12  _      0;
            /// Result of an address translation instruction.
            PAR_EL1         3 0 7 4 0    Deferred    _     _      0;
            /// Memory attributes.
            MAIR_EL1        3 0 10 2 0   Deferred    el12  _      0;
            /// Auxiliary memory attributes.
            AMAIR_EL1       3 0 10 3 0   Deferred    el12  _      0;
            /// Vector base.
            VBAR_EL1        3 0 12 0 0   Deferred    el12  _      0;
            /// Context identifier.
            CONTEXTIDR_EL1  3 0 13 0 1   Deferred    el12  _      0;
            /// Thread pointer of EL1.
            TPIDR_EL1       3 0 13 0 4   Deferred    _     _      0;
            /// Thread pointer of EL0.
            TPIDR_EL0       3 3 13 0 2   Deferred    _     _      0;
            /// Thread pointer of EL0, read-only there.
            TPIDRRO_EL0     3 3 13 0 3   Deferred    _     _      0;
            /// What of the timers EL0 may use.
            CNTKCTL_EL1     3 0 14 1 0   Deferred    el12  _      0;
            /// Deferred SError syndrome: what DISR_EL1 means to a guest whose SErrors go to EL2.
            VDISR_EL2       3 4 12 1 1   Deferred    _     RAS    0;
            /// Syndrome of an injected SError.
            VSESR_EL2       3 4 5 2 3    Deferred    _     RAS    0;

            /// Compare value of the virtual timer.
            CNTV_CVAL_EL0   3 3 14 3 2   Deferred    el12  _      0;
            /// Control of the virtual timer.
            CNTV_CTL_EL0    3 3 14 3 1   Timer       el12  _      0;
            /// Compare value of the physical timer.
            CNTP_CVAL_EL0   3 3 14 2 2   Deferred    el12  _      0;
            /// Control of the physical timer.
            CNTP_CTL_EL0    3 3 14 2 1   Timer       el12  _      0;

            /// What MIDR_EL1 reads as.
            VPIDR_EL2       3 4 0 0 0    LoadOnly    _     _      0;
            /// What MPIDR_EL1 reads as.
            VMPIDR_EL2      3 4 0 0 5    LoadOnly    _     _      0x8000_0000;
            /// What is trapped, and how the guest translates.
            HCR_EL2         3 4 1 1 0    LoadOnly    _     _      0;
            /// What of FP, SIMD, SVE, SME and trace is trapped.
            CPTR_EL2        3 4 1 1 2    LoadOnly    _     _      0;
            /// Stage 2 translation table base and VMID.
            VTTBR_EL2       3 4 2 1 0    LoadOnly    _     _      0;
            /// Stage 2 translation control.
            VTCR_EL2        3 4 2 1 2    LoadOnly    _     _      0;
            /// How far the virtual count lags behind the physical count.
            CNTVOFF_EL2     3 4 14 0 3   LoadOnly    _     _      0;

            /// Monitor debug control.
            MDSCR_EL1       2 0 0 2 2    MemoryOnly  _     _      0;
            /// Debug communications channel interrupts.
            MDCCINT_EL1     2 0 0 2 0    MemoryOnly  _     _      0;
            /// OS lock: implemented (OSLM = 0b10) and locked at reset.
            OSLSR_EL1       2 0 1 1 4    MemoryOnly  _     _      0xa;
        }
    };
}
pub(crate) use sysreg_rows;

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

/// Whether a CPU with these [`Features`](super::features::Features) has a row's register.
macro_rules! present {
    ($features:expr, _) => {
        true
    };
    ($features:expr, $feature:ident) => {
        $features.has($crate::isa::features::Features::$feature)
    };
}
pub(crate) use present;

macro_rules! define {
    ($($(#[$doc:meta])* $name:ident
       $op0:literal $op1:literal $crn:literal $crm:literal $op2:literal
       $class:ident $alias:tt $when:tt $reset:literal;)*) => {
        /// A register of the table; as a number, its place in a vCPU's saved file.
        #[expect(non_camel_case_types, reason = "the architecture's names")]
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u16)]
        pub enum SysReg { $($(#[$doc])* $name),* }

        /// How many registers the table holds.
        pub const COUNT: usize = [$(SysReg::$name),*].len();

        /// Every register, in order.
        pub const ALL: [SysReg; COUNT] = [$(SysReg::$name),*];

        /// The table itself, in the same order.
        pub static TABLE: [Info; COUNT] = [$(Info {
            name: stringify!($name),
            encoding: Encoding::new($op0, $op1, $crn, $crm, $op2),
            class: Class::$class,
            aliased: has_alias!($alias),
            reset: $reset,
        }),*];

        impl SysReg {
            /// Finds the register behind a trapped access. Two rows of one encoding fail the build.
            pub const fn from_encoding(encoding: Encoding) -> Option<Self> {
                #[deny(unreachable_patterns)]
                match (encoding.op0, encoding.op1, encoding.crn, encoding.crm, encoding.op2) {
                    $(($op0, $op1, $crn, $crm, $op2) => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Returns when the register is moved.
            #[inline(always)]
            pub const fn class(self) -> Class {
                match self { $(Self::$name => Class::$class),* }
            }

            /// Returns what the table says of the register.
            pub fn info(self) -> &'static Info {
                &TABLE[self as usize]
            }
        }
    };
}
sysreg_rows!(define);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_encoding() {
        for reg in ALL {
            let encoding = reg.info().encoding;
            assert_eq!(SysReg::from_encoding(encoding), Some(reg));
            assert_eq!(reg.class(), reg.info().class);
        }
    }

    #[test]
    fn an_alias_is_of_el1_or_el0_and_never_another_row() {
        for reg in ALL.into_iter().filter(|reg| reg.info().aliased) {
            let info = reg.info();
            assert!(matches!(info.encoding.op1, 0 | 3), "{}", info.name);
            assert_eq!(SysReg::from_encoding(info.encoding.vhe_alias()), None);
        }
    }
}
