//! Metrics: each series against its own past, and against what the same metric does in the other services.

use std::collections::BTreeMap;

use super::shown::Shown;
use super::{Finding, Findings, Kind, MetricPoints, Observations, Window};
use crate::format;
use crate::statistics::{count, median, quantile};

/// Points of the past that are compared, the latest.
const PAST_MAX: usize = 120;
/// Steps of a coarse series that a window holds at least.
const STEPS_MIN: f64 = 4.2;
/// With fewer series of one metric there are no peers to compare with.
const PEERS_MIN: usize = 5;
/// Level, as a share of the usual one, below which differences say nothing.
const FLOOR: f64 = 0.1;
/// The same for shares of success, which are compared by what is missing to their best.
const FLOOR_OF_SHARES: f64 = 0.02;
/// Distances that count fully, in scales.
const FULL: f64 = 12.0;
/// Furthest distance of a series that never moved before: nothing says how restless it is.
const STILL_MAX: f64 = 8.0;
/// More or fewer requests is mostly what others do to a service.
const LOAD_WEIGHT: f64 = 0.5;
/// Share of a caller's symptom that is handed to callees with the same symptom.
const HANDED_DOWN: f64 = 0.6;
/// Distance from which a callee takes part in its callers' symptom.
const TAKES_PART: f64 = 1.2;

/// What a metric measures, by the words that every convention uses for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Meaning {
    /// Bad when it falls.
    Success,
    /// Bad when it rises.
    Failure,
    /// Bad when it rises.
    Slowness,
    /// Work that was asked for.
    Load,
    /// Anything else; bad when it leaves its level.
    Level,
}

/// All series, by metric.
pub(super) struct MetricView<'a> {
    by_metric: Vec<(Meaning, Vec<Member<'a>>)>,
    callees: BTreeMap<&'a str, std::collections::BTreeSet<&'a str>>,
}

struct Member<'a> {
    /// Its place among the observations.
    index: usize,
    series: &'a MetricPoints,
    points: Vec<(f64, f64)>,
    step: f64,
    /// How many services show the very same numbers, as machines do that several share.
    shared_by: f64,
}

/// One series in one window.
struct Shift<'m, 'a> {
    member: &'m Member<'a>,
    distance: f64,
    before: f64,
    after: f64,
}

impl<'a> MetricView<'a> {
    pub(super) fn new(observations: &'a Observations) -> Self {
        let idle = idle_moments(&observations.metrics);
        let mut by_metric: BTreeMap<(&str, &str), Vec<Member<'a>>> = BTreeMap::new();
        for (index, series) in observations.metrics.iter().enumerate() {
            let meaning = Meaning::of(&series.metric, &series.unit);
            let mut points = series.points.clone();
            // How well nothing was answered is no measurement.
            if matches!(meaning, Meaning::Success | Meaning::Failure | Meaning::Slowness)
                && let Some(idle) = idle.get(series.service.as_str())
            {
                points.retain(|(at, _)| !idle.contains(&moment(*at)));
            }
            if !points.is_empty() {
                let step = step_of(&points);
                by_metric.entry((&series.metric, &series.attributes)).or_default().push(Member {
                    index,
                    series,
                    points,
                    step,
                    shared_by: 1.0,
                });
            }
        }
        let by_metric = by_metric
            .into_iter()
            .map(|((metric, _), mut members)| {
                count_sharers(&mut members);
                let unit = members.first().map_or("", |member| member.series.unit.as_str());
                (Meaning::of(metric, unit), members)
            })
            .collect();
        Self { by_metric, callees: observations.callees() }
    }

