//! What the hypervisor itself puts into EL2's registers to run a vCPU.
//!
//! These control words have names of their own, `RUN_` and the register's: the register of that name
//! alone belongs to the guest, if it has a virtual EL2 (`el2`). No trapped access is ever decoded to
//! one of them.

macro_rules! rows {
    ($rest:tt $use:ident [$($before:tt)*]) => {
        $crate::isa::sysreg::next! { $rest $use [$($before)*
            /// What MIDR_EL1 reads as.
            RUN_VPIDR_EL2   3 4  0  0 0 LoadOnly _ _ 0           0 0           _ {3 0 0 0 0};
            /// What MPIDR_EL1 reads as.
            RUN_VMPIDR_EL2  3 4  0  0 5 LoadOnly _ _ 0x8000_0000 0 0x8000_0000 _ {3 0 0 0 5};
            /// What is trapped, and how the guest translates.
            RUN_HCR_EL2     3 4  1  1 0 LoadOnly _ _ 0           0 0           _ _;
            /// What of FP, SIMD, SVE, SME and trace is trapped.
            RUN_CPTR_EL2    3 4  1  1 2 LoadOnly _ _ 0           0 0           _ _;
            /// Stage 2 translation table base and VMID.
            RUN_VTTBR_EL2   3 4  2  1 0 LoadOnly _ _ 0           0 0           _ _;
            /// Stage 2 translation control.
            RUN_VTCR_EL2    3 4  2  1 2 LoadOnly _ _ 0           0 0           _ _;
            /// How far the virtual count lags behind the physical count.
            RUN_CNTVOFF_EL2 3 4 14  0 3 LoadOnly _ _ 0           0 0           _ _;
        ] }
    };
}
pub(crate) use rows;
