//! The time of day, from UEFI's calendar to seconds.

/// A date and a time as UEFI tells them (EFI_TIME; UEFI specification 2.10, 8.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Date {
    /// The year, from 1970 on.
    pub year: u64,
    /// The month, from 1.
    pub month: u64,
    /// The day of the month, from 1.
    pub day: u64,
    /// Hours, minutes and seconds.
    pub time: [u64; 3],
    /// How many minutes must be added to make it universal time.
    pub zone: i64,
}

impl Date {
    /// Returns the seconds since 1970 began in universal time; `None` for no possible date.
    pub fn seconds(&self) -> Option<u64> {
        let &Self {
            year,
            month,
            day,
            time: [hour, minute, second],
            zone,
        } = self;
        let sane = (1970..10_000).contains(&year)
            && (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60
            && zone.unsigned_abs() <= 1440;
        if !sane {
            return None;
        }
        // Years that begin in March, so that the leap day is the last.
        let (year, month) = if month > 2 {
            (year, month - 3)
        } else {
            (year - 1, month + 9)
        };
        let leap_days = year / 4 - year / 100 + year / 400;
        // 306 days are from March to December; months of 31 and 30 days alternate, but for July
        // and August, December and January.
        let days = 365 * year + leap_days + (153 * month + 2) / 5 + day - 1;
        const DAYS_TO_1970: u64 = 719_468;
        let seconds = (days.checked_sub(DAYS_TO_1970)? * 24 + hour) * 3600 + minute * 60 + second;
        seconds.checked_add_signed(60 * zone)
    }
}

#[cfg(test)]
mod tests {
    use super::Date;

    fn date(year: u64, month: u64, day: u64) -> Date {
        Date {
            year,
            month,
            day,
            time: [0, 0, 0],
            zone: 0,
        }
    }

    /// Against counting day by day.
    #[test]
    fn every_day_of_two_centuries_follows_the_one_before() {
        let mut expected = 0;
        for year in 1970..2170 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let february = if leap { 29 } else { 28 };
            let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            for (month, days) in (1..).zip(months) {
                for day in 1..=days {
                    assert_eq!(date(year, month, day).seconds(), Some(expected));
                    expected += 86_400;
                }
            }
        }
    }

    #[test]
    fn hours_and_zones_count() {
        let mut noon = date(2024, 5, 6);
        noon.time = [12, 34, 56];
        assert_eq!(noon.seconds(), Some(1_714_998_896));
        noon.zone = -120;
        assert_eq!(noon.seconds(), Some(1_714_998_896 - 7200));
    }

    #[test]
    fn no_date_is_none() {
        for (year, month, day) in [(1969, 1, 1), (2024, 0, 1), (2024, 13, 1), (2024, 1, 0)] {
            assert_eq!(date(year, month, day).seconds(), None);
        }
        let mut first = date(1970, 1, 1);
        first.zone = -1;
        assert_eq!(first.seconds(), None);
        first.time = [24, 0, 0];
        assert_eq!(first.seconds(), None);
    }
}
