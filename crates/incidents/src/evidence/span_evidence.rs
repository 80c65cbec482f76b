//! Spans: time of a service's own, time lost between two services, calls left unanswered, failures that no callee
//! explains, steps left out or new, and load that comes from outside.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::shown::Shown;
use super::{Finding, Findings, Kind, Observations, Window};
use crate::format;
use crate::statistics::{count, median};

/// z from which a shift of durations is no accident.
const SURE: f64 = 4.0;
/// Share of all time that must be lost for latency to count fully.
const MATERIAL: f64 = 0.03;
/// Fewest observations on either side that make a comparison.
const SEEN_MIN: usize = 3;
/// Fewest spans before the split; with fewer, links are compared with each other.
const PAST_MIN: usize = 30;
/// Share of an operation's calls that one callee must have answered to count as its answerer.
const ANSWERS: f64 = 0.8;

/// Seconds that are told apart when it is counted how long anything was seen.
const TICK_S: f64 = 10.0;

/// Service and name of an operation.
pub(super) type Op = (u32, u32);
type Timed = Vec<(f64, f64)>;

/// All spans in the order of time, by what is compared.
pub(super) struct SpanView<'a> {
    seen: &'a Observations,
    /// Own time of operations that call no other service, in milliseconds.
    own: BTreeMap<Op, Timed>,
    /// Time a call took beyond what the callee says.
    links: BTreeMap<(u32, u32), Timed>,
    /// Operations by when they began; 1 when they failed with no failing child.
    failures: BTreeMap<u32, Timed>,
    /// Requests that a service was sent.
    entries: BTreeMap<u32, Timed>,
    /// Requests that came from outside of what was seen.
    outside: BTreeMap<u32, Timed>,
    /// The ticks in which anything was seen: traces may be recorded in slices only.
    ticks: BTreeSet<i64>,
    /// How often each operation ran.
    runs: BTreeMap<Op, Timed>,
    /// How often it had at least one child of a kind.
    steps: BTreeMap<(Op, Op), Timed>,
    /// How many children of a kind all its runs had.
    fans: BTreeMap<(Op, Op), Timed>,
    /// Calls by answerer: 1 when it did not answer.
    unanswered: BTreeMap<u32, Timed>,
    /// Calling operations and who nearly always answers them.
    answerers: HashMap<Op, u32>,
}

