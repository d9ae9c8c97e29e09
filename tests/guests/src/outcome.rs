//! What a check answers, and the macros that answer for it.

use crate::text::Text;

/// Why a check did not pass.
#[derive(Clone, Copy, Debug)]
pub enum Unmet {
    /// The machine behaved otherwise than expected.
    Failed {
        /// What was expected and what was seen.
        reason: Text<200>,
        /// The source file of the expectation.
        file: &'static str,
        /// Its line.
        line: u32,
    },
    /// The check does not apply here; the text says why.
    Ignored(&'static str),
}

/// What a check returns.
pub type TestResult = Result<(), Unmet>;

/// Where a check applies when there is no hypervisor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Native {
    /// It must pass on the bare machine too.
    Applies,
    /// It speaks of the hypervisor only; the text says why.
    Ignored(&'static str),
}

/// One check, as [`checks!`](crate::checks) lists it.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// The module it stands in.
    pub module: &'static str,
    /// Its name in that module.
    pub name: &'static str,
    /// The check itself.
    pub run: fn() -> TestResult,
    /// Whether it applies without a hypervisor.
    pub native: Native,
    /// Whether it prints lines of its own before the verdict.
    pub speaks: bool,
}

/// Lists the checks of a module as `pub const CHECKS`, one a line:
/// `everywhere NAME;`, `speaking NAME;` or `hypervisor("why not natively") NAME;`.
#[macro_export]
macro_rules! checks {
    ($($kind:ident $(($why:literal))? $name:ident;)*) => {
        /// The checks of this module, in the order they run.
        pub const CHECKS: &[$crate::outcome::Check] = &[$(
            $crate::outcome::Check {
                module: module_path!(),
                name: stringify!($name),
                run: $name,
                native: $crate::checks!(@native $kind $($why)?),
                speaks: $crate::checks!(@speaks $kind),
            },
        )*];
    };
    (@native everywhere) => { $crate::outcome::Native::Applies };
    (@native speaking) => { $crate::outcome::Native::Applies };
    (@native hypervisor $why:literal) => { $crate::outcome::Native::Ignored($why) };
    (@speaks speaking) => { true };
    (@speaks $other:ident) => { false };
}

/// Returns from the check as failed, with a reason formatted as by `format!`.
#[macro_export]
macro_rules! fail {
    ($($text:tt)*) => {
        return Err($crate::outcome::Unmet::Failed {
            reason: $crate::text::Text::format(format_args!($($text)*)),
            file: file!(),
            line: line!(),
        })
    };
}

/// Fails the check unless the condition holds; a reason may follow.
#[macro_export]
macro_rules! expect {
    ($condition:expr $(,)?) => {
        if !$condition {
            $crate::fail!("expected {}", stringify!($condition));
        }
    };
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            $crate::fail!($($text)+);
        }
    };
}

/// Fails the check unless both are equal, and shows them.
#[macro_export]
macro_rules! expect_eq {
    ($left:expr, $right:expr $(,)?) => {
        match ($left, $right) {
            (left, right) => {
                if left != right {
                    $crate::fail!(
                        "{} is {:#x?}, expected {:#x?}",
                        stringify!($left),
                        left,
                        right
                    );
                }
            }
        }
    };
}

/// Returns from the check as ignored.
#[macro_export]
macro_rules! ignore {
    ($why:literal) => {
        return Err($crate::outcome::Unmet::Ignored($why))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(a: u64, b: u64) -> TestResult {
        expect_eq!(a, b);
        Ok(())
    }

    fn inapplicable() -> TestResult {
        ignore!("no such machine");
    }

    crate::checks! {
        everywhere inapplicable;
        hypervisor("a reason") inapplicable;
        speaking inapplicable;
    }

    #[test]
    fn an_unmet_expectation_shows_both_sides() {
        assert!(compare(1, 1).is_ok());
        let Err(Unmet::Failed { reason, line, .. }) = compare(16, 2) else {
            panic!("16 is not 2");
        };
        assert_eq!(reason.as_str(), "a is 0x10, expected 0x2");
        assert_ne!(line, 0);
    }

    #[test]
    fn the_list_says_where_a_check_applies() {
        assert_eq!(CHECKS[0].native, Native::Applies);
        assert_eq!(CHECKS[1].native, Native::Ignored("a reason"));
        assert!(CHECKS[2].speaks && !CHECKS[1].speaks);
        assert_eq!(CHECKS[0].name, "inapplicable");
        assert!(matches!((CHECKS[0].run)(), Err(Unmet::Ignored(_))));
    }
}
