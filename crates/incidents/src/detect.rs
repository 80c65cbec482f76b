//! Incidents from the telemetry alone, minute by minute, as a server would have opened and closed them: nothing is
//! known but the past.
//!
//! Every series of every service is judged by its own past, robustly and over several minutes, so that noise, waves of
//! the day, lone spikes and gaps are no news. What the worst series say together opens an incident when it is more
//! than ever in the calm time before, and closes it after minutes of calm.

mod counts;
mod facts;
mod levels;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;

use crate::Meaning;
use crate::series::{floor_minute, plus_minutes};
use crate::statistics::quantile;

pub use facts::{Fact, Measure, Minute};

use counts::{Counts, Looking};
use levels::Levels;

/// Most series that are followed; more are left out.
const SERIES_MAX: usize = 50_000;
/// Weights of the worst series beside each other; what else shows counts a little.
const BESIDE: [f64; 4] = [1.0, 0.35, 0.25, 0.15];
/// Most that one series may say.
const ONE_MAX: f64 = 1.8;
/// What is enough at once; less must last for two minutes.
const AT_ONCE: f64 = 1.6;
/// Share of what opened an incident below which a minute is calm.
const CALM: f64 = 0.5;
/// Calm minutes that close.
const CALM_MINUTES: i64 = 3;
/// An incident that comes back this soon, in the same services, is the same.
const REOPENS_MINUTES: i64 = 4;
/// Minutes of calm by which restlessness is known, and the least of them.
const RESTLESS_MINUTES: usize = 720;
const RESTLESS_MIN: usize = 60;
/// Latest minutes that are not counted among them: an incident may be creeping up.
const RESTLESS_LAG: usize = 30;
/// By how much an incident must exceed what the calm time has once in so often.
const THRESHOLD_MAX: f64 = 1.5;
const RESTLESS_FACTOR: f64 = 1.3;
const RESTLESS_QUANTILE: f64 = 0.995;
/// Longest time by which an incident began before it was opened, in minutes.
const LOOKBACK_MINUTES: i64 = 30;
/// Requests from which the 95th percentile of a minute says something.
const TAIL_MIN: f64 = 8.0;
/// Series of the busiest service's requests by themselves, not beside all others'.
const WHOLE: &str = "whole";
/// How fast a usual load follows.
const LOAD_GAIN: f64 = 0.03;
/// A service with fewer requests than this share of the busiest's, or than so many at once, counts less: few fail or
/// wait by chance, and few are hurt; but at least so much.
const MATERIAL_SHARE: f64 = 0.02;
const MATERIAL: f64 = 5.0;
const IMMATERIAL: f64 = 0.35;
/// Evidence of failures, waiting or silence that is enough for levels and warnings to count beside it.
const HARM: f64 = 0.35;
/// What an incident needs that nobody's failures or waiting show.
const SOFT: f64 = 1.3;
/// Evidence from which a service takes part.
const TAKES_PART: f64 = 0.5;

/// A stretch in which a system was hurt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    /// When enough was known to open it: the end of a minute.
    pub opened_at: Timestamp,
    /// When it began, as far as was known when it was opened.
    pub began_at: Timestamp,
    /// When it had been calm for some minutes; `None` while it lasts.
    pub closed_at: Option<Timestamp>,
    /// The services that showed it, worst first.
    pub services: Vec<String>,
}

/// Follows a system minute by minute.
#[derive(Debug, Default)]
pub struct Detector {
    series: BTreeMap<Key, Series>,
    /// Evidence of calm minutes, the latest.
    restless: VecDeque<f64>,
    last_evidence: f64,
    /// Requests of each service in a usual minute, by the measure that tells: spans, or a metric.
    loads: BTreeMap<String, BTreeMap<String, f64>>,
    /// How much each service counts by its load.
    weights: BTreeMap<String, f64>,
    /// The service with the most requests.
    busiest: String,
    open: Option<Open>,
    found: Vec<Detected>,
}

/// Kinds of evidence; of one service each counts once a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Failures,
    Slowness,
    Silence,
    ErrorLogs,
    Warnings,
    Surge,
    Level,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    service: String,
    class: Class,
    /// The metric, where it is one.
    name: String,
}

#[derive(Debug)]
enum Series {
    Counts(Counts),
    Levels(Levels),
}

