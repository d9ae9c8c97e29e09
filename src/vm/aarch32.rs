//! What skipping an instruction means in AArch32.

/// Moves the IT block of an SPSR on by one instruction (Arm ARM, `AArch32.ITAdvance`).
///
/// ITSTATE[7:2] is in bits 15:10 of an SPSR, ITSTATE[1:0] in bits 26:25.
pub fn advance_it(spsr: u64) -> u64 {
    const HIGH: u64 = 0b11_1111 << 10;
    const LOW: u64 = 0b11 << 25;
    const T32: u64 = 1 << 5;
    if spsr & T32 == 0 {
        return spsr;
    }
    let it = (spsr & HIGH) >> 8 | (spsr & LOW) >> 25;
    let next = if it & 0b111 == 0 {
        0
    } else {
        it & 0b1110_0000 | (it << 1) & 0b1_1111
    };
    spsr & !(HIGH | LOW) | (next << 8) & HIGH | (next << 25) & LOW
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spsr(it: u64) -> u64 {
        1 << 5 | (it >> 2) << 10 | (it & 3) << 25
    }

    #[test]
    fn a_block_of_four_ends_after_four() {
        // ITTTT EQ: condition 0000, mask 0001.
        let mut state = spsr(0b0000_0001);
        let mut conditions = 0;
        while state != spsr(0) {
            state = advance_it(state);
            conditions += 1;
            assert!(conditions < 9);
        }
        assert_eq!(conditions, 4);
    }

    #[test]
    fn the_condition_keeps_its_upper_bits() {
        // ITE NE: firstcond 0001, mask 0100 gives 0001_0100... then 0000_1000 by the shift.
        assert_eq!(advance_it(spsr(0b0001_1100)), spsr(0b0001_1000));
        assert_eq!(advance_it(spsr(0b1011_0100)), spsr(0b1010_1000));
    }

    #[test]
    fn a32_has_no_block() {
        let state = spsr(0b0001_1100) & !(1 << 5);
        assert_eq!(advance_it(state), state);
    }
}
