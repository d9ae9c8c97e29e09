//! EL1 and EL0: what every guest has. The registers of a virtual EL2 that have a twin at EL1 for the
//! state of an exception stand beside it.

macro_rules! rows {
    ($rest:tt $use:ident [$($before:tt)*]) => {
        $crate::isa::sysreg::next! { $rest $use [$($before)*
            /// Cache size selection.
            CSSELR_EL1     3 2  0  0 0 Deferred   _    _      0           0xffff_ffff_ffff_ffe0 0 _     rw;
            /// System control; the reset value holds what is RES1 in Armv8.0, MMU and caches off.
            SCTLR_EL1      3 0  1  0 0 Deferred   el12 _      0x30d0_0800 0x2_0000              0 0x110 rw;
            /// Auxiliary control: implementation defined, so trapped and kept from the CPU.
            ACTLR_EL1      3 0  1  0 1 MemoryOnly _    _      0           0                     0 0x118 rw;
            /// Feature access control.
            CPACR_EL1      3 0  1  0 2 Deferred   el12 _      0           0xffff_ffff_0ccc_ffff 0 0x100 rw;
            /// System control, second register.
            SCTLR2_EL1     3 0  1  0 3 Deferred   el12 SCTLR2 0           0                     0 0x278 rw;
            /// Translation table base, lower half.
            TTBR0_EL1      3 0  2  0 0 Deferred   el12 _      0           0                     0 0x200 rw;
            /// Translation table base, upper half.
            TTBR1_EL1      3 0  2  0 1 Deferred   el12 _      0           0                     0 0x210 rw;
            /// Translation control.
            TCR_EL1        3 0  2  0 2 Deferred   el12 _      0           0xc000_0008_0000_0040 0 0x120 rw;
            /// Translation control, second register.
            TCR2_EL1       3 0  2  0 3 Deferred   el12 TCR2   0           0                     0 0x270 rw;
            /// Pointer authentication, instruction key A, low half.
            APIAKEYLO_EL1  3 0  2  1 0 Deferred   _    PAUTH  0           0                     0 _     rw;
            /// Its high half.
            APIAKEYHI_EL1  3 0  2  1 1 Deferred   _    PAUTH  0           0                     0 _     rw;
            /// Instruction key B, low half.
            APIBKEYLO_EL1  3 0  2  1 2 Deferred   _    PAUTH  0           0                     0 _     rw;
            /// Its high half.
            APIBKEYHI_EL1  3 0  2  1 3 Deferred   _    PAUTH  0           0                     0 _     rw;
            /// Data key A, low half.
            APDAKEYLO_EL1  3 0  2  2 0 Deferred   _    PAUTH  0           0                     0 _     rw;
            /// Its high half.
            APDAKEYHI_EL1  3 0  2  2 1 Deferred   _    PAUTH  0           0                     0 _     rw;
            /// Data key B, low half.
            APDBKEYLO_EL1  3 0  2  2 2 Deferred   _    PAUTH  0           0                     0 _     rw;
            /// Its high half.
            APDBKEYHI_EL1  3 0  2  2 3 Deferred   _    PAUTH  0           0                     0 _     rw;
            /// Generic key, low half.
            APGAKEYLO_EL1  3 0  2  3 0 Deferred   _    PAUTH  0           0                     0 _     rw;
            /// Its high half.
            APGAKEYHI_EL1  3 0  2  3 1 Deferred   _    PAUTH  0           0                     0 _     rw;
            /// Saved program status of EL1.
            SPSR_EL1       3 0  4  0 0 Deferred   el12 _      0           0xffff_ffe0_0000_0000 0 0x160 [72];
            /// Saved program status of a virtual EL2.
            SPSR_EL2       3 4  4  0 0 MemoryOnly _    EL2    0           0xffff_ffe0_0000_0000 0 _     rw;
            /// Exception link of EL1.
            ELR_EL1        3 0  4  0 1 Deferred   el12 _      0           0                     0 0x230 [70];
            /// Exception link of a virtual EL2.
            ELR_EL2        3 4  4  0 1 MemoryOnly _    EL2    0           0                     0 _     rw;
            /// Stack pointer of EL0.
            SP_EL0         3 0  4  1 0 Deferred   _    _      0           0                     0 _     [62];
            /// Stack pointer of EL1.
            SP_EL1         3 4  4  1 0 Deferred   _    _      0           0                     0 0x240 [68];
            /// Stack pointer of a virtual EL2.
            SP_EL2         3 6  4  1 0 MemoryOnly _    EL2    0           0                     0 _     rw;
            /// Auxiliary fault status 0.
            AFSR0_EL1      3 0  5  1 0 Deferred   el12 _      0           0                     0 0x128 rw;
            /// Auxiliary fault status 1.
            AFSR1_EL1      3 0  5  1 1 Deferred   el12 _      0           0                     0 0x130 rw;
            /// Syndrome.
            ESR_EL1        3 0  5  2 0 Deferred   el12 _      0           0xff00_0000_0000_0000 0 0x138 rw;
            /// Fault address.
            FAR_EL1        3 0  6  0 0 Deferred   el12 _      0           0                     0 0x220 rw;
            /// Result of an address translation instruction.
            PAR_EL1        3 0  7  4 0 Deferred   _    _      0           0                     0 _     rw;
            /// Memory attributes.
            MAIR_EL1       3 0 10  2 0 Deferred   el12 _      0           0                     0 0x140 rw;
            /// Permission indirection, EL0.
            PIRE0_EL1      3 0 10  2 2 Deferred   el12 S1PIE  0           0                     0 0x290 rw;
            /// Permission indirection, EL1.
            PIR_EL1        3 0 10  2 3 Deferred   el12 S1PIE  0           0                     0 0x2a0 rw;
            /// Permission overlay, EL1.
            POR_EL1        3 0 10  2 4 Deferred   el12 S1POE  0           0                     0 0x2a8 rw;
            /// Permission overlay, EL0.
            POR_EL0        3 3 10  2 4 Deferred   _    S1POE  0           0                     0 _     rw;
            /// Auxiliary memory attributes.
            AMAIR_EL1      3 0 10  3 0 Deferred   el12 _      0           0                     0 0x148 rw;
            /// Vector base.
            VBAR_EL1       3 0 12  0 0 Deferred   el12 _      0           0x7ff                 0 0x250 rw;
            /// Context identifier.
            CONTEXTIDR_EL1 3 0 13  0 1 Deferred   el12 _      0           0xffff_ffff_0000_0000 0 0x108 rw;
            /// Thread pointer of EL1.
            TPIDR_EL1      3 0 13  0 4 Deferred   _    _      0           0                     0 _     rw;
            /// Thread pointer of EL0.
            TPIDR_EL0      3 3 13  0 2 Deferred   _    _      0           0                     0 _     rw;
            /// Thread pointer of EL0, read-only there.
            TPIDRRO_EL0    3 3 13  0 3 Deferred   _    _      0           0                     0 _     rw;
            /// What of the timers EL0 may use.
            CNTKCTL_EL1    3 0 14  1 0 Deferred   el12 _      0           0xffff_ffff_fff1_fc00 0 _     rw;
            /// Deferred SError syndrome, as a guest whose SErrors go to EL2 finds it in DISR_EL1.
            VDISR_EL2      3 4 12  1 1 Deferred   _    RAS    0           0xffff_ffff_7e00_0000 0 0x500 rw;
            /// Syndrome of an injected SError.
            VSESR_EL2      3 4  5  2 3 Deferred   _    RAS    0           0xffff_ffff_fe00_0000 0 0x508 rw;
            /// The same as VDISR_EL2 by the name that the guest uses.
            DISR_EL1       3 0 12  1 1 View       _    RAS    0           0                     0 _     _;
        ] }
    };
}
pub(crate) use rows;
