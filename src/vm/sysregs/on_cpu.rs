//! The rows as instructions: one MRS or MSR each, and the lists that load and put go through.

#![expect(unsafe_code, reason = "loads a guest's registers into the CPU")]

#[cfg(feature = "selftest")]
use super::planted::forgets;
use crate::{
    cpu::regs,
    isa::{
        encoding::Encoding,
        sysreg::{COUNT, Class, Present, SysReg, has_alias, sysreg_rows},
    },
};

/// Which registers are moved together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Group {
    /// At load and put.
    Deferred,
    /// With them, for a guest whose EL1 is AArch32.
    Deferred32,
    /// With the FP registers.
    Fp,
    /// With the breakpoints, which [`numbered`](super::numbered) moves.
    Debug,
}

impl Group {
    /// Returns whether registers of a class are copied to memory with this group.
    #[inline(always)]
    const fn saves(self, class: Class) -> bool {
        match self {
            Self::Deferred => matches!(class, Class::Deferred | Class::Timer),
            Self::Deferred32 => matches!(class, Class::Deferred32),
            Self::Fp => matches!(class, Class::LazyFp),
            Self::Debug => matches!(class, Class::LazyDebug),
        }
    }

    /// Returns whether registers of a class are copied to the CPU with this group.
    #[inline(always)]
    const fn restores(self, class: Class) -> bool {
        self.saves(class) || matches!((self, class), (Self::Deferred, Class::LoadOnly))
    }
}

/// Returns whether load leaves a register out: never, but for a test that wants the fault.
#[cfg(not(feature = "selftest"))]
#[inline(always)]
const fn forgets(_: SysReg) -> bool {
    false
}

/// Returns the encoding by which EL2 reaches a register.
const fn reached_by(own: Encoding, aliased: bool, vhe: bool) -> u32 {
    if vhe && aliased {
        own.vhe_alias().iss()
    } else {
        own.iss()
    }
}

/// The second for rows that are never on the CPU, else the first.
macro_rules! if_on_cpu {
    (MemoryOnly $then:expr, $else:expr) => {
        $else
    };
    (View $then:expr, $else:expr) => {
        $else
    };
    ($class:ident $then:expr, $else:expr) => {
        $then
    };
}

/// One row by the name that EL2 has for it. `vhe` is a constant at each hot call, so that one
/// instruction is left.
macro_rules! read {
    ($vhe:expr, $alias:tt, $($encoding:literal)*) => {{
        const OWN: Encoding = Encoding::new($($encoding),*);
        if $vhe {
            regs::read::<{ reached_by(OWN, has_alias!($alias), true) }>()
        } else {
            regs::read::<{ OWN.iss() }>()
        }
    }};
}

/// The same to write; to be used in `unsafe` with the safety of [`write`].
macro_rules! write {
    ($vhe:expr, $alias:tt, $value:expr, $($encoding:literal)*) => {{
        const OWN: Encoding = Encoding::new($($encoding),*);
        if $vhe {
            regs::write::<{ reached_by(OWN, has_alias!($alias), true) }>($value)
        } else {
            regs::write::<{ OWN.iss() }>($value)
        }
    }};
}

macro_rules! accessors {
    ($($(#[$doc:meta])* $name:ident
       $op0:literal $op1:literal $crn:literal $crm:literal $op2:literal
       $class:ident $alias:tt $when:tt $reset:literal $res0:literal $res1:literal
       $slot:tt $export:tt;)*) => {
        /// Reads a register on the CPU; one that is never there reads as zero.
        #[inline(always)]
        pub(super) fn read(reg: SysReg, vhe: bool) -> u64 {
            match reg {
                $(SysReg::$name => if_on_cpu!($class
                    read!(vhe, $alias, $op0 $op1 $crn $crm $op2), 0),)*
            }
        }

        /// Writes a register on the CPU.
        ///
        /// # Safety
        ///
        /// The guest whose value this is must be loaded here.
        #[inline(always)]
        pub(super) unsafe fn write(reg: SysReg, vhe: bool, value: u64) {
            // SAFETY: passed on to the caller.
            unsafe {
                match reg {
                    $(SysReg::$name => if_on_cpu!($class
                        write!(vhe, $alias, value, $op0 $op1 $crn $crm $op2), ()),)*
                }
            }
        }

        /// Copies a group from the CPU, and silences what acts without the vCPU.
        #[inline(always)]
        pub(super) fn save<const VHE: bool>(
            group: Group,
            to: &mut [u64; COUNT],
            present: Present,
        ) {
            $(if_on_cpu!($class
                if group.saves(Class::$class) && present.has(SysReg::$name) {
                    to[SysReg::$name as usize] = read!(VHE, $alias, $op0 $op1 $crn $crm $op2);
                    if matches!(Class::$class, Class::Timer) {
                        // SAFETY: turns a guest's timer off.
                        unsafe { write!(VHE, $alias, 0, $op0 $op1 $crn $crm $op2) }
                    }
                }, ());)*
        }

        /// Copies a group to the CPU.
        ///
        /// # Safety
        ///
        /// The array must hold a guest's values, and that guest's turn must have come.
        #[inline(always)]
        pub(super) unsafe fn restore<const VHE: bool>(
            group: Group,
            from: &[u64; COUNT],
            present: Present,
        ) {
            $(if_on_cpu!($class
                if group.restores(Class::$class)
                    && present.has(SysReg::$name)
                    && !forgets(SysReg::$name)
                {
                    let value = from[SysReg::$name as usize];
                    // SAFETY: passed on to the caller.
                    unsafe { write!(VHE, $alias, value, $op0 $op1 $crn $crm $op2) }
                }, ());)*
        }
    };
}
sysreg_rows!(accessors);