    pub(super) fn findings(&self, window: Window) -> Findings {
        let mut shifts: BTreeMap<&'a str, BTreeMap<Meaning, Vec<Shift<'_, 'a>>>> = BTreeMap::new();
        for (meaning, members) in &self.by_metric {
            for shift in compare(*meaning, members, window) {
                let of_service = shifts.entry(shift.member.series.service.as_str()).or_default();
                of_service.entry(*meaning).or_default().push(shift);
            }
        }
        for of_service in shifts.values_mut() {
            for of_meaning in of_service.values_mut() {
                of_meaning.sort_by(|a, b| b.distance.total_cmp(&a.distance));
            }
        }
        let weights = self.hand_down(&shifts);
        shifts
            .into_iter()
            .filter_map(|(service, of_service)| {
                let weights = weights.get(service)?;
                let mut sorted: Vec<f64> = weights.values().copied().collect();
                sorted.sort_by(|a, b| b.total_cmp(a));
                let weight = sorted.first()? + 0.3 * sorted.iter().skip(1).sum::<f64>();
                let furthest = of_service.into_values().flatten();
                let furthest = furthest.max_by(|a, b| a.distance.total_cmp(&b.distance))?;
                let (weight, shown) = (weight.min(1.0), shown(&furthest, window));
                let finding = Finding { kind: Kind::Metric, weight, text: tell(&furthest), shown };
                Some((service.to_owned(), vec![finding]))
            })
            .collect()
    }

    /// The weight of each meaning of each service, after callers passed on what their callees show too: errors and
    /// slowness travel up.
    fn hand_down(
        &self,
        shifts: &BTreeMap<&'a str, BTreeMap<Meaning, Vec<Shift<'_, 'a>>>>,
    ) -> BTreeMap<&'a str, BTreeMap<Meaning, f64>> {
        let own: BTreeMap<&'a str, BTreeMap<Meaning, f64>> = shifts
            .iter()
            .map(|(service, meanings)| (*service, meanings.iter().map(|(m, s)| (*m, weight(s))).collect()))
            .collect();
        let mut after = own.clone();
        for (caller, meanings) in &own {
            let Some(callees) = self.callees.get(caller) else { continue };
            for meaning in [Meaning::Success, Meaning::Failure, Meaning::Slowness] {
                let Some(weight) = meanings.get(&meaning).copied().filter(|weight| *weight > 0.0) else {
                    continue;
                };
                let takers: Vec<(&'a str, f64)> = callees
                    .iter()
                    .filter_map(|callee| {
                        let (name, of_callee) = shifts.get_key_value(callee)?;
                        let distance = of_callee.get(&meaning)?.first()?.distance;
                        (distance >= TAKES_PART && name != caller).then_some((*name, distance))
                    })
                    .collect();
                let all: f64 = takers.iter().map(|(_, distance)| distance).sum();
                for (taker, distance) in &takers {
                    let part = HANDED_DOWN * weight * distance / all;
                    *after.entry(taker).or_default().entry(meaning).or_default() += part;
                }
                if !takers.is_empty()
                    && let Some(left) = after.get_mut(caller).and_then(|m| m.get_mut(&meaning))
                {
                    *left -= HANDED_DOWN * weight;
                }
            }
        }
        after
    }
}

impl Meaning {
    fn of(metric: &str, unit: &str) -> Self {
        const SUCCESS: [&str; 4] = ["success", "availab", "healthy", "hit"];
        const FAILURE: [&str; 8] =
            ["error", "fail", "exception", "timeout", "retr", "drop", "reject", "abort"];
        const SLOWNESS: [&str; 3] = ["latency", "duration", "response_time"];
        const LOAD: [&str; 2] = ["request", "call"];
        let name = metric.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        if has(&SUCCESS) {
            Self::Success
        } else if has(&FAILURE) {
            Self::Failure
        } else if has(&SLOWNESS) {
            Self::Slowness
        } else if has(&LOAD) || unit.contains("request") {
            Self::Load
        } else {
            Self::Level
        }
    }

    /// The bad part of a move; everything of a level's.
    fn bad(self, shift: f64) -> f64 {
        match self {
            Self::Success | Self::Failure | Self::Slowness => shift.max(0.0),
            Self::Load | Self::Level => shift,
        }
    }
}

/// Seconds as a whole number, to find points of one scrape together.
#[expect(clippy::cast_possible_truncation, reason = "seconds around an incident")]
fn moment(at: f64) -> i64 {
    (at / 10.0).round() as i64
}