impl<'a> SpanView<'a> {
    pub(super) fn new(seen: &'a Observations) -> Self {
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); seen.spans.len()];
        for (index, span) in seen.spans.iter().enumerate() {
            if let Some(list) = span.parent.and_then(|parent| children.get_mut(parent)) {
                list.push(index);
            }
        }
        let mut view = Self {
            seen,
            own: BTreeMap::new(),
            links: BTreeMap::new(),
            failures: BTreeMap::new(),
            entries: BTreeMap::new(),
            outside: BTreeMap::new(),
            ticks: seen.spans.iter().map(|span| tick(span.at_s)).collect(),
            runs: BTreeMap::new(),
            steps: BTreeMap::new(),
            fans: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            answerers: answerers(seen, &children),
        };
        for (index, children) in children.iter().enumerate() {
            view.add(index, children);
        }
        view.sort();
        view
    }

    /// Calling operations and who nearly always answers them.
    pub(super) fn answerers(&self) -> &HashMap<Op, u32> {
        &self.answerers
    }

    fn add(&mut self, index: usize, children: &[usize]) {
        let spans = &self.seen.spans;
        let span = &spans[index];
        let (op, at) = ((span.service, span.name), span.at_s);
        let inside: f64 = children.iter().map(|child| spans[*child].ms).sum();
        let remote: Vec<usize> =
            children.iter().copied().filter(|child| spans[*child].service != span.service).collect();
        let unanswered = span.is_call && children.is_empty();
        let answerer = self.answerers.get(&op).copied();
        match (remote.as_slice(), answerer) {
            ([], Some(answerer)) if unanswered => {
                self.unanswered.entry(answerer).or_default().push((at, 1.0));
                self.links.entry((span.service, answerer)).or_default().push((at, span.ms));
            }
            ([], _) => self.own.entry(op).or_default().push((at, (span.ms - inside).max(0.0))),
            ([only], _) => {
                let callee = &spans[*only];
                let lost = (span.ms - callee.ms).max(0.0);
                self.links.entry((span.service, callee.service)).or_default().push((at, lost));
                self.unanswered.entry(callee.service).or_default().push((at, 0.0));
            }
            _ => {}
        }
        let explained = children.iter().any(|child| spans[*child].failed);
        let blames_answerer = unanswered && answerer.is_some();
        let is_own_failure = span.failed && !explained && !blames_answerer;
        let parent = span.parent.map(|parent| &spans[parent]);
        if parent.is_none_or(|parent| parent.service != span.service) {
            self.entries.entry(span.service).or_default().push((at, 1.0));
            if !span.has_parent {
                self.outside.entry(span.service).or_default().push((at, 1.0));
            }
        }
        if is_own_failure {
            self.failures.entry(span.service).or_default().push((at, 1.0));
        }
        self.runs.entry(op).or_default().push((at, 1.0));
        let mut kinds: BTreeMap<Op, f64> = BTreeMap::new();
        for child in children {
            *kinds.entry((spans[*child].service, spans[*child].name)).or_default() += 1.0;
        }
        for (child, times) in kinds {
            self.steps.entry((op, child)).or_default().push((at, 1.0));
            self.fans.entry((op, child)).or_default().push((at, times));
        }
    }

    fn sort(&mut self) {
        let by_time = |timed: &mut Timed| timed.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.own.values_mut().for_each(by_time);
        self.links.values_mut().for_each(by_time);
        for map in [&mut self.failures, &mut self.entries, &mut self.outside, &mut self.unanswered] {
            map.values_mut().for_each(by_time);
        }
        self.runs.values_mut().for_each(by_time);
        self.steps.values_mut().for_each(by_time);
        self.fans.values_mut().for_each(by_time);
    }

    /// Requests that a service was sent before and after the split.
    pub(super) fn requests(&self, service: u32, window: Window) -> (f64, f64) {
        self.entries.get(&service).map_or((0.0, 0.0), |timed| {
            let (before, after) = parts(timed, window);
            (count(before.len()), count(after.len()))
        })
    }

    pub(super) fn findings(&self, window: Window) -> Findings {
        let mut found = Findings::new();
        self.latency(window, &mut found);
        self.unanswered_calls(window, &mut found);
        self.own_failures(window, &mut found);
        self.changed_steps(window, &mut found);
        self.outside_load(window, &mut found);
        found
    }

    fn text(&self, id: u32) -> &'a str {
        self.seen.names.text(id)
    }

    /// Each service's share of all the time that was lost: in its own work, and on its links. As much time as others
    /// won by accident is taken off, and what is lost must be worth telling beside all the time there is.
    fn latency(&self, window: Window, found: &mut Findings) {
        let mut all_time = 0.0;
        let mut seen_before = 0;
        let (mut lost, mut won) = (BTreeMap::<u32, f64>::new(), 0.0);
        let mut texts: BTreeMap<u32, (f64, String, Shown)> = BTreeMap::new();
        for ((service, name), timed) in &self.own {
            let (before, after) = parts(timed, window);
            seen_before += before.len();
            all_time += after.iter().map(|a| a.1).sum::<f64>();
            let Some(shift) = shift(before, after) else { continue };
            let ms = shift.ms * count(after.len());
            if shift.z > SURE && ms > 0.0 {
                *lost.entry(*service).or_default() += ms;
                let text = format!(
                    "{} {} takes {}, {} before",
                    self.text(*service),
                    self.text(*name),
                    format::millis(shift.after),
                    format::millis(shift.before)
                );
                keep_larger(&mut texts, *service, (ms, text, Shown::OwnTime((*service, *name))));
            } else if shift.z < -SURE {
                won -= ms.min(0.0);
            }
        }
        let has_past = seen_before >= PAST_MIN;
        let links = self.link_shifts(window, has_past);
        for (link, timed) in &self.links {
            all_time += parts(timed, window).1.iter().map(|a| a.1).sum::<f64>();
            if let Some(shift) = links.get(link).filter(|shift| shift.z < -SURE) {
                won -= (shift.ms * shift.seen).min(0.0);
            }
        }
        for (service, ms, text, (caller, callee)) in self.blamed_links(&links) {
            *lost.entry(service).or_default() += ms;
            // Without a past the level before is that of the other links: no two levels of one query.
            let shown = if has_past { Shown::OnTheWay { caller, callee } } else { Shown::Nothing };
            keep_larger(&mut texts, service, (ms, text, shown));
        }
        let sum: f64 = lost.values().sum();
        if sum <= 0.0 {
            return;
        }
        let sure = (1.0 - won / sum).max(0.0) * (sum / (MATERIAL * all_time).max(1.0)).min(1.0);
        for (service, ms) in lost {
            let (_, text, shown) = texts.remove(&service).unwrap_or((0.0, String::new(), Shown::Nothing));
            let weight = ms / sum * sure;
            add(found, self.text(service), Finding { kind: Kind::Latency, weight, text, shown });
        }
    }

    /// How each link changed; without a past, how it stands out among the links.
    fn link_shifts(&self, window: Window, has_past: bool) -> BTreeMap<(u32, u32), Shift> {
        if has_past {
            return self
                .links
                .iter()
                .filter_map(|(link, timed)| {
                    let (before, after) = parts(timed, window);
                    Some((*link, shift(before, after)?))
                })
                .collect();
        }
        let middles: BTreeMap<(u32, u32), (f64, f64)> = self
            .links
            .iter()
            .filter_map(|(link, timed)| {
                let after = parts(timed, window).1;
                let middle = median(&values(after))?;
                (after.len() >= SEEN_MIN).then_some((*link, ((middle + 0.05).ln(), count(after.len()))))
            })
            .collect();
        let levels: Vec<f64> = middles.values().map(|(level, _)| *level).collect();
        let Some(usual) = median(&levels).filter(|_| levels.len() >= 5) else { return BTreeMap::new() };
        let away: Vec<f64> = levels.iter().map(|level| (level - usual).abs()).collect();
        let scale = (1.4826 * median(&away).unwrap_or(0.0)).max(0.3);
        middles
            .into_iter()
            .map(|(link, (level, seen))| {
                let (before, after) = (usual.exp(), level.exp());
                (link, Shift { ms: after - before, z: 2.0 * (level - usual) / scale, before, after, seen })
            })
            .collect()
    }

    /// Slow links and whose fault they are: the service whose links are slow altogether, one after the other.
    fn blamed_links(&self, links: &BTreeMap<(u32, u32), Shift>) -> Vec<(u32, f64, String, (u32, u32))> {
        let is_slow = |shift: &Shift| shift.z > SURE && shift.ms > 0.0;
        let mut left: BTreeSet<(u32, u32)> =
            links.iter().filter(|(_, s)| is_slow(s)).map(|(l, _)| *l).collect();
        let ends: BTreeSet<u32> = links.keys().flat_map(|(a, b)| [*a, *b]).collect();
        let mut blamed = Vec::new();
        while !left.is_empty() {
            let best = ends
                .iter()
                .filter_map(|end| {
                    let of_end: Vec<(&(u32, u32), &Shift)> =
                        links.iter().filter(|((a, b), _)| a == end || b == end).collect();
                    let lost: f64 =
                        of_end.iter().filter(|(l, _)| left.contains(l)).map(|(_, s)| s.ms * s.seen).sum();
                    let slow: f64 = of_end.iter().filter(|(_, s)| is_slow(s)).map(|(_, s)| s.seen).sum();
                    let share = slow / of_end.iter().map(|(_, s)| s.seen).sum::<f64>().max(1.0);
                    let alone = if of_end.len() > 1 { 1.0 } else { 0.9 };
                    (lost > 0.0).then_some((*end, lost * share * share * alone))
                })
                .max_by(|a, b| a.1.total_cmp(&b.1));
            let Some((end, ms)) = best else { break };
            let mine: Vec<(u32, u32)> =
                left.iter().copied().filter(|(a, b)| *a == end || *b == end).collect();
            let worst = mine.iter().filter_map(|link| Some((link, links.get(link)?)));
            if let Some(((a, b), shift)) = worst.max_by(|x, y| x.1.ms.total_cmp(&y.1.ms)) {
                let text = format!(
                    "calls from {} to {} lose {} on the way, {} before",
                    self.text(*a),
                    self.text(*b),
                    format::millis(shift.after),
                    format::millis(shift.before)
                );
                blamed.push((end, ms, text, (*a, *b)));
            }
            for link in mine {
                left.remove(&link);
            }
        }
        blamed
    }

    fn unanswered_calls(&self, window: Window, found: &mut Findings) {
        for (service, timed) in &self.unanswered {
            let (before, after) = parts(timed, window);
            let (bad, all) = (sum(after), count(after.len()));
            if all < 3.0 || bad < 2.0 {
                continue;
            }
            let (bad_before, all_before) = (sum(before), count(before.len()));
            let z = z_of(bad_before, all_before, bad, all);
            let rise = bad / all - if all_before > 0.0 { bad_before / all_before } else { 0.0 };
            let text = format!(
                "{} leaves {} of its calls unanswered, {} before",
                self.text(*service),
                format::percent(bad / all),
                format::percent(if all_before > 0.0 { bad_before / all_before } else { 0.0 })
            );
            let shown = Shown::Unanswered { callee: *service };
            let weight = ((z - 2.0) / 4.0).clamp(0.0, 1.0) * rise.max(0.0).powf(0.3);
            add(found, self.text(*service), Finding { kind: Kind::Unanswered, weight, text, shown });
        }
    }

    fn own_failures(&self, window: Window, found: &mut Findings) {
        for (service, timed) in &self.failures {
            let (before, after) = parts(timed, window);
            let (all_before, all) = self.requests(*service, window);
            let all = all.max(count(after.len()));
            let all_before = all_before.max(count(before.len()));
            let z = z_of(count(before.len()), all_before, count(after.len()), all);
            let share = if all > 0.0 { count(after.len()) / all } else { 0.0 };
            let share_before = if all_before > 0.0 { count(before.len()) / all_before } else { 0.0 };
            let text = format!(
                "{} fails {} of its requests by itself, {} before",
                self.text(*service),
                format::percent(share),
                format::percent(share_before)
            );
            let weight = ((z - 2.0) / 5.0).clamp(0.0, 1.0) * (share - share_before).max(0.0).powf(0.25);
            let shown = Shown::Failures { service: *service };
            add(found, self.text(*service), Finding { kind: Kind::Failures, weight, text, shown });
        }
    }

    /// Steps of an operation that are left out, new, or taken many times more often.
    fn changed_steps(&self, window: Window, found: &mut Findings) {
        let calls: BTreeSet<Op> = self.call_operations();
        for ((op, child), timed) in &self.steps {
            let Some(runs) = self.runs.get(op) else { continue };
            let (before, after) = parts(timed, window);
            let (runs_before, runs_after) = parts(runs, window);
            let (n0, n1) = (count(runs_before.len()), count(runs_after.len()));
            // What a call leads to elsewhere is the callee's doing: `unanswered_calls`.
            if n0 < 2.0 || n1 < 2.0 || (calls.contains(op) && child.0 != op.0) {
                continue;
            }
            let (c0, c1) = (count(before.len()), count(after.len()));
            let (z, change) = (z_of(c0, n0, c1, n1).abs(), c1 / n1 - c0 / n0);
            if z > 3.0 {
                let what = if change < 0.0 { "leaves out" } else { "takes" };
                let text = format!(
                    "{} {} {what} the step {} in {} of its runs, {} before",
                    self.text(op.0),
                    self.text(op.1),
                    self.text(child.1),
                    format::percent(if change < 0.0 { 1.0 - c1 / n1 } else { c1 / n1 }),
                    format::percent(if change < 0.0 { 1.0 - c0 / n0 } else { c0 / n0 })
                );
                let weight = 0.8 * change.abs() * ((z - 2.0) / 5.0).min(1.0);
                let shown = Shown::Step { op: *op, child: *child };
                add(found, self.text(op.0), Finding { kind: Kind::Steps, weight, text, shown });
            }
            self.fan_out((*op, *child), window, (n0, n1), found);
        }
    }

    fn fan_out(&self, (op, child): (Op, Op), window: Window, (n0, n1): (f64, f64), found: &mut Findings) {
        let Some(timed) = self.fans.get(&(op, child)) else { return };
        let (before, after) = parts(timed, window);
        let (per_run_before, per_run) = (sum(before) / n0, sum(after) / n1);
        if sum(before) < 5.0 || per_run < 1.5 * per_run_before || n1 < 5.0 {
            return;
        }
        // Counts scatter by their square root.
        let z = (per_run - per_run_before) / (per_run_before / n0 + per_run / n1).sqrt();
        let weight =
            0.9 * ((per_run / per_run_before).log2() / 2.0).min(1.0) * ((z - 2.0) / 5.0).clamp(0.0, 1.0);
        let text = format!(
            "{} {} calls {} {} times a run, {} before",
            self.text(op.0),
            self.text(op.1),
            self.text(child.1),
            format::number(per_run),
            format::number(per_run_before)
        );
        let shown = Shown::Step { op, child };
        add(found, self.text(op.0), Finding { kind: Kind::Steps, weight, text, shown });
    }

    fn call_operations(&self) -> BTreeSet<Op> {
        self.seen.spans.iter().filter(|span| span.is_call).map(|span| (span.service, span.name)).collect()
    }

    /// More requests from outside than before: the service that takes them in.
    fn outside_load(&self, window: Window, found: &mut Findings) {
        let past_s = TICK_S * count(self.ticks.iter().filter(|at| tick_s(**at) < window.split).count());
        let inside = |at: &&i64| (window.split..window.end).contains(&tick_s(**at));
        let now_s = TICK_S * count(self.ticks.iter().filter(inside).count());
        if past_s < 60.0 || now_s < 30.0 {
            return;
        }
        for (service, timed) in &self.outside {
            let (before, after) = parts(timed, window);
            let (rate_before, rate) = (count(before.len()) / past_s, count(after.len()) / now_s);
            if before.len() < 20 || rate < 1.5 * rate_before {
                continue;
            }
            let z = (rate - rate_before) / (rate_before / past_s + rate / now_s).sqrt();
            let weight = ((rate / rate_before).log2() / 1.5).min(1.0) * ((z - 3.0) / 5.0).clamp(0.0, 1.0);
            let text = format!(
                "{} is sent {} from outside, {} before",
                self.text(*service),
                format::per_minute(60.0 * rate),
                format::number(60.0 * rate_before)
            );
            let (weight, shown) = (0.8 * weight, Shown::Load { service: *service });
            add(found, self.text(*service), Finding { kind: Kind::Load, weight, text, shown });
        }
    }
}

