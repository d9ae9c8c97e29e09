//! A virtual EL2: the execution context of a guest that is a hypervisor itself. Its registers are never
//! on the CPU under their own names; accesses trap or, with FEAT_NV2, go to memory.

macro_rules! rows {
    ($rest:tt $use:ident [$($before:tt)*]) => {
        $crate::isa::sysreg::next! { $rest $use [$($before)*
            /// What MIDR_EL1 reads as.
            VPIDR_EL2      3 4  0  0 0 MemoryOnly _ EL2           0           0xffff_ffff_0000_0000 0           0x88  rw;
            /// What MPIDR_EL1 reads as.
            VMPIDR_EL2     3 4  0  0 5 MemoryOnly _ EL2           0           0xffff_ff00_3e00_0000 0x8000_0000 0x50  rw;
            /// System control, EL2; the reset value holds what is RES1 with E2H clear.
            SCTLR_EL2      3 4  1  0 0 MemoryOnly _ EL2           0x30c5_0830 0                     0           _     rw;
            /// Auxiliary control.
            ACTLR_EL2      3 4  1  0 1 MemoryOnly _ EL2           0           0                     0           _     rw;
            /// System control, second register.
            SCTLR2_EL2     3 4  1  0 3 MemoryOnly _ [EL2 SCTLR2]  0           0                     0           _     rw;
            /// Hypervisor configuration.
            HCR_EL2        3 4  1  1 0 MemoryOnly _ EL2           0           0                     0           0x78  rw;
            /// Debug and PMU traps.
            MDCR_EL2       3 4  1  1 1 MemoryOnly _ EL2           0           0                     0           _     rw;
            /// FP, SIMD, SVE, SME and trace traps.
            CPTR_EL2       3 4  1  1 2 MemoryOnly _ EL2           0           0                     0           _     rw;
            /// AArch32 system register traps.
            HSTR_EL2       3 4  1  1 3 MemoryOnly _ EL2           0           0xffff_ffff_ffff_4010 0           0x80  rw;
            /// Fine-grained read traps.
            HFGRTR_EL2     3 4  1  1 4 MemoryOnly _ [EL2 FGT]     0           0                     0           0x1b8 rw;
            /// Fine-grained write traps.
            HFGWTR_EL2     3 4  1  1 5 MemoryOnly _ [EL2 FGT]     0           0                     0           0x1c0 rw;
            /// Fine-grained instruction traps.
            HFGITR_EL2     3 4  1  1 6 MemoryOnly _ [EL2 FGT]     0           0                     0           0x1c8 rw;
            /// Auxiliary configuration.
            HACR_EL2       3 4  1  1 7 MemoryOnly _ EL2           0           0                     0           _     rw;
            /// SVE vector length.
            ZCR_EL2        3 4  1  2 0 MemoryOnly _ [EL2 SVE]     0           0xffff_ffff_ffff_fe00 0           _     rw;
            /// Hypervisor configuration, extended.
            HCRX_EL2       3 4  1  2 2 MemoryOnly _ [EL2 HCX]     0           0                     0           0xa0  rw;
            /// Translation table base; lower half with E2H.
            TTBR0_EL2      3 4  2  0 0 MemoryOnly _ EL2           0           0                     0           _     rw;
            /// Translation table base, upper half.
            TTBR1_EL2      3 4  2  0 1 MemoryOnly _ [EL2 VHE]     0           0                     0           _     rw;
            /// Translation control.
            TCR_EL2        3 4  2  0 2 MemoryOnly _ EL2           0           0                     0           _     rw;
            /// Translation control, second register.
            TCR2_EL2       3 4  2  0 3 MemoryOnly _ [EL2 TCR2]    0           0                     0           _     rw;
            /// Stage 2 translation table base and VMID.
            VTTBR_EL2      3 4  2  1 0 MemoryOnly _ EL2           0           0                     0           0x20  rw;
            /// Stage 2 translation control.
            VTCR_EL2       3 4  2  1 2 MemoryOnly _ EL2           0           0                     0x8000_0000 0x40  rw;
            /// Base of the page that redirected registers are in.
            VNCR_EL2       3 4  2  2 0 MemoryOnly _ [EL2 NV2]     0           0xfff                 0           0xb0  rw;
            /// Fine-grained debug read traps, second register.
            HDFGRTR2_EL2   3 4  3  1 0 MemoryOnly _ [EL2 FGT2]    0           0                     0           0x1a0 rw;
            /// Fine-grained debug write traps, second register.
            HDFGWTR2_EL2   3 4  3  1 1 MemoryOnly _ [EL2 FGT2]    0           0                     0           0x1b0 rw;
            /// Fine-grained read traps, second register.
            HFGRTR2_EL2    3 4  3  1 2 MemoryOnly _ [EL2 FGT2]    0           0                     0           0x2c0 rw;
            /// Fine-grained write traps, second register.
            HFGWTR2_EL2    3 4  3  1 3 MemoryOnly _ [EL2 FGT2]    0           0                     0           0x2c8 rw;
            /// Fine-grained debug read traps.
            HDFGRTR_EL2    3 4  3  1 4 MemoryOnly _ [EL2 FGT]     0           0                     0           0x1d0 rw;
            /// Fine-grained debug write traps.
            HDFGWTR_EL2    3 4  3  1 5 MemoryOnly _ [EL2 FGT]     0           0                     0           0x1d8 rw;
            /// Fine-grained activity monitor traps.
            HAFGRTR_EL2    3 4  3  1 6 MemoryOnly _ [EL2 FGT AMU] 0           0                     0           0x1e8 rw;
            /// Fine-grained instruction traps, second register.
            HFGITR2_EL2    3 4  3  1 7 MemoryOnly _ [EL2 FGT2]    0           0                     0           0x310 rw;
            /// Auxiliary fault status 0.
            AFSR0_EL2      3 4  5  1 0 MemoryOnly _ EL2           0           0                     0           _     rw;
            /// Auxiliary fault status 1.
            AFSR1_EL2      3 4  5  1 1 MemoryOnly _ EL2           0           0                     0           _     rw;
            /// Syndrome.
            ESR_EL2        3 4  5  2 0 MemoryOnly _ EL2           0           0xff00_0000_0000_0000 0           _     rw;
            /// Fault address.
            FAR_EL2        3 4  6  0 0 MemoryOnly _ EL2           0           0                     0           _     rw;
            /// Faulting intermediate physical address.
            HPFAR_EL2      3 4  6  0 4 MemoryOnly _ EL2           0           0x7fff_0000_0000_000f 0           _     rw;
            /// Memory attributes.
            MAIR_EL2       3 4 10  2 0 MemoryOnly _ EL2           0           0                     0           _     rw;
            /// Permission indirection, EL0.
            PIRE0_EL2      3 4 10  2 2 MemoryOnly _ [EL2 S1PIE]   0           0                     0           _     rw;
            /// Permission indirection, EL2.
            PIR_EL2        3 4 10  2 3 MemoryOnly _ [EL2 S1PIE]   0           0                     0           _     rw;
            /// Permission overlay, EL2.
            POR_EL2        3 4 10  2 4 MemoryOnly _ [EL2 S1POE]   0           0                     0           _     rw;
            /// Auxiliary memory attributes.
            AMAIR_EL2      3 4 10  3 0 MemoryOnly _ EL2           0           0                     0           _     rw;
            /// Vector base.
            VBAR_EL2       3 4 12  0 0 MemoryOnly _ EL2           0           0x7ff                 0           _     rw;
            /// Where a reset would start EL2, were there no EL3.
            RVBAR_EL2      3 4 12  0 1 MemoryOnly _ EL2           0           0                     0           _     ro;
            /// How a reset would start EL2, were there no EL3.
            RMR_EL2        3 4 12  0 2 MemoryOnly _ EL2           0           0xffff_ffff_ffff_fffc 0           _     rw;
            /// Context identifier.
            CONTEXTIDR_EL2 3 4 13  0 1 MemoryOnly _ [EL2 VHE]     0           0xffff_ffff_0000_0000 0           _     rw;
            /// Thread pointer.
            TPIDR_EL2      3 4 13  0 2 MemoryOnly _ EL2           0           0                     0           0x90  rw;
            /// How far the virtual count lags behind the physical count.
            CNTVOFF_EL2    3 4 14  0 3 MemoryOnly _ EL2           0           0                     0           0x60  rw;
            /// How far the physical count of EL1 lags behind.
            CNTPOFF_EL2    3 4 14  0 6 MemoryOnly _ [EL2 ECV]     0           0                     0           0x1a8 rw;
            /// What of the counters and timers EL1 and EL0 may use.
            CNTHCTL_EL2    3 4 14  1 0 MemoryOnly _ EL2           0           0xffff_ffff_fff0_0000 0           _     rw;
            /// What is left on the physical timer of EL2.
            CNTHP_TVAL_EL2 3 4 14  2 0 View       _ EL2           0           0                     0           _     _;
            /// Control of the physical timer of EL2.
            CNTHP_CTL_EL2  3 4 14  2 1 MemoryOnly _ EL2           0           0xffff_ffff_ffff_fff8 0           _     rw;
            /// Its compare value.
            CNTHP_CVAL_EL2 3 4 14  2 2 MemoryOnly _ EL2           0           0                     0           _     rw;
            /// What is left on the virtual timer of EL2.
            CNTHV_TVAL_EL2 3 4 14  3 0 View       _ [EL2 VHE]     0           0                     0           _     _;
            /// Control of the virtual timer of EL2.
            CNTHV_CTL_EL2  3 4 14  3 1 MemoryOnly _ [EL2 VHE]     0           0xffff_ffff_ffff_fff8 0           _     rw;
            /// Its compare value.
            CNTHV_CVAL_EL2 3 4 14  3 2 MemoryOnly _ [EL2 VHE]     0           0                     0           _     rw;
        ] }
    };
}
pub(crate) use rows;
