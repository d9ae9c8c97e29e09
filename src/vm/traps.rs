//! What of a guest EL2 traps: the constants behind every entry.
//!
//! Whatever is not virtualised is hidden in the ID registers (`isa::features`) and trapped here:
//! hiding alone would let one VM leave state that another finds.

#![expect(unsafe_code, reason = "configures EL2's traps")]

use super::sysregs::HostMode;
use crate::{
    bits::field,
    cpu::{barrier, regs},
    isa::{encoding::Encoding, features::Features},
};

/// Bits of HCR_EL2 (Arm ARM, D24.2 "HCR_EL2").
pub mod hcr {
    use aarch64_cpu::registers::HCR_EL2;
    use tock_registers::fields::Field;

    /// Returns all bits of a field.
    const fn ones(field: Field<u64, HCR_EL2::Register>) -> u64 {
        field.mask << field.shift
    }

    /// Stage 2 is on.
    pub const VM: u64 = ones(HCR_EL2::VM);
    /// Set/way invalidation also cleans.
    const SWIO: u64 = ones(HCR_EL2::SWIO);
    /// A stage-1 walk that meets device memory faults.
    const PTW: u64 = ones(HCR_EL2::PTW);
    /// Physical FIQs, IRQs and SErrors come to EL2; the guest takes virtual ones.
    const FMO_IMO_AMO: u64 = ones(HCR_EL2::FMO) | ones(HCR_EL2::IMO) | ones(HCR_EL2::AMO);
    /// A virtual SError is pending.
    pub const VSE: u64 = ones(HCR_EL2::VSE);
    /// The guest's TLB and instruction cache maintenance reaches every CPU of the inner shareable
    /// domain, and so every CPU it has run on.
    const FB: u64 = ones(HCR_EL2::FB);
    /// Its barriers reach at least as far.
    const BSU_INNER: u64 = 0b01 << HCR_EL2::BSU.shift;
    /// WFI is trapped.
    pub const TWI: u64 = ones(HCR_EL2::TWI);
    /// ID group 3 is trapped: the ID registers.
    const TID3: u64 = ones(HCR_EL2::TID3);
    /// SMC is trapped.
    const TSC: u64 = ones(HCR_EL2::TSC);
    /// Implementation defined system registers are trapped.
    const TIDCP: u64 = ones(HCR_EL2::TIDCP);
    /// ACTLR_EL1 is trapped.
    const TACR: u64 = ones(HCR_EL2::TACR);
    /// Set/way cache maintenance is trapped.
    const TSW: u64 = ones(HCR_EL2::TSW);
    /// Writes of the registers that control stage 1 are trapped.
    pub const TVM: u64 = ones(HCR_EL2::TVM);
    /// EL1 is AArch64.
    const RW: u64 = ones(HCR_EL2::RW);
    /// EL2 has the EL2&0 regime.
    const E2H: u64 = ones(HCR_EL2::E2H);
    /// LORegion registers are trapped.
    const TLOR: u64 = ones(HCR_EL2::TLOR);
    /// Error record registers are trapped.
    const TERR: u64 = ones(HCR_EL2::TERR);
    /// Pointer authentication keys and instructions are the guest's.
    const APK_API: u64 = ones(HCR_EL2::APK) | ones(HCR_EL2::API);
    /// ID group 5 is trapped: GMID_EL1.
    const TID5: u64 = ones(HCR_EL2::TID5);

    use super::{Features, HostMode};

    /// What a vCPU starts with, whose EL1 is AArch32 or AArch64. It is written at load, and when a
    /// bit of it changes.
    pub const fn for_guest(mode: HostMode, aarch32: bool) -> u64 {
        let mut hcr = VM | SWIO | PTW | FMO_IMO_AMO | FB | BSU_INNER | TID3 | TSC | TIDCP;
        hcr |= TACR | TSW;
        if !aarch32 {
            hcr |= RW;
        }
        if mode.vhe {
            hcr |= E2H;
        }
        if mode.features.has(Features::PAUTH) {
            hcr |= APK_API;
        }
        if mode.features.has(Features::LOR) {
            hcr |= TLOR;
        }
        if mode.features.has(Features::RAS) {
            hcr |= TERR;
        }
        if mode.features.has(Features::MTE) {
            hcr |= TID5;
        }
        hcr
    }
}

