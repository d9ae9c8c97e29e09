//! The hypervisor's own command line: `/chosen/bootargs`, words of the form `name=value`.
//!
//! A value that is not known is a mistake, and refused. A name that is not known is left alone
//! with a warning: firmware adds arguments of its own, meant for Linux.

use crate::{cpu::vhe::Support, error::Refusal, isa::descriptor::stage1::Regime, refuse};
use alloc::{string::String, vec::Vec};
use core::fmt::Write;

/// What the command line says; what it does not mention has its default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Arguments<'a> {
    /// `vhe=`: EL2's mode.
    pub vhe: Vhe,
    /// `console=`: the VM that is in front from the start, and has the console to itself.
    pub console: Option<&'a str>,
}

/// An argument there is.
struct Argument {
    name: &'static str,
    /// Its values, for a person.
    values: &'static str,
    /// Takes a value over, or returns `None` where it is not one of them.
    set: for<'a> fn(&mut Arguments<'a>, &'a str) -> Option<()>,
}

/// **All arguments**: a new one is a row here and a field of [`Arguments`].
const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "vhe",
        values: "on|off|auto",
        set: |arguments, value| {
            arguments.vhe = match value {
                "on" => Vhe::On,
                "off" => Vhe::Off,
                "auto" => Vhe::Auto,
                _ => return None,
            };
            Some(())
        },
    },
    Argument {
        name: "console",
        values: "NAME",
        set: |arguments, value| {
            arguments.console = Some(value).filter(|name| !name.is_empty());
            arguments.console.map(|_| ())
        },
    },
];

impl<'a> Arguments<'a> {
    /// Reads a command line, and warns of words that mean nothing here.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] for a value that an argument does not have.
    pub fn read(line: &'a str) -> Result<Self, Refusal> {
        let (arguments, unknown) = Self::parse(line)?;
        if !unknown.is_empty() {
            log::warn!(
                "arguments that mean nothing here: {} (there is {})",
                unknown.join(" "),
                known()
            );
        }
        Ok(arguments)
    }

    /// Reads a command line; returns also the words that are no argument. Of an argument that is
    /// given twice, the last counts.
    fn parse(line: &'a str) -> Result<(Self, Vec<&'a str>), Refusal> {
        let mut arguments = Self::default();
        let mut unknown = Vec::new();
        for word in line.split_ascii_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let Some(argument) = ARGUMENTS.iter().find(|argument| argument.name == name) else {
                unknown.push(word);
                continue;
            };
            (argument.set)(&mut arguments, value)
                .ok_or_else(|| refuse!("{word}: there is {name}={}", argument.values))?;
        }
        Ok((arguments, unknown))
    }
}

/// Lists the arguments, for a person.
fn known() -> String {
    let mut list = String::new();
    for Argument { name, values, .. } in ARGUMENTS {
        let comma = if list.is_empty() { "" } else { ", " };
        // A string takes everything.
        let _ = write!(list, "{comma}{name}={values}");
    }
    list
}

/// Whether EL2 is to run with HCR_EL2.E2H set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Vhe {
    /// Set.
    On,
    /// Clear.
    Off,
    /// Clear where it can be.
    #[default]
    Auto,
}

impl Vhe {
    /// Chooses the regime on a CPU that has these.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] where the CPU does not have what was asked for.
    pub fn choose(self, support: Support) -> Result<Regime, Refusal> {
        match self {
            Self::On if !support.el2_and_0 => Err(refuse!(
                "vhe=on: this CPU has no FEAT_VHE; leave it out, or say vhe=off"
            )),
            Self::Off if !support.el2 => Err(refuse!(
                "vhe=off: this CPU has HCR_EL2.E2H fixed to 1; leave it out, or say vhe=on"
            )),
            Self::On => Ok(Regime::El2And0),
            Self::Auto if !support.el2 => Ok(Regime::El2And0),
            Self::Off | Self::Auto => Ok(Regime::El2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vhe(line: &str) -> Vhe {
        let (arguments, unknown) = Arguments::parse(line).unwrap();
        assert_eq!(unknown, [""; 0], "{line}");
        arguments.vhe
    }

    #[test]
    fn arguments_are_words_in_any_order_and_the_last_counts() {
        for line in ["", "  \t\n", "vhe=auto", "vhe=on vhe=auto"] {
            assert_eq!(vhe(line), Vhe::Auto, "{line}");
        }
        assert_eq!(vhe("vhe=on"), Vhe::On);
        assert_eq!(vhe("\tvhe=on  vhe=off \n"), Vhe::Off);
    }

    #[test]
    fn values_that_are_not_known_are_refused_with_those_that_are() {
        for line in [
            "vhe=yes",
            "vhe",
            "vhe=",
            "vhe=ON",
            "vhe=on=off",
            "vhe=\"on\"",
        ] {
            let Refusal(text) = Arguments::parse(line).unwrap_err();
            assert_eq!(text, std::format!("{line}: there is vhe=on|off|auto"));
        }
        assert!(Arguments::parse("quiet vhe=on vhe=maybe").is_err());
    }

    #[test]
    fn names_that_are_not_known_are_told_and_left_alone() {
        let line = "quiet coherent_pool=1M vhe=on vhex=off VHE=off =on";
        let (arguments, unknown) = Arguments::parse(line).unwrap();
        assert_eq!(arguments.vhe, Vhe::On);
        assert_eq!(
            unknown,
            ["quiet", "coherent_pool=1M", "vhex=off", "VHE=off", "=on"]
        );
        assert_eq!(Arguments::read(line), Ok(arguments));
        assert!(known().contains("vhe=on|off|auto"));
    }

    #[test]
    fn a_console_has_a_name() {
        let (arguments, unknown) = Arguments::parse("console=a vhe=on console=linux").unwrap();
        assert_eq!(arguments.console, Some("linux"));
        assert_eq!(unknown, [""; 0]);
        assert!(Arguments::parse("console=").is_err());
        assert!(Arguments::parse("console").is_err());
    }

    #[test]
    fn each_value_that_is_listed_is_taken() {
        for Argument { name, values, set } in ARGUMENTS {
            for value in values.split('|') {
                assert_eq!(
                    set(&mut Arguments::default(), value),
                    Some(()),
                    "{name}={value}"
                );
            }
        }
    }

    #[test]
    fn the_mode_is_what_is_asked_for_or_what_there_is() {
        use Regime::{El2, El2And0};
        let support = |el2, el2_and_0| Support { el2, el2_and_0 };
        let choose = |asked: Vhe, support| asked.choose(support).ok();
        let (v8_0, both, fixed) = (
            support(true, false),
            support(true, true),
            support(false, true),
        );
        for (asked, expected) in [
            (Vhe::Auto, [Some(El2), Some(El2), Some(El2And0)]),
            (Vhe::Off, [Some(El2), Some(El2), None]),
            (Vhe::On, [None, Some(El2And0), Some(El2And0)]),
        ] {
            assert_eq!(
                [v8_0, both, fixed].map(|cpu| choose(asked, cpu)),
                expected,
                "{asked:?}"
            );
        }
    }
}
