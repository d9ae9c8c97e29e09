//! Self-hosted debug. How many breakpoints and watchpoints there are, ID_AA64DFR0_EL1 says.

macro_rules! rows {
    ($rest:tt $use:ident [$($before:tt)*]) => {
        $crate::isa::sysreg::by_crm! { $rest $use [$($before)*
            /// Monitor debug control.
            MDSCR_EL1       2 0  0  2 2 DebugControl _ _ 0   0xfffb_fff0_1317_0fbe 0 0x158 rw;
            /// Debug communications channel interrupts.
            MDCCINT_EL1     2 0  0  2 0 LazyDebug    _ _ 0   0xffff_ffff_9fff_ffff 0 _     rw;
            /// OS lock: implemented (OSLM = 0b10) and locked at reset.
            OSLSR_EL1       2 0  1  1 4 MemoryOnly   _ _ 0xa 0xffff_ffff_ffff_fff0 0 _     rw;
            /// Claim tags; a write clears those that are one in it.
            DBGCLAIMCLR_EL1 2 0  7  9 6 MemoryOnly   _ _ 0   0xffff_ffff_ffff_ff00 0 _     rw;
        ]
        "Breakpoint value." 2 0 0 * 4 Breakpoint _ _ 0 0 0 _ rw:
            DBGBVR0_EL1 DBGBVR1_EL1 DBGBVR2_EL1 DBGBVR3_EL1 DBGBVR4_EL1 DBGBVR5_EL1
            DBGBVR6_EL1 DBGBVR7_EL1 DBGBVR8_EL1 DBGBVR9_EL1 DBGBVR10_EL1 DBGBVR11_EL1
            DBGBVR12_EL1 DBGBVR13_EL1 DBGBVR14_EL1 DBGBVR15_EL1;
        "Breakpoint control." 2 0 0 * 5 Breakpoint _ _ 0 0xffff_ffff_0000_0e18 0 _ rw:
            DBGBCR0_EL1 DBGBCR1_EL1 DBGBCR2_EL1 DBGBCR3_EL1 DBGBCR4_EL1 DBGBCR5_EL1
            DBGBCR6_EL1 DBGBCR7_EL1 DBGBCR8_EL1 DBGBCR9_EL1 DBGBCR10_EL1 DBGBCR11_EL1
            DBGBCR12_EL1 DBGBCR13_EL1 DBGBCR14_EL1 DBGBCR15_EL1;
        "Watchpoint value." 2 0 0 * 6 Watchpoint _ _ 0 0x3 0 _ rw:
            DBGWVR0_EL1 DBGWVR1_EL1 DBGWVR2_EL1 DBGWVR3_EL1 DBGWVR4_EL1 DBGWVR5_EL1
            DBGWVR6_EL1 DBGWVR7_EL1 DBGWVR8_EL1 DBGWVR9_EL1 DBGWVR10_EL1 DBGWVR11_EL1
            DBGWVR12_EL1 DBGWVR13_EL1 DBGWVR14_EL1 DBGWVR15_EL1;
        "Watchpoint control." 2 0 0 * 7 Watchpoint _ _ 0 0xffff_ffff_00c0_0000 0 _ rw:
            DBGWCR0_EL1 DBGWCR1_EL1 DBGWCR2_EL1 DBGWCR3_EL1 DBGWCR4_EL1 DBGWCR5_EL1
            DBGWCR6_EL1 DBGWCR7_EL1 DBGWCR8_EL1 DBGWCR9_EL1 DBGWCR10_EL1 DBGWCR11_EL1
            DBGWCR12_EL1 DBGWCR13_EL1 DBGWCR14_EL1 DBGWCR15_EL1;
        }
    };
}
pub(crate) use rows;