/// CPTR_EL2 while a guest runs: SVE, SME, trace and activity monitors trapped, FP as asked.
pub const fn cptr(mode: HostMode, fp_trapped: bool) -> u64 {
    const TAM: u64 = 1 << 30;
    if mode.vhe {
        // Laid out like CPACR_EL1: ZEN and SMEN zero trap, FPEN 0b11 does not.
        const TTA: u64 = 1 << 28;
        const FPEN: u64 = 0b11 << 20;
        TAM | TTA | if fp_trapped { 0 } else { FPEN }
    } else {
        // RES1 bits, among them TSM and TZ: SME and SVE trap.
        const RES1: u64 = 0x33ff;
        const TTA: u64 = 1 << 20;
        const TFP: u64 = 1 << 10;
        RES1 | TAM | TTA | if fp_trapped { TFP } else { 0 }
    }
}

macro_rules! register {
    ($name:ident = $op0:literal $op1:literal $crn:literal $crm:literal $op2:literal) => {
        const $name: u32 = Encoding::new($op0, $op1, $crn, $crm, $op2).iss();
    };
}
register!(CPTR_EL2 = 3 4 1 1 2);
register!(MDCR_EL2 = 3 4 1 1 1);
register!(HSTR_EL2 = 3 4 1 1 3);
register!(HCRX_EL2 = 3 4 1 2 2);
register!(HFGRTR_EL2 = 3 4 1 1 4);
register!(HFGWTR_EL2 = 3 4 1 1 5);
register!(HFGITR_EL2 = 3 4 1 1 6);
register!(HDFGRTR_EL2 = 3 4 3 1 4);
register!(HDFGWTR_EL2 = 3 4 3 1 5);
register!(HAFGRTR_EL2 = 3 4 3 1 6);
register!(HDFGRTR2_EL2 = 3 4 3 1 0);
register!(HDFGWTR2_EL2 = 3 4 3 1 1);
register!(HFGRTR2_EL2 = 3 4 3 1 2);
register!(HFGWTR2_EL2 = 3 4 3 1 3);
register!(HFGITR2_EL2 = 3 4 3 1 7);
register!(CNTHCTL_EL2 = 3 4 14 1 0);
register!(MPAM2_EL2 = 3 4 10 5 0);
register!(PMCR_EL0 = 3 3 9 12 0);
register!(OSLAR_EL1 = 2 0 1 0 4);

/// Bits of HDFGRTR_EL2 and HDFGWTR_EL2: what of debug stays trapped even when MDCR_EL2.TDA is off.
const DBGCLAIM: u64 = 1 << 5;
const DBGAUTHSTATUS: u64 = 1 << 6;
const OSECCR: u64 = 1 << 10;

/// Bits of MDCR_EL2 that change with who has the debug registers.
mod mdcr {
    /// Accesses to debug registers are trapped, but for those of the OS lock and of the ROM table.
    pub const TDA: u64 = 1 << 9;
    /// Debug exceptions come to EL2, and all accesses to debug registers are trapped.
    pub const TDE: u64 = 1 << 8;
}

/// What MDCR_EL2 does about a guest's debugging.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DebugTraps {
    /// The guest's accesses come to EL2.
    Closed,
    /// The guest uses the breakpoints itself.
    Open,
    /// Its accesses and its debug exceptions come to EL2.
    Routed,
}

/// Sets what this CPU does about debugging while a guest runs: one read and one write of MDCR_EL2.
/// The OS lock (TDOSA) and the ROM table's address (TDRA) are trapped whatever it is.
pub fn set_debug_traps(traps: DebugTraps) {
    let set = match traps {
        DebugTraps::Closed => mdcr::TDA,
        DebugTraps::Open => 0,
        DebugTraps::Routed => mdcr::TDA | mdcr::TDE,
    };
    let rest = regs::read::<MDCR_EL2>() & !(mdcr::TDA | mdcr::TDE);
    // SAFETY: decides what of EL1 and EL0 is trapped; EL2 itself masks debug exceptions.
    unsafe { regs::write::<MDCR_EL2>(rest | set) }
}

/// MDCR_EL2: debug, OS lock, PMU, profiling and trace registers trapped; the statistical profiler's
/// and the trace buffer's owner is EL2 (E2PB and E2TB zero); all event counters are EL1's to have
/// none of (HPMN = their number).
fn mdcr(features: Features) -> u64 {
    const TPMCR: u64 = 1 << 5;
    const TPM: u64 = 1 << 6;
    const TDOSA: u64 = 1 << 10;
    const TDRA: u64 = 1 << 11;
    const TPMS: u64 = 1 << 14;
    const TTRF: u64 = 1 << 19;
    const TDCC: u64 = 1 << 27;
    let mut mdcr = mdcr::TDA | TDOSA | TDRA;
    if features.has(Features::FGT) {
        // The channel to an external debugger stays trapped even when TDA is off.
        mdcr |= TDCC;
    }
    if features.has(Features::PMU) {
        mdcr |= TPMCR | TPM | field(regs::read::<PMCR_EL0>(), 11, 5);
    }
    if features.has(Features::SPE) {
        mdcr |= TPMS;
    }
    if features.has(Features::TRF) {
        mdcr |= TTRF;
    }
    mdcr
}