/// Moments in which a service that counts its load was asked for nothing.
fn idle_moments(metrics: &[MetricPoints]) -> BTreeMap<&str, std::collections::BTreeSet<i64>> {
    let mut load: BTreeMap<&str, BTreeMap<i64, f64>> = BTreeMap::new();
    for series in metrics.iter().filter(|s| Meaning::of(&s.metric, &s.unit) == Meaning::Load) {
        let of_service = load.entry(series.service.as_str()).or_default();
        for (at, value) in &series.points {
            let most = of_service.entry(moment(*at)).or_default();
            *most = most.max(*value);
        }
    }
    let idle =
        |moments: BTreeMap<i64, f64>| moments.into_iter().filter(|m| m.1 <= 0.0).map(|m| m.0).collect();
    load.into_iter().map(|(service, moments)| (service, idle(moments))).collect()
}

fn step_of(points: &[(f64, f64)]) -> f64 {
    let steps: Vec<f64> = points.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    median(&steps).unwrap_or(60.0)
}

fn count_sharers(members: &mut [Member<'_>]) {
    let print = |member: &Member<'_>| -> Vec<u64> {
        member.points.iter().rev().take(12).map(|(_, value)| value.to_bits()).collect()
    };
    let prints: Vec<Vec<u64>> = members.iter().map(print).collect();
    for (index, member) in members.iter_mut().enumerate() {
        let mine = &prints[index];
        // A constant is shared by chance.
        if mine.windows(2).any(|pair| pair[0] != pair[1]) {
            member.shared_by = count(prints.iter().filter(|other| *other == mine).count().max(1));
        }
    }
}

/// Every member's distance from its past in scales, floored by how much the metric moves elsewhere.
fn compare<'m, 'a>(meaning: Meaning, members: &'m [Member<'a>], window: Window) -> Vec<Shift<'m, 'a>> {
    let mut parts: Vec<(&'m Member<'a>, Vec<f64>, Vec<f64>)> = Vec::new();
    for member in members {
        let end = end_of(member, window);
        let past: Vec<f64> = member.points.iter().filter(|p| p.0 < window.split).map(|p| p.1).collect();
        let past = past[past.len().saturating_sub(PAST_MAX)..].to_vec();
        let now = member.points.iter().filter(|p| p.0 >= window.split && p.0 < end).map(|p| p.1);
        let now: Vec<f64> = now.collect();
        if !past.is_empty() && !now.is_empty() {
            parts.push((member, past, now));
        }
    }
    let levels: Vec<f64> = parts
        .iter()
        .map(|(_, b, a)| b.iter().chain(a).map(|v| v.abs()).sum::<f64>() / count(b.len() + a.len()))
        .collect();
    let usual = median(&levels).filter(|level| *level > 0.0);
    let usual = usual.unwrap_or_else(|| levels.iter().sum::<f64>() / count(levels.len().max(1))).max(1e-9);
    let top = parts.iter().flat_map(|(_, b, a)| b.iter().chain(a)).fold(1e-9_f64, |top, v| top.max(*v));
    // Shares of success are told apart by what is missing; everything else by its size, on a logarithmic scale.
    let place = |value: f64| match meaning {
        Meaning::Success => ((top - value) / top / FLOOR_OF_SHARES).max(0.0).ln_1p(),
        _ => value.signum() * (value.abs() / (FLOOR * usual)).ln_1p(),
    };
    let placed: Vec<(Vec<f64>, Vec<f64>, f64)> = parts
        .iter()
        .map(|(_, past, now)| {
            let past: Vec<f64> = past.iter().map(|v| place(*v)).collect();
            let middle = median(&past).unwrap_or(0.0);
            (past, now.iter().map(|v| place(*v)).collect(), middle)
        })
        .collect();
    let restless: Vec<f64> = placed
        .iter()
        .filter(|(past, _, _)| past.len() > 1)
        .flat_map(|(past, _, middle)| past.iter().map(move |v| (v - middle).abs()))
        .collect();
    let pool =
        if restless.is_empty() { 0.4 } else { quantile(&restless, 0.95).unwrap_or(0.7) / 1.645 }.max(0.02);
    let moves: Vec<f64> = placed
        .iter()
        .map(|(_, now, middle)| {
            let shifts: Vec<f64> = now.iter().map(|v| v - middle).collect();
            meaning.bad(sustained(&shifts))
        })
        .collect();
    let scales: Vec<f64> = placed.iter().map(|(past, _, middle)| scale(past, *middle, pool)).collect();
    let mut distances: Vec<f64> = Vec::with_capacity(parts.len());
    for (index, (past, _, _)) in placed.iter().enumerate() {
        // What as many as a quarter of the others do in the same minutes is no mark of this one.
        let floor = if parts.len() >= PEERS_MIN {
            of_others(&moves, index).max(scales[index])
        } else {
            scales[index]
        };
        let known = (count(past.len()) / (count(past.len()) + 3.0)).sqrt();
        let distance = moves[index] / floor * known;
        let is_still = past.windows(2).all(|pair| pair[0] == pair[1]);
        distances.push(if is_still { distance.clamp(-STILL_MAX, STILL_MAX) } else { distance });
    }
    let common = if distances.len() >= PEERS_MIN { median(&distances).unwrap_or(0.0) } else { 0.0 };
    parts
        .into_iter()
        .zip(distances)
        .map(|((member, past, now), signed)| {
            let distance = signed.abs().min((signed - common).abs()) / member.shared_by.sqrt();
            let distance = if meaning == Meaning::Load { distance * LOAD_WEIGHT } else { distance };
            let before = median(&past).unwrap_or(0.0);
            let shifts: Vec<f64> = now.iter().map(|value| value - before).collect();
            Shift { member, distance, before, after: before + sustained(&shifts) }
        })
        .collect()
}

