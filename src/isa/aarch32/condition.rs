//! Conditional instructions: most of AArch32's are, and one that fails its condition may trap all
//! the same.

use super::psr;
use crate::{bits::bit, isa::esr::Esr};

/// "Always", as a syndrome has it.
const ALWAYS: u8 = 0b1110;

/// ITSTATE in an SPSR: bits 7:2 of it are bits 15:10, bits 1:0 are bits 26:25.
const IT_HIGH: u64 = 0b11_1111 << 10;
const IT_LOW: u64 = 0b11 << 25;

/// Returns whether a condition holds for the flags of a PSR (Arm ARM, `ConditionHolds`).
pub const fn holds(condition: u8, psr: u64) -> bool {
    let (n, z, c, v) = (bit(psr, 31), bit(psr, 30), bit(psr, 29), bit(psr, 28));
    let positive = match condition >> 1 & 0b111 {
        0b000 => z,
        0b001 => c,
        0b010 => n,
        0b011 => v,
        0b100 => c && !z,
        0b101 => n == v,
        0b110 => n == v && !z,
        _ => return true,
    };
    positive != (condition & 1 != 0)
}

/// Returns whether the instruction that caused an exit in AArch32 state was executed: its condition
/// held, or it had none. PSTATE is that of the exit.
///
/// Only exits of the classes for WFx, coprocessor and FP accesses, and SMC can come from an
/// instruction whose condition failed (Arm ARM, D24.2.40, "CV").
pub const fn passed(esr: Esr, pstate: u64) -> bool {
    if pstate & psr::AARCH32 == 0 || !esr.may_have_failed() {
        return true;
    }
    match (esr.condition(), it_state(pstate)) {
        (Some(ALWAYS), _) | (None, 0) => true,
        (Some(condition), _) => holds(condition, pstate),
        // T32 need not say: the IT block does, in the four upper bits.
        (None, it) => holds((it >> 4) as u8, pstate),
    }
}

/// Returns ITSTATE.
const fn it_state(spsr: u64) -> u64 {
    (spsr & IT_HIGH) >> 8 | (spsr & IT_LOW) >> 25
}

/// Returns an SPSR with this ITSTATE.
const fn with_it_state(spsr: u64, it: u64) -> u64 {
    spsr & !(IT_HIGH | IT_LOW) | (it << 8) & IT_HIGH | (it << 25) & IT_LOW
}

/// Moves the IT block of an SPSR on by one instruction (Arm ARM, `AArch32.ITAdvance`).
pub const fn advance_it(spsr: u64) -> u64 {
    if spsr & psr::T == 0 {
        return spsr;
    }
    let it = it_state(spsr);
    let next = if it & 0b111 == 0 {
        0
    } else {
        it & 0b1110_0000 | (it << 1) & 0b1_1111
    };
    with_it_state(spsr, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::esr::class;

    /// What each condition's name says, of N, Z, C and V (Arm ARM, table F1-1).
    type Meaning = fn(bool, bool, bool, bool) -> bool;
    const MEANINGS: [Meaning; 16] = [
        |_, z, _, _| z,
        |_, z, _, _| !z,
        |_, _, c, _| c,
        |_, _, c, _| !c,
        |n, _, _, _| n,
        |n, _, _, _| !n,
        |_, _, _, v| v,
        |_, _, _, v| !v,
        |_, z, c, _| c && !z,
        |_, z, c, _| !c || z,
        |n, _, _, v| n == v,
        |n, _, _, v| n != v,
        |n, z, _, v| !z && n == v,
        |n, z, _, v| z || n != v,
        |_, _, _, _| true,
        |_, _, _, _| true,
    ];

    fn truth(condition: u8, flags: u64) -> bool {
        let flag = |n: u64| flags >> n & 1 != 0;
        MEANINGS[usize::from(condition)](flag(3), flag(2), flag(1), flag(0))
    }

    #[test]
    fn conditions_hold_as_their_names_say() {
        for condition in 0..16 {
            for flags in 0..16 {
                let holds = holds(condition, flags << 28 | 0x1d3);
                assert_eq!(
                    holds,
                    truth(condition, flags),
                    "{condition:#b} {flags:#06b}"
                );
            }
        }
    }

    fn esr(class: u64, condition: Option<u8>) -> Esr {
        let valid = condition.map_or(0xf << 20, |c| 1 << 24 | u64::from(c) << 20);
        Esr(class << 26 | valid)
    }

    #[test]
    fn an_exit_says_whether_its_instruction_counts() {
        for class in [
            class::WFX,
            class::CP15_32,
            class::CP15_64,
            class::CP14_32,
            class::CP14_LOAD_STORE,
            class::FP,
            class::VMRS,
            class::CP14_64,
        ] {
            for flags in 0..16 {
                let a32 = flags << 28 | 0x1d3;
                for condition in 0..16 {
                    let esr = esr(class, Some(condition));
                    assert_eq!(passed(esr, a32), truth(condition, flags));
                    // AArch64 has no conditional ones.
                    assert!(passed(esr, flags << 28 | 0x3c5));
                }
                assert!(passed(esr(class, None), a32), "none");
                for condition in 0..14 {
                    let it = u64::from(condition) << 4 | 0b1000;
                    let t32 = with_it_state(a32 | psr::T, it);
                    assert_eq!(passed(esr(class, None), t32), truth(condition, flags));
                }
            }
        }
        for class in [
            class::UNKNOWN,
            class::HVC_32,
            class::DATA_ABORT,
            class::INSTRUCTION_ABORT,
        ] {
            assert!(passed(esr(class, Some(0)), 0x1d3));
        }
    }

    #[test]
    fn an_smc_says_itself_whether_it_is_sure() {
        const UNSURE: u64 = 1 << 19;
        let smc = esr(class::SMC_32, Some(0));
        assert!(passed(smc, 0x1d3), "it passed");
        assert!(!passed(Esr(smc.0 | UNSURE), 0x1d3), "EQ with Z clear");
        assert!(passed(Esr(smc.0 | UNSURE), 0x1d3 | 1 << 30));
    }

    /// The pseudocode of `AArch32.ITAdvance`, on eight bits.
    fn advanced(it: u8) -> u8 {
        if it & 0b111 == 0 {
            0
        } else {
            it & 0b1110_0000 | (it & 0b1_1111) << 1 & 0b1_1111
        }
    }

    #[test]
    fn every_it_state_moves_on_as_in_the_pseudocode() {
        for it in 0..=255_u8 {
            let state = with_it_state(0x8000_03f3, it.into());
            assert_eq!(it_state(state), it.into());
            let expected = with_it_state(0x8000_03f3, advanced(it).into());
            assert_eq!(advance_it(state), expected, "{it:#010b}");
        }
    }

    #[test]
    fn a_block_of_four_ends_after_four() {
        // ITTTT EQ: condition 0000, mask 0001.
        let mut state = with_it_state(psr::T, 0b0000_0001);
        let mut instructions = 0;
        while it_state(state) != 0 {
            state = advance_it(state);
            instructions += 1;
            assert!(instructions < 9);
        }
        assert_eq!(instructions, 4);
    }

    #[test]
    fn a32_has_no_block() {
        let state = with_it_state(0x1d3, 0b0001_1100);
        assert_eq!(advance_it(state), state);
    }
}
