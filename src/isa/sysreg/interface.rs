//! The virtual interrupt interface that a virtual EL2 has for its guests.

macro_rules! rows {
    ($rest:tt $use:ident [$($before:tt)*]) => {
        $crate::isa::sysreg::by_op2! { $rest $use [$($before)*
            /// Control.
            ICH_HCR_EL2   3 4 12 11 0 MemoryOnly _ EL2 0 0                     0 0x4c0 rw;
            /// What the interface can do.
            ICH_VTR_EL2   3 4 12 11 1 MemoryOnly _ EL2 0 0                     0 _     ro;
            /// Why there is a maintenance interrupt.
            ICH_MISR_EL2  3 4 12 11 2 MemoryOnly _ EL2 0 0                     0 _     ro;
            /// List registers whose interrupt ended and asked to be told.
            ICH_EISR_EL2  3 4 12 11 3 MemoryOnly _ EL2 0 0                     0 _     ro;
            /// List registers that hold no interrupt.
            ICH_ELRSR_EL2 3 4 12 11 5 MemoryOnly _ EL2 0 0                     0 _     ro;
            /// The guest's view of its CPU interface.
            ICH_VMCR_EL2  3 4 12 11 7 MemoryOnly _ EL2 0 0xffff_ffff_0000_0000 0 0x4c8 rw;
        ]
        "Active priorities, group 0." 3 4 12 8 * MemoryOnly _ EL2 0 0 0 0x480 rw:
            ICH_AP0R0_EL2 ICH_AP0R1_EL2 ICH_AP0R2_EL2 ICH_AP0R3_EL2;
        "Active priorities, group 1." 3 4 12 9 * MemoryOnly _ EL2 0 0 0 0x4a0 rw:
            ICH_AP1R0_EL2 ICH_AP1R1_EL2 ICH_AP1R2_EL2 ICH_AP1R3_EL2;
        "List register." 3 4 12 12 * MemoryOnly _ EL2 0 0x0700_e000_0000_0000 0 0x400 rw:
            ICH_LR0_EL2 ICH_LR1_EL2 ICH_LR2_EL2 ICH_LR3_EL2 ICH_LR4_EL2 ICH_LR5_EL2
            ICH_LR6_EL2 ICH_LR7_EL2;
        "List register." 3 4 12 13 * MemoryOnly _ EL2 0 0x0700_e000_0000_0000 0 0x440 rw:
            ICH_LR8_EL2 ICH_LR9_EL2 ICH_LR10_EL2 ICH_LR11_EL2 ICH_LR12_EL2 ICH_LR13_EL2
            ICH_LR14_EL2 ICH_LR15_EL2;
        }
    };
}
pub(crate) use rows;