/// The tick that a time lies in.
#[expect(clippy::cast_possible_truncation, reason = "seconds around an incident")]
fn tick(at: f64) -> i64 {
    (at / TICK_S).floor() as i64
}

/// When a tick begins.
#[expect(clippy::cast_precision_loss, reason = "seconds around an incident")]
fn tick_s(tick: i64) -> f64 {
    tick as f64 * TICK_S
}

/// Which service answers a calling operation, where it is nearly always the same and known before it went silent.
fn answerers(seen: &Observations, children: &[Vec<usize>]) -> HashMap<Op, u32> {
    let mut calls: HashMap<Op, BTreeMap<u32, usize>> = HashMap::new();
    for (index, span) in seen.spans.iter().enumerate().filter(|(_, span)| span.is_call) {
        for child in &children[index] {
            let callee = seen.spans[*child].service;
            if callee != span.service {
                *calls.entry((span.service, span.name)).or_default().entry(callee).or_default() += 1;
            }
        }
    }
    calls
        .into_iter()
        .filter_map(|(op, callees)| {
            let all: usize = callees.values().sum();
            let (callee, most) = callees.into_iter().max_by_key(|(_, n)| *n)?;
            (most >= 5 && count(most) >= ANSWERS * count(all)).then_some((op, callee))
        })
        .collect()
}