#[derive(Debug)]
struct Open {
    /// Its place among those found.
    place: usize,
    threshold: f64,
    calm_since: Option<i64>,
}

/// What one series says.
#[derive(Clone, Debug)]
struct Evidence {
    service: String,
    score: f64,
    since: i64,
    /// Whether requests were hurt, by what the class says.
    is_harm: bool,
    /// Whether its latest point is bad by itself.
    is_bad: bool,
}

impl Class {
    /// The most that evidence of this kind says: levels, warnings and load may be nobody's harm, so they do not open an
    /// incident by themselves.
    fn weight(self) -> f64 {
        match self {
            Self::Failures | Self::Slowness | Self::Silence | Self::ErrorLogs => 1.0,
            Self::Warnings => 0.35,
            Self::Surge | Self::Level => 0.5,
        }
    }
}

impl Detector {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next minute in; minutes must come in order. Says whether an incident was opened by it.
    pub fn minute(&mut self, minute: &Minute) -> bool {
        let number = minute_number(minute.at);
        self.take(number, &minute.facts);
        let evidence = self.evidence(number);
        let total = total_of(evidence.iter());
        let threshold = self.threshold();
        let is_enough =
            total >= AT_ONCE.max(threshold) || (total >= threshold && self.last_evidence >= 0.8 * threshold);
        self.last_evidence = total;
        let end = plus_minutes(floor_minute(minute.at), 1);
        if let Some(mut open) = self.open.take() {
            let still = total_of(evidence.iter().filter(|evidence| evidence.is_bad));
            let is_calm = still < CALM * open.threshold;
            let calm_since = if is_calm { Some(open.calm_since.unwrap_or(number)) } else { None };
            open.calm_since = calm_since;
            if calm_since.is_some_and(|since| number - since + 1 >= CALM_MINUTES) {
                self.found[open.place].closed_at = Some(end);
            } else {
                self.open = Some(open);
            }
            return false;
        }
        if !is_enough {
            self.restless.push_back(total);
            if self.restless.len() > RESTLESS_MINUTES {
                self.restless.pop_front();
            }
            return false;
        }
        self.opened(end, number, threshold, &evidence)
    }

    /// Every incident so far, in order of time; the last may be open.
    pub fn found(&self) -> &[Detected] {
        &self.found
    }

    fn opened(&mut self, end: Timestamp, number: i64, threshold: f64, evidence: &[Evidence]) -> bool {
        let services = taking_part(evidence);
        let last = self.found.len().checked_sub(1);
        if let Some(place) = last
            && let Some(closed) = self.found[place].closed_at
            && end.duration_since(closed).as_mins() <= REOPENS_MINUTES
            && self.found[place].services.iter().take(3).any(|service| services.contains(service))
        {
            self.found[place].closed_at = None;
            self.open = Some(Open { place, threshold, calm_since: None });
            return false;
        }
        let strongest = evidence.first().map_or(0.0, |evidence| evidence.score);
        let began = evidence
            .iter()
            .filter(|evidence| evidence.score >= (0.6 * strongest).max(TAKES_PART))
            .map(|evidence| evidence.since)
            .min()
            .unwrap_or(number)
            .max(number - LOOKBACK_MINUTES);
        self.found.push(Detected {
            opened_at: end,
            began_at: plus_minutes(end, began - number - 1),
            closed_at: None,
            services,
        });
        let place = self.found.len() - 1;
        self.open = Some(Open { place, threshold, calm_since: None });
        true
    }

    /// How much is enough: 1, and more where the calm time is restless.
    fn threshold(&self) -> f64 {
        let known = self.restless.len().saturating_sub(RESTLESS_LAG);
        if known < RESTLESS_MIN {
            return 1.0;
        }
        let calm: Vec<f64> = self.restless.iter().take(known).copied().collect();
        (RESTLESS_FACTOR * quantile(&calm, RESTLESS_QUANTILE).unwrap_or(0.0)).clamp(1.0, THRESHOLD_MAX)
    }

