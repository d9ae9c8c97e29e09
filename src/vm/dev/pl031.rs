//! A guest's real-time clock, the PrimeCell RTC (Arm DDI 0224).
//!
//! Time is the caller's: `now` is in seconds since any fixed moment, and does not run backwards.
//! The clock always runs: CR reads as enabled, as the manual has it from the first enabling on.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::panic
    )
)]

const DR: u64 = 0x00;
const MR: u64 = 0x04;
const LR: u64 = 0x08;
const CR: u64 = 0x0c;
const IMSC: u64 = 0x10;
const RIS: u64 = 0x14;
const MIS: u64 = 0x18;
const ICR: u64 = 0x1c;
const ID_BASE: u64 = 0xfe0;
const ID_END: u64 = 0x1000;

/// A PL031.
#[derive(Clone, Debug)]
pub struct Pl031 {
    /// What the counter is ahead of `now`, modulo 2^32.
    ahead: u32,
    loaded: u32,
    alarm: u32,
    mask: bool,
    raw: bool,
    /// Up to when the counter has been compared with the match register.
    compared: u64,
}

impl Pl031 {
    /// Makes a clock that shows `time`, in seconds since 1970, at the moment `now`.
    pub const fn new(time: u64, now: u64) -> Self {
        let time = time as u32;
        Self {
            ahead: time.wrapping_sub(now as u32),
            loaded: time,
            alarm: 0,
            mask: false,
            raw: false,
            compared: now,
        }
    }

    /// Reads the register at `offset` bytes; what is none reads as zero.
    pub fn read(&mut self, offset: u64, now: u64) -> u32 {
        self.update(now);
        match offset {
            DR => self.count(now),
            MR => self.alarm,
            LR => self.loaded,
            CR => 1,
            IMSC => self.mask.into(),
            RIS => self.raw.into(),
            MIS => self.line().into(),
            ID_BASE..ID_END if offset.is_multiple_of(4) => identification(offset),
            _ => 0,
        }
    }

    /// Writes the register at `offset` bytes; what can't be written is ignored.
    pub fn write(&mut self, offset: u64, value: u32, now: u64) {
        self.update(now);
        match offset {
            MR => self.alarm = value,
            LR => {
                self.loaded = value;
                self.ahead = value.wrapping_sub(now as u32);
            }
            IMSC => self.mask = value & 1 != 0,
            ICR if value & 1 != 0 => self.raw = false,
            _ => {}
        }
        if matches!(offset, MR | LR) && self.alarm == self.count(now) {
            self.raw = true;
        }
    }

    /// Lets the clock notice that it is `now`: an alarm that was passed is raised.
    pub fn update(&mut self, now: u64) {
        let passed = now.saturating_sub(self.compared);
        // The match of this very second was noticed when it began: the next is 1 to 2^32 away.
        let next = u64::from(self.until_match(self.compared).wrapping_sub(1));
        if passed > next {
            self.raw = true;
        }
        self.compared = self.compared.max(now);
    }

    /// Returns the level of the interrupt line as of the last [`update`](Self::update) or access.
    pub const fn line(&self) -> bool {
        self.raw && self.mask
    }

    /// Returns the moment at which the line will rise if nothing is written before, for the caller
    /// to call [`update`](Self::update) then; `None` when it is up or masked.
    pub fn deadline(&self) -> Option<u64> {
        if self.raw || !self.mask {
            return None;
        }
        let next = u64::from(self.until_match(self.compared).wrapping_sub(1));
        self.compared.checked_add(next)?.checked_add(1)
    }

    const fn count(&self, now: u64) -> u32 {
        self.ahead.wrapping_add(now as u32)
    }

    /// Returns how many seconds after `moment` the counter matches, modulo 2^32.
    const fn until_match(&self, moment: u64) -> u32 {
        self.alarm.wrapping_sub(self.count(moment))
    }
}

