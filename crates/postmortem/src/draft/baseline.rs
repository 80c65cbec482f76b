use jiff::Timestamp;

use crate::chart::{Band, Series};

/// Points before the incident that a baseline needs.
const MIN_POINTS: usize = 5;

/// The 5th to 95th percentile of what the series showed before the incident; none with too little to go by.
pub(super) fn before(series: &[Series], until: Timestamp) -> Option<Band> {
    let mut values = values(series, |at| at < until);
    if values.len() < MIN_POINTS {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let (low, high) = (percentile(&values, 0.05), percentile(&values, 0.95));
    Some(Band { low, high, label: "normal: 5th to 95th percentile before the incident".to_owned() })
}

/// First instant at or after `from` from which a series stays at or below the baseline's upper edge, with some
/// room, for `run` points in a row; its peak must have been above.
pub(super) fn returned(series: &Series, band: &Band, from: Timestamp, run: usize) -> Option<Timestamp> {
    let limit = band.high * 1.5 + 0.002;
    let points: Vec<(Timestamp, f64)> =
        series.points.iter().filter(|p| p.0 >= from).filter_map(|p| Some((p.0, p.1?))).collect();
    let last_bad = points.iter().rposition(|(_, value)| *value > limit)?;
    let after = &points[last_bad + 1..];
    (after.len() >= run).then(|| after.first().map(|p| p.0)).flatten()
}

fn values(series: &[Series], keep: impl Fn(Timestamp) -> bool) -> Vec<f64> {
    series
        .iter()
        .flat_map(|line| line.points.iter())
        .filter(|point| keep(point.0))
        .filter_map(|point| point.1.filter(|value| value.is_finite()))
        .collect()
}

/// Linear between the two nearest ranks; the values are sorted and not empty.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64)
}