    fn take(&mut self, number: i64, facts: &[Fact]) {
        let mut seen: BTreeSet<Key> = BTreeSet::new();
        let (mut requests, mut anything) = (BTreeSet::new(), BTreeSet::new());
        let total = self.load(facts);
        for fact in facts {
            anything.insert(fact.service.as_str());
            match &fact.measure {
                Measure::Requests { all, failed, usual_ms, p95_ms } => {
                    requests.insert(fact.service.as_str());
                    self.count(&mut seen, fact, Class::Failures, "", Looking::Share, number, *failed, *all);
                    let silence = Looking::Silence;
                    self.count(&mut seen, fact, Class::Silence, "", silence, number, *all, total);
                    if fact.service == self.busiest {
                        self.count(&mut seen, fact, Class::Silence, WHOLE, silence, number, *all, 1.0);
                    }
                    self.count(&mut seen, fact, Class::Surge, "", Looking::Rise, number, *all, *all);
                    // The tail of a few is nobody's.
                    let shown = if *all < TAIL_MIN { 1 } else { 2 };
                    for (name, value) in [("usual", usual_ms), ("p95", p95_ms)].into_iter().take(shown) {
                        let meaning = Meaning::Slowness;
                        self.level(&mut seen, fact, Class::Slowness, name, meaning, number, *value);
                    }
                }
                Measure::Records { all, errors, warnings } => {
                    let looking = Looking::ShareAndAmount;
                    self.count(&mut seen, fact, Class::ErrorLogs, "", looking, number, *errors, *all);
                    self.count(&mut seen, fact, Class::Warnings, "", looking, number, *warnings, *all);
                }
                Measure::Amount { metric, meaning, times } => {
                    let (class, looking) = match meaning {
                        Meaning::Failure => (Class::Failures, Looking::Rise),
                        _ => (Class::Surge, Looking::Rise),
                    };
                    self.count(&mut seen, fact, class, metric, looking, number, *times, *times);
                }
                Measure::Level { metric, meaning, value } => {
                    let class = match meaning {
                        Meaning::Success | Meaning::Failure => Class::Failures,
                        Meaning::Slowness => Class::Slowness,
                        Meaning::Load | Meaning::Level => Class::Level,
                    };
                    self.level(&mut seen, fact, class, metric, *meaning, number, *value);
                }
            }
        }
        // Silence says something where others go on.
        let others_go_on =
            |service: &str| !requests.is_empty() || anything.iter().any(|other| *other != service);
        for (key, series) in self.series.iter_mut().filter(|(key, _)| !seen.contains(*key)) {
            match series {
                Series::Counts(counts) => match key.class {
                    Class::Silence if !others_go_on(&key.service) => counts.pass(number),
                    Class::Silence if key.name == WHOLE => counts.add(number, 0.0, 1.0),
                    Class::Silence => counts.add(number, 0.0, total),
                    Class::ErrorLogs | Class::Warnings if others_go_on(&key.service) => {
                        counts.add(number, 0.0, 0.0);
                    }
                    _ => counts.pass(number),
                },
                Series::Levels(levels) => levels.pass(number),
            }
        }
    }

    /// Remembers how much each service has to do beside the busiest; gives all requests of the minute.
    fn load(&mut self, facts: &[Fact]) -> f64 {
        let mut total = 0.0;
        for fact in facts {
            let (measure, load) = match &fact.measure {
                Measure::Requests { all, .. } => {
                    total += all;
                    ("", *all)
                }
                Measure::Amount { metric, meaning: Meaning::Load, times } => (metric.as_str(), *times),
                Measure::Level { metric, meaning: Meaning::Load, value } => (metric.as_str(), *value),
                _ => continue,
            };
            let loads = self.loads.entry(measure.to_owned()).or_default();
            let known = loads.entry(fact.service.clone()).or_insert(load);
            *known += LOAD_GAIN * (load - *known);
        }
        if let Some(loads) = self.loads.get("") {
            let busiest = loads.iter().max_by(|a, b| a.1.total_cmp(b.1));
            if let Some((service, _)) = busiest.filter(|_| self.busiest.is_empty()) {
                self.busiest.clone_from(service);
            }
        }
        self.weights = self.loads.values().fold(BTreeMap::new(), |mut weights, loads| {
            let most = loads.values().copied().fold(0.0, f64::max);
            for (service, load) in loads {
                let beside = load / (MATERIAL_SHARE * most).max(f64::MIN_POSITIVE);
                let weight = beside.min(load / MATERIAL).clamp(0.0, 1.0).sqrt().max(IMMATERIAL);
                let known = weights.entry(service.clone()).or_insert(weight);
                *known = known.max(weight);
            }
            weights
        });
        total
    }

