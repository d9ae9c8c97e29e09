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
            /// Breakpoint 0 value.
            DBGBVR0_EL1     2 0 0 0  4   MemoryOnly  _     _      0;
            /// Breakpoint 1 value.
            DBGBVR1_EL1     2 0 0 1  4   MemoryOnly  _     _      0;
            /// Breakpoint 2 value.
            DBGBVR2_EL1     2 0 0 2  4   MemoryOnly  _     _      0;
            /// Breakpoint 3 value.
            DBGBVR3_EL1     2 0 0 3  4   MemoryOnly  _     _      0;
            /// Breakpoint 4 value.
            DBGBVR4_EL1     2 0 0 4  4   MemoryOnly  _     _      0;
            /// Breakpoint 5 value.
            DBGBVR5_EL1     2 0 0 5  4   MemoryOnly  _     _      0;
            /// Breakpoint 6 value.
            DBGBVR6_EL1     2 0 0 6  4   MemoryOnly  _     _      0;
            /// Breakpoint 7 value.
            DBGBVR7_EL1     2 0 0 7  4   MemoryOnly  _     _      0;
            /// Breakpoint 8 value.
            DBGBVR8_EL1     2 0 0 8  4   MemoryOnly  _     _      0;
            /// Breakpoint 9 value.
            DBGBVR9_EL1     2 0 0 9  4   MemoryOnly  _     _      0;
            /// Breakpoint 10 value.
            DBGBVR10_EL1    2 0 0 10 4   MemoryOnly  _     _      0;
            /// Breakpoint 11 value.
            DBGBVR11_EL1    2 0 0 11 4   MemoryOnly  _     _      0;
            /// Breakpoint 12 value.
            DBGBVR12_EL1    2 0 0 12 4   MemoryOnly  _     _      0;
            /// Breakpoint 13 value.
            DBGBVR13_EL1    2 0 0 13 4   MemoryOnly  _     _      0;
            /// Breakpoint 14 value.
            DBGBVR14_EL1    2 0 0 14 4   MemoryOnly  _     _      0;
            /// Breakpoint 15 value.
            DBGBVR15_EL1    2 0 0 15 4   MemoryOnly  _     _      0;
            /// Breakpoint 0 control.
            DBGBCR0_EL1     2 0 0 0  5   MemoryOnly  _     _      0;
            /// Breakpoint 1 control.
            DBGBCR1_EL1     2 0 0 1  5   MemoryOnly  _     _      0;
            /// Breakpoint 2 control.
            DBGBCR2_EL1     2 0 0 2  5   MemoryOnly  _     _      0;
            /// Breakpoint 3 control.
            DBGBCR3_EL1     2 0 0 3  5   MemoryOnly  _     _      0;
            /// Breakpoint 4 control.
            DBGBCR4_EL1     2 0 0 4  5   MemoryOnly  _     _      0;
            /// Breakpoint 5 control.
            DBGBCR5_EL1     2 0 0 5  5   MemoryOnly  _     _      0;
            /// Breakpoint 6 control.
            DBGBCR6_EL1     2 0 0 6  5   MemoryOnly  _     _      0;
            /// Breakpoint 7 control.
            DBGBCR7_EL1     2 0 0 7  5   MemoryOnly  _     _      0;
            /// Breakpoint 8 control.
            DBGBCR8_EL1     2 0 0 8  5   MemoryOnly  _     _      0;
            /// Breakpoint 9 control.
            DBGBCR9_EL1     2 0 0 9  5   MemoryOnly  _     _      0;
            /// Breakpoint 10 control.
            DBGBCR10_EL1    2 0 0 10 5   MemoryOnly  _     _      0;
            /// Breakpoint 11 control.
            DBGBCR11_EL1    2 0 0 11 5   MemoryOnly  _     _      0;
            /// Breakpoint 12 control.
            DBGBCR12_EL1    2 0 0 12 5   MemoryOnly  _     _      0;
            /// Breakpoint 13 control.
            DBGBCR13_EL1    2 0 0 13 5   MemoryOnly  _     _      0;
            /// Breakpoint 14 control.
            DBGBCR14_EL1    2 0 0 14 5   MemoryOnly  _     _      0;
            /// Breakpoint 15 control.
            DBGBCR15_EL1    2 0 0 15 5   MemoryOnly  _     _      0;
            /// Watchpoint 0 value.
            DBGWVR0_EL1     2 0 0 0  6   MemoryOnly  _     _      0;
            /// Watchpoint 1 value.
            DBGWVR1_EL1     2 0 0 1  6   MemoryOnly  _     _      0;
            /// Watchpoint 2 value.
            DBGWVR2_EL1     2 0 0 2  6   MemoryOnly  _     _      0;
            /// Watchpoint 3 value.
            DBGWVR3_EL1     2 0 0 3  6   MemoryOnly  _     _      0;
            /// Watchpoint 4 value.
            DBGWVR4_EL1     2 0 0 4  6   MemoryOnly  _     _      0;
            /// Watchpoint 5 value.
            DBGWVR5_EL1     2 0 0 5  6   MemoryOnly  _     _      0;
            /// Watchpoint 6 value.
            DBGWVR6_EL1     2 0 0 6  6   MemoryOnly  _     _      0;
            /// Watchpoint 7 value.
            DBGWVR7_EL1     2 0 0 7  6   MemoryOnly  _     _      0;
            /// Watchpoint 8 value.
            DBGWVR8_EL1     2 0 0 8  6   MemoryOnly  _     _      0;
            /// Watchpoint 9 value.
            DBGWVR9_EL1     2 0 0 9  6   MemoryOnly  _     _      0;
            /// Watchpoint 10 value.
            DBGWVR10_EL1    2 0 0 10 6   MemoryOnly  _     _      0;
            /// Watchpoint 11 value.
            DBGWVR11_EL1    2 0 0 11 6   MemoryOnly  _     _      0;
            /// Watchpoint 12 value.
            DBGWVR12_EL1    2 0 0 12 6   MemoryOnly  _     _      0;
            /// Watchpoint 13 value.
            DBGWVR13_EL1    2 0 0 13 6   MemoryOnly  _     _      0;
            /// Watchpoint 14 value.
            DBGWVR14_EL1    2 0 0 14 6   MemoryOnly  _     _      0;
            /// Watchpoint 15 value.
            DBGWVR15_EL1    2 0 0 15 6   MemoryOnly  _     _      0;
            /// Watchpoint 0 control.
            DBGWCR0_EL1     2 0 0 0  7   MemoryOnly  _     _      0;
            /// Watchpoint 1 control.
            DBGWCR1_EL1     2 0 0 1  7   MemoryOnly  _     _      0;
            /// Watchpoint 2 control.
            DBGWCR2_EL1     2 0 0 2  7   MemoryOnly  _     _      0;
            /// Watchpoint 3 control.
            DBGWCR3_EL1     2 0 0 3  7   MemoryOnly  _     _      0;
            /// Watchpoint 4 control.
            DBGWCR4_EL1     2 0 0 4  7   MemoryOnly  _     _      0;
            /// Watchpoint 5 control.
            DBGWCR5_EL1     2 0 0 5  7   MemoryOnly  _     _      0;
            /// Watchpoint 6 control.
            DBGWCR6_EL1     2 0 0 6  7   MemoryOnly  _     _      0;
            /// Watchpoint 7 control.
            DBGWCR7_EL1     2 0 0 7  7   MemoryOnly  _     _      0;
            /// Watchpoint 8 control.
            DBGWCR8_EL1     2 0 0 8  7   MemoryOnly  _     _      0;
            /// Watchpoint 9 control.
            DBGWCR9_EL1     2 0 0 9  7   MemoryOnly  _     _      0;
            /// Watchpoint 10 control.
            DBGWCR10_EL1    2 0 0 10 7   MemoryOnly  _     _      0;
            /// Watchpoint 11 control.
            DBGWCR11_EL1    2 0 0 11 7   MemoryOnly  _     _      0;
            /// Watchpoint 12 control.
            DBGWCR12_EL1    2 0 0 12 7   MemoryOnly  _     _      0;
            /// Watchpoint 13 control.
            DBGWCR13_EL1    2 0 0 13 7   MemoryOnly  _     _      0;
            /// Watchpoint 14 control.
            DBGWCR14_EL1    2 0 0 14 7   MemoryOnly  _     _      0;
            /// Watchpoint 15 control.
            DBGWCR15_EL1    2 0 0 15 7   MemoryOnly  _     _      0;
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
