//! The performance monitors. Hidden from guests so far, and trapped.

macro_rules! rows {
    ($rest:tt $use:ident [$($before:tt)*]) => {
        $crate::isa::sysreg::by_op2! { $rest $use [$($before)*
            /// Control.
            PMCR_EL0       3 3  9 12 0 MemoryOnly _ PMU 0 0xffff_fffe_0000_0000 0 _ rw;
            /// Counters enabled.
            PMCNTENSET_EL0 3 3  9 12 1 MemoryOnly _ PMU 0 0xffff_fffe_0000_0000 0 _ rw;
            /// The same, to clear.
            PMCNTENCLR_EL0 3 3  9 12 2 View       _ PMU 0 0                     0 _ _;
            /// Counters that overflowed, to clear.
            PMOVSCLR_EL0   3 3  9 12 3 View       _ PMU 0 0                     0 _ _;
            /// Counters that overflowed.
            PMOVSSET_EL0   3 3  9 14 3 MemoryOnly _ PMU 0 0xffff_fffe_0000_0000 0 _ rw;
            /// Counter selection.
            PMSELR_EL0     3 3  9 12 5 MemoryOnly _ PMU 0 0xffff_ffff_ffff_ffe0 0 _ rw;
            /// Cycle counter.
            PMCCNTR_EL0    3 3  9 13 0 MemoryOnly _ PMU 0 0                     0 _ rw;
            /// Filter of the cycle counter.
            PMCCFILTR_EL0  3 3 14 15 7 MemoryOnly _ PMU 0 0                     0 _ rw;
            /// What EL0 may use.
            PMUSERENR_EL0  3 3  9 14 0 MemoryOnly _ PMU 0 0xffff_ffff_ffff_ff80 0 _ rw;
            /// Overflow interrupts enabled.
            PMINTENSET_EL1 3 0  9 14 1 MemoryOnly _ PMU 0 0xffff_fffe_0000_0000 0 _ rw;
            /// The same, to clear.
            PMINTENCLR_EL1 3 0  9 14 2 View       _ PMU 0 0                     0 _ _;
        ]
        "Event counter." 3 3 14 8 * MemoryOnly _ PMU 0 0 0 _ rw:
            PMEVCNTR0_EL0 PMEVCNTR1_EL0 PMEVCNTR2_EL0 PMEVCNTR3_EL0 PMEVCNTR4_EL0
            PMEVCNTR5_EL0 PMEVCNTR6_EL0 PMEVCNTR7_EL0;
        "Event counter." 3 3 14 9 * MemoryOnly _ PMU 0 0 0 _ rw:
            PMEVCNTR8_EL0 PMEVCNTR9_EL0 PMEVCNTR10_EL0 PMEVCNTR11_EL0 PMEVCNTR12_EL0
            PMEVCNTR13_EL0 PMEVCNTR14_EL0 PMEVCNTR15_EL0;
        "Event counter." 3 3 14 10 * MemoryOnly _ PMU 0 0 0 _ rw:
            PMEVCNTR16_EL0 PMEVCNTR17_EL0 PMEVCNTR18_EL0 PMEVCNTR19_EL0 PMEVCNTR20_EL0
            PMEVCNTR21_EL0 PMEVCNTR22_EL0 PMEVCNTR23_EL0;
        "Event counter." 3 3 14 11 * MemoryOnly _ PMU 0 0 0 _ rw:
            PMEVCNTR24_EL0 PMEVCNTR25_EL0 PMEVCNTR26_EL0 PMEVCNTR27_EL0 PMEVCNTR28_EL0
            PMEVCNTR29_EL0 PMEVCNTR30_EL0;
        "What an event counter counts." 3 3 14 12 * MemoryOnly _ PMU 0 0 0 _ rw:
            PMEVTYPER0_EL0 PMEVTYPER1_EL0 PMEVTYPER2_EL0 PMEVTYPER3_EL0 PMEVTYPER4_EL0
            PMEVTYPER5_EL0 PMEVTYPER6_EL0 PMEVTYPER7_EL0;
        "What an event counter counts." 3 3 14 13 * MemoryOnly _ PMU 0 0 0 _ rw:
            PMEVTYPER8_EL0 PMEVTYPER9_EL0 PMEVTYPER10_EL0 PMEVTYPER11_EL0 PMEVTYPER12_EL0
            PMEVTYPER13_EL0 PMEVTYPER14_EL0 PMEVTYPER15_EL0;
        "What an event counter counts." 3 3 14 14 * MemoryOnly _ PMU 0 0 0 _ rw:
            PMEVTYPER16_EL0 PMEVTYPER17_EL0 PMEVTYPER18_EL0 PMEVTYPER19_EL0
            PMEVTYPER20_EL0 PMEVTYPER21_EL0 PMEVTYPER22_EL0 PMEVTYPER23_EL0;
        "What an event counter counts." 3 3 14 15 * MemoryOnly _ PMU 0 0 0 _ rw:
            PMEVTYPER24_EL0 PMEVTYPER25_EL0 PMEVTYPER26_EL0 PMEVTYPER27_EL0
            PMEVTYPER28_EL0 PMEVTYPER29_EL0 PMEVTYPER30_EL0;
        }
    };
}
pub(crate) use rows;
