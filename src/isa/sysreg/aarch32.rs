//! What only a guest whose EL1 is AArch32 has.

macro_rules! rows {
    ($rest:tt $use:ident [$($before:tt)*]) => {
        $crate::isa::sysreg::next! { $rest $use [$($before)*
            /// Domain access control.
            DACR32_EL2   3 4  3  0 0 Deferred32 _ AARCH32_EL1 0           0xffff_ffff_0000_0000 0 _ rw;
            /// Instruction fault status.
            IFSR32_EL2   3 4  5  0 1 Deferred32 _ AARCH32_EL1 0           0xffff_ffff_0000_0000 0 _ rw;
            /// Vector catch.
            DBGVCR32_EL2 2 4  0  7 0 LazyDebug  _ AARCH32_EL1 0           0xffff_ffff_0000_0000 0 _ rw;
            /// Saved program status of Abort mode.
            SPSR_abt     3 4  4  3 1 Deferred32 _ AARCH32_EL1 0           0xffff_ffff_0000_0000 0 _ [74];
            /// Saved program status of Undefined mode.
            SPSR_und     3 4  4  3 2 Deferred32 _ AARCH32_EL1 0           0xffff_ffff_0000_0000 0 _ [76];
            /// Saved program status of IRQ mode.
            SPSR_irq     3 4  4  3 0 Deferred32 _ AARCH32_EL1 0           0xffff_ffff_0000_0000 0 _ [78];
            /// Saved program status of FIQ mode.
            SPSR_fiq     3 4  4  3 3 Deferred32 _ AARCH32_EL1 0           0xffff_ffff_0000_0000 0 _ [80];
            /// FP exception control. Off at reset; VECITR is RES1.
            FPEXC32_EL2  3 4  5  3 0 LazyFp     _ AARCH32_EL1 0x700       0xffff_ffff_0000_0000 0 _ rw;
        ] }
    };
}
pub(crate) use rows;