/// Returns an identification register: eight bits each of two words.
fn identification(offset: u64) -> u32 {
    let word: u32 = if offset < 0xff0 {
        0x0004_1031
    } else {
        0xb105_f00d
    };
    (word >> ((offset & 0xc) << 1)) & 0xff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_the_time() {
        let mut rtc = Pl031::new(1_800_000_000, 50);
        assert_eq!(rtc.read(DR, 50), 1_800_000_000);
        assert_eq!(rtc.read(DR, 61), 1_800_000_011);
        assert_eq!((rtc.read(CR, 61), rtc.read(LR, 61)), (1, 1_800_000_000));
        rtc.write(LR, 7, 100);
        assert_eq!((rtc.read(DR, 103), rtc.read(LR, 103)), (10, 7));
        rtc.write(DR, 99, 103);
        rtc.write(CR, 0, 103);
        assert_eq!((rtc.read(DR, 103), rtc.read(CR, 103)), (10, 1));
        rtc.write(LR, u32::MAX, 200);
        assert_eq!(rtc.read(DR, 202), 1, "it wraps");
    }

    #[test]
    fn the_identification_is_the_manuals() {
        let mut rtc = Pl031::new(0, 0);
        let bytes: std::vec::Vec<_> = (0xfe0..0x1000)
            .step_by(4)
            .map(|at| rtc.read(at, 0))
            .collect();
        assert_eq!(bytes, [0x31, 0x10, 0x04, 0, 0x0d, 0xf0, 0x05, 0xb1]);
        assert_eq!(
            rtc.read(0xfe1, 0) | rtc.read(0x20, 0) | rtc.read(0x1000, 0),
            0
        );
    }

    #[test]
    fn a_driver_sets_an_alarm() {
        let mut rtc = Pl031::new(1000, 0);
        let alarm = rtc.read(DR, 3) + 5;
        rtc.write(MR, alarm, 3);
        rtc.write(ICR, 1, 3);
        rtc.write(IMSC, 1, 3);
        assert_eq!(rtc.deadline(), Some(8));
        rtc.update(7);
        assert!(!rtc.line());
        rtc.update(8);
        assert!(rtc.line());
        assert_eq!(rtc.deadline(), None);
        assert_eq!((rtc.read(RIS, 8), rtc.read(MIS, 8)), (1, 1));
        rtc.write(ICR, 0, 8);
        assert!(rtc.line());
        rtc.write(ICR, 1, 8);
        assert!(!rtc.line());
        rtc.update(9);
        assert!(!rtc.line(), "a match is one moment");
        assert_eq!(rtc.deadline(), Some(8 + (1 << 32)));
    }

    #[test]
    fn a_masked_alarm_is_kept() {
        let mut rtc = Pl031::new(0, 0);
        rtc.write(MR, 10, 0);
        assert_eq!(rtc.deadline(), None);
        assert_eq!((rtc.read(RIS, 11), rtc.read(MIS, 11)), (1, 0));
        rtc.write(IMSC, 1, 11);
        assert!(rtc.line());
    }

    #[test]
    fn an_alarm_for_this_second_rings_now() {
        let mut rtc = Pl031::new(5, 0);
        rtc.write(MR, 5, 0);
        assert_eq!(rtc.read(RIS, 0), 1);
        rtc.write(ICR, 1, 0);
        rtc.write(MR, 9, 0);
        rtc.write(LR, 9, 0);
        assert_eq!(rtc.read(RIS, 0), 1);
    }

    /// Counts the clock second by second.
    struct Naive {
        now: u64,
        count: u32,
        alarm: u32,
        raw: bool,
    }

    impl Naive {
        fn run_to(&mut self, now: u64) {
            while self.now < now {
                self.now += 1;
                self.count = self.count.wrapping_add(1);
                self.raw |= self.count == self.alarm;
            }
        }
    }

    #[test]
    fn it_agrees_with_counting() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |bound: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % bound
        };
        let mut rtc = Pl031::new(u64::from(u32::MAX) - 20, 7);
        let mut naive = Naive {
            now: 7,
            count: u32::MAX - 20,
            alarm: 0,
            raw: false,
        };
        for _ in 0..20_000 {
            let now = naive.now + random(12);
            naive.run_to(now);
            match random(5) {
                0 => {
                    naive.alarm = naive.count.wrapping_add(random(30) as u32);
                    naive.raw |= naive.count == naive.alarm;
                    rtc.write(MR, naive.alarm, now);
                }
                1 => {
                    naive.count = naive.alarm.wrapping_sub(random(30) as u32);
                    naive.raw |= naive.count == naive.alarm;
                    rtc.write(LR, naive.count, now);
                }
                2 => {
                    naive.raw = false;
                    rtc.write(ICR, 1, now);
                }
                3 => rtc.update(now),
                _ => {
                    let nothing = [DR, CR, RIS, MIS, 0x20][random(5) as usize];
                    rtc.write(nothing, random(1 << 32) as u32, now);
                }
            }
            assert_eq!(rtc.read(DR, now), naive.count);
            assert_eq!(rtc.read(RIS, now) != 0, naive.raw);
        }
    }

    #[test]
    fn time_that_runs_backwards_harms_nobody() {
        let mut rtc = Pl031::new(100, u64::MAX);
        rtc.write(IMSC, 1, u64::MAX);
        rtc.write(MR, 99, 0);
        rtc.update(0);
        let _ = rtc.deadline();
        rtc.update(u64::MAX);
        assert_eq!(rtc.read(DR, u64::MAX), 100);
    }
}
