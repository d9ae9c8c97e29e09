//! How the families become one list: each hands its rows on to the next, the last to the user.

/// Hands every row of the table to the macro `$use`.
macro_rules! sysreg_rows {
    ($use:ident) => {
        $crate::isa::sysreg::next! {
            [el1 timer aarch32 control debug pmu el2 interface] $use []
        }
    };
}
pub(crate) use sysreg_rows;

/// Goes on with the next family, or with the user of the rows.
macro_rules! next {
    ([] $use:ident [$($rows:tt)*]) => {
        $use! { $($rows)* }
    };
    ([$family:ident $($rest:ident)*] $use:ident $rows:tt) => {
        $crate::isa::sysreg::$family::rows! { [$($rest)*] $use $rows }
    };
}
pub(crate) use next;

/// Adds numbered registers whose number is CRm: 16 names a family.
macro_rules! by_crm {
    ($rest:tt $use:ident [$($rows:tt)*] $(
        $doc:literal $op0:literal $op1:literal $crn:literal * $op2:literal
        $class:ident $alias:tt $when:tt $reset:literal $res0:literal $res1:literal
        $base:tt $export:tt:
        $n0:ident $n1:ident $n2:ident $n3:ident $n4:ident $n5:ident $n6:ident $n7:ident
        $n8:ident $n9:ident $n10:ident $n11:ident $n12:ident $n13:ident $n14:ident $n15:ident;
    )*) => {
        $crate::isa::sysreg::next! { $rest $use [$($rows)* $(
            #[doc = $doc] $n0 $op0 $op1 $crn 0 $op2 $class $alias $when $reset $res0 $res1 {$base 0} $export;
            #[doc = $doc] $n1 $op0 $op1 $crn 1 $op2 $class $alias $when $reset $res0 $res1 {$base 1} $export;
            #[doc = $doc] $n2 $op0 $op1 $crn 2 $op2 $class $alias $when $reset $res0 $res1 {$base 2} $export;
            #[doc = $doc] $n3 $op0 $op1 $crn 3 $op2 $class $alias $when $reset $res0 $res1 {$base 3} $export;
            #[doc = $doc] $n4 $op0 $op1 $crn 4 $op2 $class $alias $when $reset $res0 $res1 {$base 4} $export;
            #[doc = $doc] $n5 $op0 $op1 $crn 5 $op2 $class $alias $when $reset $res0 $res1 {$base 5} $export;
            #[doc = $doc] $n6 $op0 $op1 $crn 6 $op2 $class $alias $when $reset $res0 $res1 {$base 6} $export;
            #[doc = $doc] $n7 $op0 $op1 $crn 7 $op2 $class $alias $when $reset $res0 $res1 {$base 7} $export;
            #[doc = $doc] $n8 $op0 $op1 $crn 8 $op2 $class $alias $when $reset $res0 $res1 {$base 8} $export;
            #[doc = $doc] $n9 $op0 $op1 $crn 9 $op2 $class $alias $when $reset $res0 $res1 {$base 9} $export;
            #[doc = $doc] $n10 $op0 $op1 $crn 10 $op2 $class $alias $when $reset $res0 $res1 {$base 10} $export;
            #[doc = $doc] $n11 $op0 $op1 $crn 11 $op2 $class $alias $when $reset $res0 $res1 {$base 11} $export;
            #[doc = $doc] $n12 $op0 $op1 $crn 12 $op2 $class $alias $when $reset $res0 $res1 {$base 12} $export;
            #[doc = $doc] $n13 $op0 $op1 $crn 13 $op2 $class $alias $when $reset $res0 $res1 {$base 13} $export;
            #[doc = $doc] $n14 $op0 $op1 $crn 14 $op2 $class $alias $when $reset $res0 $res1 {$base 14} $export;
            #[doc = $doc] $n15 $op0 $op1 $crn 15 $op2 $class $alias $when $reset $res0 $res1 {$base 15} $export;
        )*] }
    };
}
pub(crate) use by_crm;

/// Adds numbered registers whose number is op2: 4, 7 or 8 names a family.
macro_rules! by_op2 {
    ($rest:tt $use:ident [$($rows:tt)*] $(
        $doc:literal $op0:literal $op1:literal $crn:literal $crm:literal *
        $class:ident $alias:tt $when:tt $reset:literal $res0:literal $res1:literal
        $base:tt $export:tt:
        $n0:ident $n1:ident $n2:ident $n3:ident $($n4:ident $n5:ident $n6:ident $($n7:ident)?)?;
    )*) => {
        $crate::isa::sysreg::next! { $rest $use [$($rows)* $(
            #[doc = $doc] $n0 $op0 $op1 $crn $crm 0 $class $alias $when $reset $res0 $res1 {$base 0} $export;
            #[doc = $doc] $n1 $op0 $op1 $crn $crm 1 $class $alias $when $reset $res0 $res1 {$base 1} $export;
            #[doc = $doc] $n2 $op0 $op1 $crn $crm 2 $class $alias $when $reset $res0 $res1 {$base 2} $export;
            #[doc = $doc] $n3 $op0 $op1 $crn $crm 3 $class $alias $when $reset $res0 $res1 {$base 3} $export;
            $(
                #[doc = $doc] $n4 $op0 $op1 $crn $crm 4 $class $alias $when $reset $res0 $res1 {$base 4} $export;
                #[doc = $doc] $n5 $op0 $op1 $crn $crm 5 $class $alias $when $reset $res0 $res1 {$base 5} $export;
                #[doc = $doc] $n6 $op0 $op1 $crn $crm 6 $class $alias $when $reset $res0 $res1 {$base 6} $export;
                $(#[doc = $doc] $n7 $op0 $op1 $crn $crm 7 $class $alias $when $reset $res0 $res1 {$base 7} $export;)?
            )?
        )*] }
    };
}
pub(crate) use by_op2;
