//! So many starts per second, minute, hour or day.
//!
//! In any window of that length, wherever it begins, there are never more; how `fetch.lua` counts that is said there.

use std::{fmt, str::FromStr};

/// At most `most` starts in any window of this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    most: u32,
    per: Per,
}

/// Length of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Per {
    Second,
    Minute,
    Hour,
    Day,
}

impl Per {
    const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::Hour, Self::Day];

    fn word(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "m",
            Self::Hour => "h",
            Self::Day => "d",
        }
    }

    fn ms(self) -> u64 {
        match self {
            Self::Second => 1_000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }
}

/// A rate that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no rate: write a number from 1 to 1000000 and a window, such as 10/s, 500/m, 2000/h or 10000/d"
)]
pub struct BadRate(String);

impl FromStr for Rate {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        let bad = || BadRate(text.to_owned());
        let (most, per) = text.split_once('/').ok_or_else(bad)?;
        let most = most.parse().ok().filter(|most| (1..=1_000_000).contains(most)).ok_or_else(bad)?;
        let per = Per::ALL.into_iter().find(|known| known.word() == per).ok_or_else(bad)?;
        Ok(Self { most, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.most, self.per.word())
    }
}

impl Rate {
    /// Whether both speak of windows of the same length.
    pub(super) fn has_length_of(self, other: Self) -> bool {
        self.per == other.per
    }

    /// As `fetch.lua` reads it: number and length of the window in ms.
    pub(super) fn encode(self) -> String {
        format!("{}/{}", self.most, self.per.ms())
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        let (most, ms) = text.split_once('/')?;
        let per = Per::ALL.into_iter().find(|known| known.ms().to_string() == ms)?;
        let most = most.parse().ok().filter(|most| 0 < *most)?;
        Some(Self { most, per })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        let read = |text: &str| text.parse::<Rate>().map(|rate| rate.to_string());

        for text in ["1/s", "500/m", "2000/h", "1000000/d"] {
            assert_eq!(read(text).as_deref(), Ok(text));
            let rate: Rate = text.parse().unwrap();
            assert_eq!(Rate::decode(&rate.encode()), Some(rate));
        }
        for text in ["", "10", "0/s", "-1/s", "1.5/s", "10/y", "10/ s", "1000001/s", "10/s/m"] {
            assert!(read(text).is_err(), "{text:?} was accepted");
        }
    }
}
