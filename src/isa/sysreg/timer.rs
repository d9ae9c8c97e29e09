//! The timers of EL1. A timer acts by itself, so put turns it off on the CPU.

macro_rules! rows {
    ($rest:tt $use:ident [$($before:tt)*]) => {
        $crate::isa::sysreg::next! { $rest $use [$($before)*
            /// Compare value of the virtual timer; its export id is the one of CNTVCT_EL0, as in KVM.
            CNTV_CVAL_EL0 3 3 14  3 2 Deferred el12 _ 0 0                     0 0x168 {3 3 14 0 2};
            /// Control of the virtual timer.
            CNTV_CTL_EL0  3 3 14  3 1 Timer    el12 _ 0 0xffff_ffff_ffff_fff8 0 0x170 rw;
            /// Compare value of the physical timer.
            CNTP_CVAL_EL0 3 3 14  2 2 Deferred el12 _ 0 0                     0 0x178 rw;
            /// Control of the physical timer.
            CNTP_CTL_EL0  3 3 14  2 1 Timer    el12 _ 0 0xffff_ffff_ffff_fff8 0 0x180 rw;
            /// What is left on the virtual timer.
            CNTV_TVAL_EL0 3 3 14  3 0 View     _    _ 0 0                     0 _     _;
            /// What is left on the physical timer.
            CNTP_TVAL_EL0 3 3 14  2 0 View     _    _ 0 0                     0 _     _;
        ] }
    };
}
pub(crate) use rows;
