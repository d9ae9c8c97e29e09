//! The FP and SIMD registers: moved as one block, never used by EL2 itself.

#![cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "assembly moves the registers")
)]

/// A guest's FP and SIMD registers while they are not on a CPU.
#[repr(C, align(16))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FpRegs {
    /// q0 to q31.
    pub q: [u128; 32],
    /// FPCR.
    pub fpcr: u64,
    /// FPSR.
    pub fpsr: u64,
}

impl FpRegs {
    /// All zero, as a new vCPU starts.
    pub const ZERO: Self = Self {
        q: [0; 32],
        fpcr: 0,
        fpsr: 0,
    };

    /// Copies the CPU's registers here.
    pub fn save(&mut self) {
        #[cfg(not(target_os = "none"))]
        super::fake::with(|cpu| *self = cpu.fp.clone());
        // SAFETY: the block has room for all that is stored, and FP access at EL2 is enabled
        // while a handler runs that calls this (CPTR_EL2.TFP clear).
        #[cfg(target_os = "none")]
        unsafe {
            imp::save(self);
        }
    }

    /// Copies these registers to the CPU.
    pub fn restore(&self) {
        #[cfg(not(target_os = "none"))]
        super::fake::with(|cpu| cpu.fp = self.clone());
        // SAFETY: as for `save`. EL2 is built without FP instructions, so nothing of its own is lost.
        #[cfg(target_os = "none")]
        unsafe {
            imp::restore(self);
        }
    }
}

#[cfg(target_os = "none")]
mod imp {
    use super::FpRegs;
    use core::arch::naked_asm;

    macro_rules! all_registers {
        ($op:literal) => {
            concat!(
                ".arch_extension fp\n.arch_extension simd\n",
                $op,
                " q0, q1, [x0]\n",
                $op,
                " q2, q3, [x0, #32]\n",
                $op,
                " q4, q5, [x0, #64]\n",
                $op,
                " q6, q7, [x0, #96]\n",
                $op,
                " q8, q9, [x0, #128]\n",
                $op,
                " q10, q11, [x0, #160]\n",
                $op,
                " q12, q13, [x0, #192]\n",
                $op,
                " q14, q15, [x0, #224]\n",
                $op,
                " q16, q17, [x0, #256]\n",
                $op,
                " q18, q19, [x0, #288]\n",
                $op,
                " q20, q21, [x0, #320]\n",
                $op,
                " q22, q23, [x0, #352]\n",
                $op,
                " q24, q25, [x0, #384]\n",
                $op,
                " q26, q27, [x0, #416]\n",
                $op,
                " q28, q29, [x0, #448]\n",
                $op,
                " q30, q31, [x0, #480]\n",
            )
        };
    }

    #[unsafe(naked)]
    pub unsafe extern "C" fn save(regs: *mut FpRegs) {
        naked_asm!(
            all_registers!("stp"),
            "mrs x1, fpcr",
            "mrs x2, fpsr",
            "str x1, [x0, #512]",
            "str x2, [x0, #520]",
            ".arch_extension nosimd\n.arch_extension nofp",
            "ret",
        )
    }

    #[unsafe(naked)]
    pub unsafe extern "C" fn restore(regs: *const FpRegs) {
        naked_asm!(
            all_registers!("ldp"),
            "ldr x1, [x0, #512]",
            "ldr x2, [x0, #520]",
            "msr fpcr, x1",
            "msr fpsr, x2",
            ".arch_extension nosimd\n.arch_extension nofp",
            "ret",
        )
    }
}

const _: () = assert!(core::mem::offset_of!(FpRegs, fpcr) == 512);
