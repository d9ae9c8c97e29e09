//! Breakpoints and watchpoints: as many as there are, moved without a branch between them.
//!
//! The rows of the table with one number are a step. The steps stand one after the other from the
//! last to the first, and a jump leads in among them: how many there are, a vCPU's [`Present`] says.

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
        #[inline(always)]
        fn save_breakpoint<const N: u8>(to: &mut Values) {
            $(of_class!(Breakpoint $class if $crm == N {
                to[SysReg::$name as usize] = read!($op0 $op1 $crn $crm $op2);
            });)*
        }

        #[inline(always)]
        fn save_watchpoint<const N: u8>(to: &mut Values) {
            $(of_class!(Watchpoint $class if $crm == N {
                to[SysReg::$name as usize] = read!($op0 $op1 $crn $crm $op2);
            });)*
        }

        #[inline(always)]
        fn restore_breakpoint<const N: u8>(from: &Values) {
            $(of_class!(Breakpoint $class if $crm == N {
                write!($op0 $op1 $crn $crm $op2, from[SysReg::$name as usize]);
            });)*
        }

        #[inline(always)]
        fn restore_watchpoint<const N: u8>(from: &Values) {
            $(of_class!(Watchpoint $class if $crm == N {
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

/// Does a step for each number from `$last` down to 0: a block for each, the next one inside, and
/// each followed by its step. Whoever leaves the innermost comes out before the step for `$last`.
macro_rules! from {
    ($last:expr, $step:ident($values:expr)) => {
        from!(@ $last, $step($values), [], [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15]);
    };
    (@ $last:expr, $step:ident($values:expr), [$($before:tt)*], [$n:literal $($more:literal)*]) => {
        'step: {
            from!(@ $last, $step($values), [$($before)* ($n 'step)], [$($more)*]);
        }
        $step::<$n>($values);
    };
    (@ $last:expr, $step:ident($values:expr), [$(($n:literal $label:lifetime))*], []) => {
        match $last {
            $($n => break $label,)*
            _ => return,
        }
    };
}

/// Copies what `present` has of them from the CPU.
pub(super) fn save(to: &mut Values, present: Present) {
    save_breakpoints(to, last(present.breakpoints));
    save_watchpoints(to, last(present.watchpoints));
}

/// Copies what `present` has of them to the CPU.
pub(super) fn restore(from: &Values, present: Present) {
    restore_breakpoints(from, last(present.breakpoints));
    restore_watchpoints(from, last(present.watchpoints));
}

/// Returns the number of the last. There is one at the least, and 16 at the most.
const fn last(count: u8) -> u8 {
    count.wrapping_sub(1) & 0xf
}

fn save_breakpoints(to: &mut Values, last: u8) {
    from!(last, save_breakpoint(to));
}

fn save_watchpoints(to: &mut Values, last: u8) {
    from!(last, save_watchpoint(to));
}

fn restore_breakpoints(from: &Values, last: u8) {
    from!(last, restore_breakpoint(from));
}

fn restore_watchpoints(from: &Values, last: u8) {
    from!(last, restore_watchpoint(from));
}
