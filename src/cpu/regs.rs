//! System registers, by encoding: one generic pair reaches every register there is.
//!
//! The parameter is [`Encoding::iss`](crate::isa::encoding::Encoding::iss), so a register of the
//! table, its `_EL12` alias and a register of EL2 itself are all reached alike.

#![cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "MRS and MSR are instructions")
)]

#[cfg(not(target_os = "none"))]
#[expect(unsafe_code, reason = "the fake keeps the real signature")]
mod imp {
    use crate::cpu::fake;

    /// Reads the register whose encoding is `ISS`.
    pub fn read<const ISS: u32>() -> u64 {
        fake::with(|cpu| cpu.read(ISS))
    }

    /// Writes the register whose encoding is `ISS`.
    ///
    /// # Safety
    ///
    /// The value must not break what the running code relies on.
    pub unsafe fn write<const ISS: u32>(value: u64) {
        fake::with(|cpu| cpu.write(ISS, value));
    }
}

#[cfg(target_os = "none")]
mod imp {
    use crate::isa::encoding::Encoding;
    use core::arch::asm;

    /// Reads the register whose encoding is `ISS`.
    #[inline(always)]
    pub fn read<const ISS: u32>() -> u64 {
        let value: u64;
        // SAFETY: MRS of a register without read effects touches nothing else. The registers with
        // read effects (ICC_IAR1_EL1) are read where that effect is what is wanted, so the
        // statement is volatile: it is neither removed nor merged.
        unsafe {
            asm!("mrs {value}, S{op0}_{op1}_C{crn}_C{crm}_{op2}",
                value = out(reg) value,
                op0 = const Encoding::from_iss(ISS).op0,
                op1 = const Encoding::from_iss(ISS).op1,
                crn = const Encoding::from_iss(ISS).crn,
                crm = const Encoding::from_iss(ISS).crm,
                op2 = const Encoding::from_iss(ISS).op2,
                options(nomem, nostack, preserves_flags));
        }
        value
    }

    /// Writes the register whose encoding is `ISS`.
    ///
    /// # Safety
    ///
    /// The value must not break what the running code relies on.
    #[inline(always)]
    pub unsafe fn write<const ISS: u32>(value: u64) {
        // SAFETY: the caller promises that the value is right. No `nomem`: the compiler must not
        // move memory accesses over a write that changes what they mean.
        unsafe {
            asm!("msr S{op0}_{op1}_C{crn}_C{crm}_{op2}, {value}",
                value = in(reg) value,
                op0 = const Encoding::from_iss(ISS).op0,
                op1 = const Encoding::from_iss(ISS).op1,
                crn = const Encoding::from_iss(ISS).crn,
                crm = const Encoding::from_iss(ISS).crm,
                op2 = const Encoding::from_iss(ISS).op2,
                options(nostack, preserves_flags));
        }
    }
}

pub use imp::{read, write};
