//! Reads the CPU's ID registers.

use super::regs;
use crate::isa::{
    encoding::Encoding,
    features::{IdReg, IdRegs, id_registers},
};

macro_rules! read_each {
    ($($(#[$doc:meta])* $name:ident = $crm:literal $op2:literal;)*) => {
        /// Reads all ID registers of this CPU.
        pub fn registers() -> IdRegs {
            let mut ids = IdRegs::ZERO;
            $(ids.set(
                IdReg::$name,
                regs::read::<{ Encoding::new(3, 0, 0, $crm, $op2).iss() }>(),
            );)*
            ids
        }
    };
}
id_registers!(read_each);
