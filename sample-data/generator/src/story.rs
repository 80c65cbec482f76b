use jiff::Timestamp;

use crate::SECOND;

/// Which telling: everything that is made up follows from these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    pub(crate) seed: u64,
    start: u64,
    seconds: u64,
}

/// A start that telemetry cannot have.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the recording cannot start at {start}; choose a time from 1971 to 2500")]
pub struct StoryError {
    start: Timestamp,
}

/// The recording's length: 28 minutes before the rollout, 34 of trouble, 28 of calm.
const RECORDING: u64 = 90 * 60;
const YEARS: std::ops::Range<i64> = 31_536_000..16_725_225_600;

impl Story {
    /// The recording that starts at `start`, told with this seed.
    ///
    /// # Errors
    /// When the start is outside the years 1971 to 2500.
    pub fn new(seed: u64, start: Timestamp) -> Result<Self, StoryError> {
        let second = start.as_second();
        let Some(second) = u64::try_from(second).ok().filter(|_| YEARS.contains(&second)) else {
            return Err(StoryError { start });
        };
        Ok(Self { seed, start: second * SECOND, seconds: RECORDING })
    }

    /// The same story, cut off after this many seconds.
    #[must_use]
    pub fn shortened(&self, seconds: u64) -> Self {
        Self { seconds: seconds.min(self.seconds), ..self.clone() }
    }

    /// Where the recording starts, nanoseconds since the epoch.
    pub(crate) fn start_nanos(&self) -> u64 {
        self.start
    }

    pub(crate) fn end_nanos(&self) -> u64 {
        self.start + self.seconds * SECOND
    }
}

impl Default for Story {
    /// The telling that is checked in: 4 May 2026, 14:04 in Los Angeles.
    fn default() -> Self {
        let start = "2026-05-04T21:04:00Z".parse().expect("a literal time");
        Self::new(20_260_504, start).expect("a year in between")
    }
}