/// How restless a series is: its own past as far as it is long, the metric's everywhere for the rest.
fn scale(past: &[f64], middle: f64, pool: f64) -> f64 {
    let away: Vec<f64> = past.iter().map(|v| (v - middle).abs()).collect();
    let spread = 1.4826 * median(&away).unwrap_or(0.0);
    let tails = (quantile(past, 0.95).unwrap_or(0.0) - quantile(past, 0.05).unwrap_or(0.0)) / 2.0;
    let own = spread.max(tails);
    let known = count(past.len()) / (count(past.len()) + 8.0);
    (known * own * own + (1.0 - known) * pool * pool).sqrt().max(0.5 * pool).max(0.03)
}

fn of_others(moves: &[f64], index: usize) -> f64 {
    let others: Vec<f64> =
        moves.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, m)| m.abs()).collect();
    quantile(&others, 0.75).unwrap_or(0.0)
}

/// The furthest level that two neighbours share; most of a lone one.
fn sustained(shifts: &[f64]) -> f64 {
    if shifts.len() < 2 {
        return shifts.first().map_or(0.0, |only| 0.7 * only);
    }
    let up = shifts.windows(2).map(|p| p[0].min(p[1])).fold(f64::NEG_INFINITY, f64::max);
    let down = shifts.windows(2).map(|p| p[0].max(p[1])).fold(f64::INFINITY, f64::min);
    if up.abs() > down.abs() { up } else { down }
}

/// The weight of a service's series of one meaning, the furthest first.
fn weight(shifts: &[Shift<'_, '_>]) -> f64 {
    let of = |index: usize| {
        shifts.get(index).map_or(0.0, |shift| (shift.distance.max(0.0) / FULL).powf(1.5).min(1.0))
    };
    0.6 * of(0) + 0.4 * (of(0) + of(1) + of(2)) / 3.0
}

/// The series and what of it was compared.
fn shown(shift: &Shift<'_, '_>, window: Window) -> Shown {
    let member = shift.member;
    let past: Vec<f64> = member.points.iter().map(|p| p.0).filter(|at| *at < window.split).collect();
    let from = past[past.len().saturating_sub(PAST_MAX)..].first().copied().unwrap_or(window.split);
    Shown::Metric { index: member.index, from, end: end_of(member, window) }
}

/// How long a series is looked at: one that comes rarely for a few of its steps.
fn end_of(member: &Member<'_>, window: Window) -> f64 {
    window.end.max(window.split + STEPS_MIN * member.step)
}

fn tell(shift: &Shift<'_, '_>) -> String {
    let series = shift.member.series;
    let attributes =
        if series.attributes.len() > 2 { format!(" {}", series.attributes) } else { String::new() };
    format!(
        "{} {}{attributes} {}, {} times its usual range",
        series.service,
        series.metric,
        format::gauge_change(shift.before, shift.after, &series.unit),
        format::number(shift.distance)
    )
}
