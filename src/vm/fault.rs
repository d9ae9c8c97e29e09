//! Where a guest's stage-2 abort came from: FAR_EL2 and HPFAR_EL2.

use crate::{addr::Ipa, bits::field, cpu::regs, isa::encoding::Encoding};

const FAR_EL2: u32 = Encoding::new(3, 4, 6, 0, 0).iss();
const HPFAR_EL2: u32 = Encoding::new(3, 4, 6, 0, 4).iss();

/// Returns the virtual address of the access.
#[inline(always)]
pub fn address() -> u64 {
    regs::read::<FAR_EL2>()
}

/// Returns the intermediate physical address: HPFAR_EL2.FIPA holds bits 47:12 of it (bits 51:12
/// of 52), the page offset is the virtual address's.
#[inline(always)]
pub fn ipa() -> Ipa {
    let page = field(regs::read::<HPFAR_EL2>(), 4, 40) << 12;
    Ipa::new(page | address() & 0xfff)
}