/// Sets up the traps that are the same for every guest, once on each CPU.
pub fn configure_cpu(mode: HostMode) {
    let features = mode.features;
    // What AArch32 has in c15 of coprocessor 15 is implementation defined.
    const T15: u64 = 1 << 15;
    // EL1PCTEN and EL1PCEN: guests use the physical counter and timer themselves.
    let cnthctl = if mode.vhe { 0b11 << 10 } else { 0b11 };
    // SAFETY: FP is used by nobody yet; EL2 moves a register that goes with it.
    unsafe { regs::write::<CPTR_EL2>(cptr(mode, false)) };
    barrier::isb();
    super::sysregs::prepare_cpu(features);
    // SAFETY: these decide what of EL1 and EL0 is trapped; nothing of EL2 depends on them. Each
    // register is written only where the CPU has it.
    unsafe {
        regs::write::<MDCR_EL2>(mdcr(features));
        regs::write::<HSTR_EL2>(T15);
        regs::write::<CNTHCTL_EL2>(cnthctl);
        // The OS lock would keep guests' breakpoints from firing.
        regs::write::<OSLAR_EL1>(0);
        if features.has(Features::HCX) {
            // Zero traps or disables all that newer architectures add. TALLINT traps when set.
            const TALLINT: u64 = 1 << 6;
            let nmi = features.has(Features::NMI);
            regs::write::<HCRX_EL2>(if nmi { TALLINT } else { 0 });
        }
        if features.has(Features::FGT) {
            // A zero in the bits named n… traps; a zero in the others does not.
            regs::write::<HFGRTR_EL2>(0);
            regs::write::<HFGWTR_EL2>(0);
            regs::write::<HFGITR_EL2>(0);
            regs::write::<HDFGRTR_EL2>(DBGCLAIM | DBGAUTHSTATUS | OSECCR);
            regs::write::<HDFGWTR_EL2>(DBGCLAIM | OSECCR);
            if features.has(Features::AMU) {
                regs::write::<HAFGRTR_EL2>(0);
            }
        }
        if features.has(Features::FGT2) {
            regs::write::<HFGRTR2_EL2>(0);
            regs::write::<HFGWTR2_EL2>(0);
            regs::write::<HFGITR2_EL2>(0);
            regs::write::<HDFGRTR2_EL2>(0);
            regs::write::<HDFGWTR2_EL2>(0);
        }
        if features.has(Features::MPAM) {
            const TRAP_MPAM: u64 = 0b11 << 48;
            regs::write::<MPAM2_EL2>(TRAP_MPAM);
        }
    }
    barrier::isb();
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYTHING: HostMode = HostMode {
        vhe: false,
        features: Features::ALL,
    };

    #[test]
    fn a_guest_never_runs_with_tge_or_without_stage_2() {
        for vhe in [false, true] {
            let hcr = hcr::for_guest(HostMode { vhe, ..EVERYTHING }, false);
            assert_eq!(hcr & hcr::VM, hcr::VM);
            assert_eq!(hcr >> 27 & 1, 0, "TGE");
            assert_eq!(hcr >> 34 & 1, u64::from(vhe), "E2H");
            assert_eq!(hcr >> 42 & 1, 0, "NV");
            assert_eq!(hcr >> 56 & 1, 0, "ATA");
            let aarch32 = hcr::for_guest(HostMode { vhe, ..EVERYTHING }, true);
            assert_eq!(aarch32 ^ hcr, 1 << 31, "RW");
        }
    }

    #[test]
    fn only_fp_is_ever_let_through() {
        assert_eq!(cptr(EVERYTHING, false), 0x4010_33ff);
        assert_eq!(cptr(EVERYTHING, true), 0x4010_37ff);
        let vhe = HostMode {
            vhe: true,
            ..EVERYTHING
        };
        assert_eq!(cptr(vhe, false), 0x5030_0000);
        assert_eq!(cptr(vhe, true), 0x5000_0000);
    }

    #[test]
    fn registers_of_absent_features_are_not_touched() {
        crate::cpu::fake::reset();
        configure_cpu(HostMode {
            vhe: false,
            features: Features::default(),
        });
        let touched = crate::cpu::fake::with(|cpu| cpu.regs.clone());
        assert!(touched.contains_key(&MDCR_EL2));
        assert!(!touched.contains_key(&HCRX_EL2) && !touched.contains_key(&HFGRTR_EL2));
    }
}
