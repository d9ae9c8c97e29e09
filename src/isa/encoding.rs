//! Where a system register lives in the instruction set: pure arithmetic, no hardware.

/// The five numbers that name a system register in `MRS`, `MSR` and a trap syndrome.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Encoding {
    /// Op0: 2 for debug and trace, 3 for everything else here.
    pub op0: u8,
    /// Op1: roughly, the exception level it belongs to.
    pub op1: u8,
    /// CRn.
    pub crn: u8,
    /// CRm.
    pub crm: u8,
    /// Op2.
    pub op2: u8,
}

impl Encoding {
    /// Makes an encoding; a field that does not fit fails the build in a constant.
    pub const fn new(op0: u8, op1: u8, crn: u8, crm: u8, op2: u8) -> Self {
        assert!(op0 < 4 && op1 < 8 && crn < 16 && crm < 16 && op2 < 8);
        Self {
            op0,
            op1,
            crn,
            crm,
            op2,
        }
    }

    /// Returns the same register under its `_EL12` or `_EL02` name: only Op1 changes.
    pub const fn vhe_alias(self) -> Self {
        Self { op1: 5, ..self }
    }

    /// Returns the `MRS X<rt>, <reg>` instruction word (Arm ARM, C6.2 "MRS").
    pub const fn mrs(self, rt: u32) -> u32 {
        0xd530_0000
            | ((self.op0 as u32 & 1) << 19)
            | ((self.op1 as u32) << 16)
            | ((self.crn as u32) << 12)
            | ((self.crm as u32) << 8)
            | ((self.op2 as u32) << 5)
            | rt
    }

    /// Returns the register's bits in ESR_ELx.ISS for EC 0x18, direction and Rt left clear
    /// (Arm ARM, "ISS encoding for an exception from MSR, MRS, or System instruction").
    pub const fn iss(self) -> u32 {
        ((self.op0 as u32) << 20)
            | ((self.op2 as u32) << 17)
            | ((self.op1 as u32) << 14)
            | ((self.crn as u32) << 10)
            | ((self.crm as u32) << 1)
    }

    /// Reads the encoding back out of ESR_ELx.ISS for EC 0x18.
    pub const fn from_iss(iss: u32) -> Self {
        Self {
            op0: (iss >> 20 & 0x3) as u8,
            op2: (iss >> 17 & 0x7) as u8,
            op1: (iss >> 14 & 0x7) as u8,
            crn: (iss >> 10 & 0xf) as u8,
            crm: (iss >> 1 & 0xf) as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syndrome_and_back() {
        for word in (0..1 << 22).step_by(2) {
            let encoding = Encoding::from_iss(word);
            assert_eq!(encoding.iss(), word & !(0x1f << 5));
        }
    }

    #[test]
    fn the_instruction_word_is_the_assemblers() {
        // mrs x0, SCTLR_EL1
        assert_eq!(Encoding::new(3, 0, 1, 0, 0).mrs(0), 0xd538_1000);
    }
}
