use jiff::{SignedDuration, Timestamp};

use crate::onset::{Indicator, LEVEL_KEPT};
use crate::series::total;
use crate::{Onset, Telemetry};

/// Length of a bucket in seconds.
pub(crate) const BUCKET_SECONDS: i64 = 10;
/// How far around a boundary is looked at closely.
pub(crate) const REACH: SignedDuration = SignedDuration::from_mins(2);
/// Rates are kept this far from 0 and 1, so that one request never decides alone.
const RATE_MARGIN: f64 = 1e-3;

/// Requests of one service around an instant, in buckets of ten seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct CloseUp {
    /// The service.
    pub service: String,
    /// Start of the first bucket.
    pub from: Timestamp,
    /// Requests received in each bucket.
    pub calls: Vec<f64>,
    /// Those that failed.
    pub errors: Vec<f64>,
}

impl CloseUp {
    /// Nothing received around `at`.
    pub fn empty(service: &str, at: Timestamp) -> Self {
        let from = at.saturating_sub(REACH).unwrap_or(at);
        let buckets = usize::try_from(2 * REACH.as_secs() / BUCKET_SECONDS).unwrap_or(0);
        Self { service: service.to_owned(), from, calls: vec![0.0; buckets], errors: vec![0.0; buckets] }
    }

    /// End of the last bucket.
    pub fn to(&self) -> Timestamp {
        self.bucket(self.calls.len())
    }

    /// The bucket that `at` lies in.
    pub(crate) fn index(&self, at: Timestamp) -> Option<usize> {
        let index = at.duration_since(self.from).as_secs().div_euclid(BUCKET_SECONDS);
        usize::try_from(index).ok().filter(|index| *index < self.calls.len())
    }

    fn bucket(&self, index: usize) -> Timestamp {
        let seconds = i64::try_from(index).unwrap_or(0) * BUCKET_SECONDS;
        self.from.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(self.from)
    }

    /// How much likelier each bucket's failures are while customers are hurt than before: log-likelihood ratios.
    fn evidence(&self, calm: f64, hurt: f64) -> Vec<f64> {
        let (failed, served) = ((hurt / calm).ln(), ((1.0 - hurt) / (1.0 - calm)).ln());
        let weigh = |(errors, calls): (&f64, &f64)| errors * failed + (calls - errors).max(0.0) * served;
        self.errors.iter().zip(&self.calls).map(weigh).collect()
    }
}

/// The onset to the bucket: the split of the buckets around its minute that is likeliest for a failure rate that
/// goes from what it was before to at least the share of the rise that counts as the same outage. `None` for other
/// indicators, and where no close-up was gathered.
pub(crate) fn onset_at(telemetry: &Telemetry, onset: &Onset) -> Option<Timestamp> {
    let (close, evidence) = read(telemetry, onset, onset.minute)?;
    // Everything from the split on is outage, so the best split has the largest sum behind it.
    let split = best(evidence.iter().rev())?;
    Some(close.bucket(close.calls.len() - split))
}

/// The end to the bucket, as [`onset_at`] finds the beginning; `minute` is the first calm one.
pub(crate) fn end_at(telemetry: &Telemetry, onset: &Onset, minute: Timestamp) -> Option<Timestamp> {
    let (close, evidence) = read(telemetry, onset, minute)?;
    best(evidence.iter()).map(|split| close.bucket(split))
}

/// The close-up around this minute and the evidence of its buckets.
fn read<'a>(telemetry: &'a Telemetry, onset: &Onset, minute: Timestamp) -> Option<(&'a CloseUp, Vec<f64>)> {
    if onset.indicator != Indicator::ErrorShare {
        return None;
    }
    let around = CloseUp::empty(&onset.service, minute).from;
    let close = telemetry.close_ups.iter().find(|c| c.service == onset.service && c.from == around)?;
    let series = telemetry.services.get(&onset.service)?;
    let before = 0..telemetry.index_of(CloseUp::empty(&onset.service, onset.minute).from);
    let (failed, all) = (total(&series.errors, before.clone()), total(&series.calls, before));
    // One failure more than was seen: what never failed in an hour may still fail once in the next.
    let calm = ((failed + 1.0) / (all + 1.0)).max(onset.before);
    let hurt = onset.before + LEVEL_KEPT * (onset.after - onset.before);
    let keep = |rate: f64| rate.clamp(RATE_MARGIN, 1.0 - RATE_MARGIN);
    let (calm, hurt) = (keep(calm), keep(hurt));
    (hurt > calm).then(|| (close, close.evidence(calm, hurt)))
}

/// After how many values the running sum is largest, and above zero.
fn best<'a>(values: impl Iterator<Item = &'a f64>) -> Option<usize> {
    let mut sum = 0.0;
    let mut found: Option<(usize, f64)> = None;
    for (index, value) in values.enumerate() {
        sum += value;
        if sum > found.map_or(0.0, |(_, best)| best) {
            found = Some((index + 1, sum));
        }
    }
    found.map(|(count, _)| count)
}