/// How durations moved.
struct Shift {
    /// Median after minus before.
    ms: f64,
    /// Of the medians' logarithms.
    z: f64,
    before: f64,
    after: f64,
    seen: f64,
}

fn shift(before: &[(f64, f64)], after: &[(f64, f64)]) -> Option<Shift> {
    if before.len() < SEEN_MIN || after.len() < SEEN_MIN {
        return None;
    }
    let (before, after) = (values(before), values(after));
    let (low, high) = (median(&before)?, median(&after)?);
    let logs: Vec<f64> = before.iter().map(|v| (v + 0.05).ln()).collect();
    let middle = median(&logs)?;
    let away: Vec<f64> = logs.iter().map(|v| (v - middle).abs()).collect();
    let scale = (1.4826 * median(&away)?).max(0.15);
    // The standard error of a median is a quarter above that of a mean.
    let error = 1.25 * scale * (1.0 / count(before.len()) + 1.0 / count(after.len())).sqrt();
    let z = ((high + 0.05).ln() - middle) / error;
    Some(Shift { ms: high - low, z, before: low, after: high, seen: count(after.len()) })
}

fn values(timed: &[(f64, f64)]) -> Vec<f64> {
    timed.iter().map(|(_, value)| *value).collect()
}

fn sum(timed: &[(f64, f64)]) -> f64 {
    timed.iter().map(|(_, value)| value).sum()
}

