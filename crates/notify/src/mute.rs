//! Why an alert is not told: silences, inhibition and mute times.

use std::collections::BTreeMap;

use hindsight_model::{Labels, Silence};
use jiff::Timestamp;

use crate::matcher::Matchers;
use crate::mute_time::MuteTime;

/// While a source alert fires, target alerts with the same values of the labels `equal` are not told.
#[derive(Clone, Debug)]
pub struct Inhibition {
    /// What inhibits.
    pub(crate) source: Matchers,
    /// What is inhibited.
    pub(crate) target: Matchers,
    /// Labels that have to agree; one that is missing on both sides agrees.
    pub(crate) equal: Vec<String>,
}

/// Everything that may mute alerts of one tenant at one moment, prepared for many questions.
#[derive(Debug)]
pub struct Mutes<'a> {
    silences: Vec<Compiled>,
    inhibitions: Vec<Inhibiting<'a>>,
}

#[derive(Debug)]
struct Compiled {
    silence: Silence,
    matchers: Matchers,
}

#[derive(Debug)]
struct Inhibiting<'a> {
    rule: &'a Inhibition,
    /// By the values of the equal labels: the name of a source that is no target itself, and of one that is both.
    sources: BTreeMap<Vec<String>, Sources>,
}

#[derive(Debug, Default)]
struct Sources {
    source_only: Option<String>,
    both: Option<String>,
}

impl<'a> Mutes<'a> {
    /// Prepares the silences that are not over and the labels (with `alertname`) of every alert that fires. A silence
    /// whose matchers cannot be compiled is passed over: it was checked when it was made.
    pub fn new(silences: Vec<Silence>, inhibitions: &'a [Inhibition], firing: &[Labels]) -> Self {
        let silences = silences.into_iter().filter_map(|silence| {
            let matchers = Matchers::new(&silence.asked.matchers).ok()?;
            Some(Compiled { silence, matchers })
        });
        let prepare = |rule: &'a Inhibition| {
            let mut sources: BTreeMap<Vec<String>, Sources> = BTreeMap::new();
            for labels in firing.iter().filter(|labels| rule.source.matches(labels)) {
                let entry = sources.entry(values(labels, &rule.equal)).or_default();
                let name = labels.get(crate::alert::ALERT_NAME).cloned().unwrap_or_default();
                let place =
                    if rule.target.matches(labels) { &mut entry.both } else { &mut entry.source_only };
                place.get_or_insert(name);
            }
            Inhibiting { rule, sources }
        };
        Self { silences: silences.collect(), inhibitions: inhibitions.iter().map(prepare).collect() }
    }

    /// Why an alert with these labels is not told at `at`, as a sentence; `None` when it is told. `times` are the
    /// mute times of its route by name.
    pub fn reason(&self, labels: &Labels, at: Timestamp, times: &[(&str, &MuteTime)]) -> Option<String> {
        let silenced = self.silences.iter().find(|one| {
            let asked = &one.silence.asked;
            asked.starts_at <= at && at < asked.ends_at && one.matchers.matches(labels)
        });
        if let Some(Compiled { silence, .. }) = silenced {
            let asked = &silence.asked;
            return Some(format!(
                "silenced until {} by {} of {}: {}",
                asked.ends_at, silence.id, asked.author, asked.comment
            ));
        }
        if let Some(source) = self.inhibitions.iter().find_map(|one| one.source_of(labels)) {
            return Some(format!("inhibited while {source} fires"));
        }
        let (name, _) = times.iter().find(|(_, time)| time.holds(at))?;
        Some(format!("in the mute time `{name}` of its route"))
    }
}

impl Inhibiting<'_> {
    /// The alert that inhibits these labels. An alert that is both source and target of the rule is inhibited only by
    /// one that is not: otherwise two such alerts would silence each other.
    fn source_of(&self, labels: &Labels) -> Option<&str> {
        if self.sources.is_empty() || !self.rule.target.matches(labels) {
            return None;
        }
        let sources = self.sources.get(&values(labels, &self.rule.equal))?;
        let both = if self.rule.source.matches(labels) { None } else { sources.both.as_deref() };
        sources.source_only.as_deref().or(both)
    }
}

fn values(labels: &Labels, names: &[String]) -> Vec<String> {
    names.iter().map(|name| labels.get(name).cloned().unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests;
