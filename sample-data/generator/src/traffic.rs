//! How many visitors there are, and what they want.

use crate::SECOND;
use crate::dice::Dice;
use crate::journeys::Journey;

/// Visitors' requests per second at the busiest hour.
const PEAK_RATE: f64 = 2.45;
/// Share of the peak at each hour of the day where the visitors live.
const HOURS: [f64; 24] = [
    0.30, 0.22, 0.17, 0.14, 0.13, 0.17, 0.28, 0.44, 0.60, 0.72, 0.81, 0.88, 0.94, 0.98, 1.00, 0.97, 0.93,
    0.92, 0.95, 0.98, 0.92, 0.76, 0.57, 0.41,
];
/// Pacific daylight time, in hours from UTC.
const HOURS_BEHIND_UTC: u64 = 7;
const HOUR: u64 = 3_600 * SECOND;

/// Journeys in a hundred.
const MIX: [(Journey, f64); 6] = [
    (Journey::Home, 0.24),
    (Journey::Product, 0.28),
    (Journey::Search, 0.12),
    (Journey::AddToCart, 0.11),
    (Journey::LogIn, 0.05),
    (Journey::CheckOut, 0.20),
];

/// The stream of visitors: a Poisson stream whose rate follows the day and drifts a little.
#[derive(Debug)]
pub(crate) struct Visitors {
    dice: Dice,
    next: u64,
    drift: f64,
    drift_until: u64,
}

impl Visitors {
    pub(crate) fn new(seed: u64, start: u64) -> Self {
        Self { dice: Dice::new(seed, 3), next: start, drift: 0.0, drift_until: start }
    }

    /// The next visitor who comes before `until`: when, and for what.
    pub(crate) fn next(&mut self, until: u64) -> Option<(u64, Journey)> {
        let at = self.next;
        if at >= until {
            return None;
        }
        if at >= self.drift_until {
            self.drift = 0.8 * self.drift + 0.025 * self.dice.normal();
            self.drift_until = at + 60 * SECOND;
        }
        self.next = at + self.dice.gap(rate(at) * (1.0 + self.drift).max(0.5));
        Some((at, self.journey()))
    }

    fn journey(&mut self) -> Journey {
        let mut left = self.dice.unit();
        for (journey, share) in MIX {
            if left < share {
                return journey;
            }
            left -= share;
        }
        Journey::Home
    }
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds within an hour")]
fn rate(at: u64) -> f64 {
    let local = (at / HOUR + 24 - HOURS_BEHIND_UTC) % 24;
    let hour = usize::try_from(local).expect("below 24");
    let into = (at % HOUR) as f64 / HOUR as f64;
    PEAK_RATE * (HOURS[hour] * (1.0 - into) + HOURS[(hour + 1) % 24] * into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_is_whole_and_the_rate_joins_up_at_the_hour() {
        assert!((MIX.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-9);
        for hour in 0..48 {
            assert!((rate(hour * HOUR + HOUR - 1) - rate((hour + 1) * HOUR)).abs() < 1e-6);
        }
    }
}