/// Before the split, and after it.
type Parts<'t, T> = (&'t [(f64, T)], &'t [(f64, T)]);

/// What lies before the split, and what after it in the window.
pub(super) fn parts<T>(timed: &[(f64, T)], window: Window) -> Parts<'_, T> {
    let split = timed.partition_point(|(at, _)| *at < window.split);
    let end = timed.partition_point(|(at, _)| *at < window.end);
    (&timed[..split], &timed[split..end.max(split)])
}

/// z of the difference of two shares, pooled; 0 when everybody or nobody has it.
pub(super) fn z_of(c0: f64, n0: f64, c1: f64, n1: f64) -> f64 {
    if n0 <= 0.0 || n1 <= 0.0 {
        return 0.0;
    }
    let pooled = (c0 + c1) / (n0 + n1);
    let spread = (pooled * (1.0 - pooled) * (1.0 / n0 + 1.0 / n1)).sqrt();
    if spread > 0.0 { (c1 / n1 - c0 / n0) / spread } else { 0.0 }
}

/// Keeps what lost most of a service's time.
fn keep_larger(texts: &mut BTreeMap<u32, (f64, String, Shown)>, service: u32, lost: (f64, String, Shown)) {
    let known = texts.entry(service).or_insert((0.0, String::new(), Shown::Nothing));
    if lost.0 > known.0 {
        *known = lost;
    }
}

pub(super) fn add(found: &mut Findings, service: &str, finding: Finding) {
    if finding.weight > 0.0 && finding.weight.is_finite() {
        found.entry(service.to_owned()).or_default().push(finding);
    }
}
