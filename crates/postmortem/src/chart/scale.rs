use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Unit;

/// A linear map from values to pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Scale {
    /// Maps `domain` to `range`; an empty domain maps to the range's start.
    pub(super) fn new(domain: (f64, f64), range: (f64, f64)) -> Self {
        Self { from: domain.0, to: domain.1, start: range.0, end: range.1 }
    }

    pub(super) fn at(&self, value: f64) -> f64 {
        let width = self.to - self.from;
        if width <= 0.0 || !width.is_finite() {
            return self.start;
        }
        let share = ((value - self.from) / width).clamp(0.0, 1.0);
        self.start + share * (self.end - self.start)
    }
}

const VALUE_TICKS: f64 = 4.0;
const MAX_TIME_TICKS: i64 = 7;

/// Round values that cover `low..=high`, about five of them; the first and last are the ends of the axis.
pub(super) fn value_ticks(low: f64, high: f64, unit: Unit) -> Vec<f64> {
    let (low, high) = if high > low { (low, high) } else { (low, low + fallback_width(low, unit)) };
    let step = round_step((high - low) / VALUE_TICKS, base_of(high.abs().max(low.abs()), unit));
    let first = (low / step + 1e-9).floor();
    let last = (high / step - 1e-9).ceil();
    let mut ticks = Vec::new();
    let mut index = first;
    while index <= last && ticks.len() < 12 {
        ticks.push(index * step);
        index += 1.0;
    }
    ticks
}

fn fallback_width(low: f64, unit: Unit) -> f64 {
    match unit {
        Unit::Percent => 0.01,
        _ if low == 0.0 => 1.0,
        _ => low.abs(),
    }
}

/// What one "1" on the axis is, so that steps are round as people read them: minutes, KiB, per cent.
fn base_of(size: f64, unit: Unit) -> f64 {
    let largest = |steps: &[f64]| steps.iter().copied().rfind(|step| size >= *step).unwrap_or(steps[0]);
    match unit {
        Unit::Seconds => {
            largest(&[1.0, 120.0, 7_200.0]).min(3_600.0)
                / if (120.0..7_200.0).contains(&size) { 2.0 } else { 1.0 }
        }
        Unit::Nanoseconds => base_of(size / 1e9, Unit::Seconds) * 1e9,
        Unit::Bytes => largest(&[1.0, 1_024.0, 1_048_576.0, 1_073_741_824.0, 1_099_511_627_776.0]),
        _ => 1.0,
    }
}

fn round_step(rough: f64, base: f64) -> f64 {
    let rough = (rough / base).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|f| f * power >= rough * 0.999).unwrap_or(10.0);
    factor * power * base
}

/// Whole-second steps that people count time in.
const TIME_STEPS_S: [i64; 20] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400,
    172_800, 604_800,
];

/// Instants to label on the time axis, aligned in the zone, with their texts.
pub(super) fn time_ticks(from: Timestamp, to: Timestamp, zone: &TimeZone) -> Vec<(Timestamp, String)> {
    let span = to.as_second().saturating_sub(from.as_second());
    if span <= 0 {
        return Vec::new();
    }
    let longest = TIME_STEPS_S[TIME_STEPS_S.len() - 1];
    let step = TIME_STEPS_S.into_iter().find(|step| span / step < MAX_TIME_TICKS).unwrap_or_else(|| {
        let weeks = span / (MAX_TIME_TICKS * longest) + 1;
        weeks * longest
    });
    let offset = i64::from(zone.to_offset(from).seconds());
    let mut second = (from.as_second() + offset).div_euclid(step) * step - offset;
    let mut ticks = Vec::new();
    while second <= to.as_second() {
        if let Ok(at) = Timestamp::from_second(second)
            && at >= from
        {
            ticks.push((at, time_label(at, step, zone)));
        }
        second += step;
    }
    ticks
}

fn time_label(at: Timestamp, step: i64, zone: &TimeZone) -> String {
    let local = at.to_zoned(zone.clone());
    let format = match step {
        s if s < 60 => "%H:%M:%S",
        s if s < 86_400 => "%H:%M",
        _ => "%b %e",
    };
    local.strftime(format).to_string()
}

/// The zone's short name at an instant (`UTC`, `PDT`), or its offset where it has none.
pub(crate) fn zone_name(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_ticks_are_round_and_cover_the_data() {
        assert_eq!(value_ticks(0.0, 0.143, Unit::Percent), [0.0, 0.05, 0.1, 0.15000000000000002]);
        assert_eq!(value_ticks(0.0, 97.0, Unit::None), [0.0, 25.0, 50.0, 75.0, 100.0]);
        assert_eq!(value_ticks(0.0, 0.0, Unit::Percent).last(), Some(&0.01));
        assert_eq!(value_ticks(0.0, 4096.0, Unit::Bytes), [0.0, 1024.0, 2048.0, 3072.0, 4096.0]);
        assert_eq!(value_ticks(0.0, 600.0, Unit::Seconds), [0.0, 150.0, 300.0, 450.0, 600.0]);
    }

    #[test]
    fn time_ticks_are_aligned_in_the_zone() {
        let from: Timestamp = "2026-05-04T21:03:00Z".parse().unwrap();
        let to: Timestamp = "2026-05-04T22:27:00Z".parse().unwrap();
        let utc: Vec<String> = time_ticks(from, to, &TimeZone::UTC).into_iter().map(|t| t.1).collect();
        assert_eq!(utc, ["21:15", "21:30", "21:45", "22:00", "22:15"]);
        let india = TimeZone::fixed(jiff::tz::Offset::from_seconds(19_800).unwrap());
        assert_eq!(time_ticks(from, to, &india)[0].1, "02:45");
        assert!(time_ticks(to, from, &TimeZone::UTC).is_empty());
    }
}