/// Failed and all requests of `[from, to)`: whole minutes from the series, the ends from the close-ups. An end that
/// no close-up covers counts with its whole minute.
pub(crate) fn counts(telemetry: &Telemetry, service: &str, from: Timestamp, to: Timestamp) -> (f64, f64) {
    let Some(series) = telemetry.services.get(service) else { return (0.0, 0.0) };
    let range = telemetry.index_of(from)..telemetry.index_of_end(to);
    let (mut failed, mut all) = (0.0, 0.0);
    for minute in range {
        let start = telemetry.minute_at(minute);
        let end = telemetry.minute_at(minute + 1);
        let close =
            telemetry.close_ups.iter().find(|c| c.service == service && c.from <= start && end <= c.to());
        let (low, high) = (start.max(from), end.min(to));
        match close.and_then(|c| Some((c, c.index(low)?..c.index(last_of(high))? + 1))) {
            Some((close, buckets)) if low > start || high < end => {
                failed += close.errors[buckets.clone()].iter().sum::<f64>();
                all += close.calls[buckets].iter().sum::<f64>();
            }
            _ => {
                failed += total(&series.errors, minute..minute + 1);
                all += total(&series.calls, minute..minute + 1);
            }
        }
    }
    (failed, all)
}

/// The last instant before this one that matters here.
fn last_of(end: Timestamp) -> Timestamp {
    end.saturating_sub(SignedDuration::from_millis(1)).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ONSET, always, deploy_world, minute};

    fn world() -> (Telemetry, Onset) {
        let mut world = deploy_world(3);
        world.service(
            "checkout",
            always(30.0),
            |i| if (80..105).contains(&i) { 0.6 } else { 0.0 },
            always(80.0),
        );
        let onset = Onset {
            at: minute(ONSET),
            minute: minute(ONSET),
            low: minute(ONSET),
            high: minute(ONSET),
            service: "checkout".to_owned(),
            indicator: Indicator::ErrorShare,
            before: 0.0,
            after: 0.6,
            sql: String::new(),
        };
        (world.telemetry, onset)
    }

    /// Five requests a bucket, failing as told by the bucket's number.
    fn close(at: Timestamp, failed: impl Fn(usize) -> f64) -> CloseUp {
        let empty = CloseUp::empty("checkout", at);
        let errors = (0..empty.calls.len()).map(failed).collect();
        CloseUp { calls: vec![5.0; empty.calls.len()], errors, ..empty }
    }

    fn after(at: Timestamp, seconds: i64) -> Timestamp {
        at.checked_add(SignedDuration::from_secs(seconds)).unwrap()
    }

    #[test]
    fn the_onset_is_the_first_bucket_of_the_sustained_rise() {
        let (mut telemetry, onset) = world();
        // Buckets begin two minutes before: number 8 is 40 s before the minute. It begins with one failure in five.
        telemetry.close_ups = vec![close(onset.minute, |i| match i {
            0..8 => 0.0,
            8..10 => 1.0,
            _ => 3.0,
        })];
        assert_eq!(onset_at(&telemetry, &onset), Some(after(onset.minute, -40)));
    }

    #[test]
    fn a_lone_failure_long_before_is_not_the_onset() {
        let (mut telemetry, onset) = world();
        telemetry.close_ups = vec![close(onset.minute, |i| match i {
            1 => 1.0,
            12.. => 3.0,
            _ => 0.0,
        })];
        assert_eq!(onset_at(&telemetry, &onset), Some(onset.minute));
    }

    #[test]
    fn the_end_is_after_the_last_bucket_that_is_hurt() {
        let (mut telemetry, onset) = world();
        let calm = minute(105);
        telemetry.close_ups = vec![close(calm, |i| if i < 13 { 2.0 } else { 0.0 })];
        assert_eq!(end_at(&telemetry, &onset, calm), Some(after(calm, 10)));
    }

    #[test]
    fn without_a_close_up_or_for_latency_the_minute_stays() {
        let (mut telemetry, mut onset) = world();
        assert_eq!(onset_at(&telemetry, &onset), None);
        telemetry.close_ups = vec![close(onset.minute, |_| 3.0)];
        onset.indicator = Indicator::P95;
        assert_eq!(onset_at(&telemetry, &onset), None);
        telemetry.close_ups = vec![close(onset.minute, |_| 0.0)];
        onset.indicator = Indicator::ErrorShare;
        assert_eq!(onset_at(&telemetry, &onset), None, "no failure at all: nothing to see closer");
    }

    #[test]
    fn parts_of_minutes_are_counted_from_the_buckets() {
        let (mut telemetry, _) = world();
        telemetry.close_ups = vec![close(minute(ONSET), |_| 3.0)];
        let whole = counts(&telemetry, "checkout", minute(ONSET), minute(ONSET + 10));
        // 40 s before: four buckets of five requests, of which three failed.
        let more = counts(&telemetry, "checkout", after(minute(ONSET), -40), minute(ONSET + 10));
        assert_eq!(((more.0 - whole.0).round(), (more.1 - whole.1).round()), (12.0, 20.0));
    }
}