    #[expect(clippy::too_many_arguments, reason = "a count has that many parts")]
    fn count(
        &mut self,
        seen: &mut BTreeSet<Key>,
        fact: &Fact,
        class: Class,
        name: &str,
        looking: Looking,
        number: i64,
        bad: f64,
        all: f64,
    ) {
        let new = || Series::Counts(Counts::new(looking));
        if let Some(Series::Counts(counts)) = self.series(seen, fact, class, name, new) {
            counts.add(number, bad, all);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a level has that many parts")]
    fn level(
        &mut self,
        seen: &mut BTreeSet<Key>,
        fact: &Fact,
        class: Class,
        name: &str,
        meaning: Meaning,
        number: i64,
        value: f64,
    ) {
        let new = || Series::Levels(Levels::new(meaning));
        if let Some(Series::Levels(levels)) = self.series(seen, fact, class, name, new) {
            levels.add(number, value);
        }
    }

    fn series(
        &mut self,
        seen: &mut BTreeSet<Key>,
        fact: &Fact,
        class: Class,
        name: &str,
        new: impl FnOnce() -> Series,
    ) -> Option<&mut Series> {
        let key = Key { service: fact.service.clone(), class, name: name.to_owned() };
        if self.series.len() >= SERIES_MAX && !self.series.contains_key(&key) {
            return None;
        }
        seen.insert(key.clone());
        Some(self.series.entry(key).or_insert_with(new))
    }

    /// What the series say now, the worst of each kind of each service, worst first.
    fn evidence(&self, number: i64) -> Vec<Evidence> {
        let mut worst: BTreeMap<(&str, Class), (f64, i64, bool)> = BTreeMap::new();
        for (key, series) in &self.series {
            let (score, since, is_bad) = match series {
                Series::Counts(counts) => (counts.score, counts.since, counts.is_bad),
                Series::Levels(levels) => (levels.score, levels.since, levels.is_bad),
            };
            let weight = self.weights.get(&key.service).copied().unwrap_or(1.0);
            let score = score.min(ONE_MAX) * key.class.weight() * weight;
            if score >= 0.1 {
                let known = worst.entry((&key.service, key.class)).or_insert((0.0, number, false));
                known.2 |= is_bad;
                if score > known.0 {
                    (known.0, known.1) = (score, since.unwrap_or(number));
                }
            }
        }
        let each = |((service, class), (score, since, is_bad)): ((&str, Class), (f64, i64, bool))| Evidence {
            service: service.to_owned(),
            score,
            since,
            is_harm: class.weight() >= 1.0,
            is_bad,
        };
        let mut evidence: Vec<Evidence> = worst.into_iter().map(each).collect();
        evidence.sort_by(|a, b| b.score.total_cmp(&a.score));
        evidence
    }
}

/// What all say together.
fn total_of<'a>(evidence: impl Iterator<Item = &'a Evidence>) -> f64 {
    let evidence: Vec<&Evidence> = evidence.collect();
    let sum = |chosen: &mut dyn Iterator<Item = &&Evidence>| -> f64 {
        chosen.zip(BESIDE).map(|(evidence, weight)| evidence.score * weight).sum()
    };
    let Some(worst) = evidence.first() else { return 0.0 };
    if evidence.iter().any(|evidence| evidence.is_harm && evidence.score >= HARM) {
        return sum(&mut evidence.iter());
    }
    // Levels and warnings of several services are nobody's harm; of one they may be.
    sum(&mut evidence.iter().filter(|evidence| evidence.service == worst.service)) / SOFT
}

/// The services that show enough, worst first.
fn taking_part(evidence: &[Evidence]) -> Vec<String> {
    let mut services: Vec<String> = Vec::new();
    let worst = evidence.first().map_or(0.0, |evidence| evidence.score);
    for evidence in evidence.iter().filter(|e| e.score >= TAKES_PART.min(worst)) {
        if !services.contains(&evidence.service) {
            services.push(evidence.service.clone());
        }
    }
    services
}

fn minute_number(at: Timestamp) -> i64 {
    at.as_second().div_euclid(60)
}
