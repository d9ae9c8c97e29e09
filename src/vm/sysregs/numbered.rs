//! Breakpoints and watchpoints: as many as there are, moved without a branch between them.
//!
//! For each number of them there is a function of its own, made from the rows of the table: one MRS
//! or MSR after the other. Which one it is, a vCPU's [`Present`] says, once for all its registers.

#![expect(unsafe_code, reason = "loads a guest's registers into the CPU")]

use crate::{
    cpu::regs,
    isa::{
        encoding::Encoding,
        sysreg::{COUNT, Present, SysReg, sysreg_rows},
    },
};

type Values = [u64; COUNT];

/// What is said of rows of one class; nothing of others.
macro_rules! of_class {
    (Breakpoint Breakpoint $then:expr) => {
        $then
    };
    (Watchpoint Watchpoint $then:expr) => {
        $then
    };
    ($wanted:ident $class:ident $then:expr) => {};
}

macro_rules! moves {
    ($($(#[$doc:meta])* $name:ident
       $op0:literal $op1:literal $crn:literal $crm:literal $op2:literal
       $class:ident $alias:tt $when:tt $reset:literal $res0:literal $res1:literal
       $slot:tt $export:tt;)*) => {
        fn save_breakpoints<const N: u8>(to: &mut Values) {
            $(of_class!(Breakpoint $class if $crm < N {
                to[SysReg::$name as usize] = read!($op0 $op1 $crn $crm $op2);
            });)*
        }

        fn save_watchpoints<const N: u8>(to: &mut Values) {
            $(of_class!(Watchpoint $class if $crm < N {
                to[SysReg::$name as usize] = read!($op0 $op1 $crn $crm $op2);
            });)*
        }

        fn restore_breakpoints<const N: u8>(from: &Values) {
            $(of_class!(Breakpoint $class if $crm < N {
                write!($op0 $op1 $crn $crm $op2, from[SysReg::$name as usize]);
            });)*
        }

        fn restore_watchpoints<const N: u8>(from: &Values) {
            $(of_class!(Watchpoint $class if $crm < N {
                write!($op0 $op1 $crn $crm $op2, from[SysReg::$name as usize]);
            });)*
        }
    };
}

macro_rules! read {
    ($($encoding:literal)*) => {
        regs::read::<{ Encoding::new($($encoding),*).iss() }>()
    };
}

macro_rules! write {
    ($($encoding:literal)*, $value:expr) => {
        // SAFETY: a breakpoint or watchpoint by itself does nothing: MDSCR_EL1 and MDCR_EL2 decide
        // whether one fires, and EL2 runs with debug exceptions masked.
        unsafe { regs::write::<{ Encoding::new($($encoding),*).iss() }>($value) }
    };
}

sysreg_rows!(moves);

/// A function for each number from 1 up.
macro_rules! each {
    ($f:ident) => {
        [
            $f::<1>, $f::<2>, $f::<3>, $f::<4>, $f::<5>, $f::<6>, $f::<7>, $f::<8>, $f::<9>,
            $f::<10>, $f::<11>, $f::<12>, $f::<13>, $f::<14>, $f::<15>, $f::<16>,
        ]
    };
}

static SAVE_BREAKPOINTS: [fn(&mut Values); 16] = each!(save_breakpoints);
static SAVE_WATCHPOINTS: [fn(&mut Values); 16] = each!(save_watchpoints);
static RESTORE_BREAKPOINTS: [fn(&Values); 16] = each!(restore_breakpoints);
static RESTORE_WATCHPOINTS: [fn(&Values); 16] = each!(restore_watchpoints);

/// Copies what `present` has of them from the CPU.
pub(super) fn save(to: &mut Values, present: Present) {
    SAVE_BREAKPOINTS[place(present.breakpoints)](to);
    SAVE_WATCHPOINTS[place(present.watchpoints)](to);
}

/// Copies what `present` has of them to the CPU.
pub(super) fn restore(from: &Values, present: Present) {
    RESTORE_BREAKPOINTS[place(present.breakpoints)](from);
    RESTORE_WATCHPOINTS[place(present.watchpoints)](from);
}

/// Returns where the function for a number is. There is one at the least, and 16 at the most.
const fn place(count: u8) -> usize {
    (count.wrapping_sub(1) & 0xf) as usize
}
