//! One alert as receivers hear of it: labels and annotations within limits, its fingerprint, the way back to it.

use std::collections::BTreeMap;

use hindsight_model::{Labels, Tenant, Transition};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Most labels of one alert; the last in order of name are left out, and an annotation says so.
pub const LABELS_MAX: usize = 32;
/// Most annotations of one alert.
pub const ANNOTATIONS_MAX: usize = 16;
/// Longest name of a label or annotation.
pub const NAME_BYTES_MAX: usize = 128;
/// Longest value of a label.
pub const LABEL_BYTES_MAX: usize = 512;
/// Longest value of an annotation.
pub const ANNOTATION_BYTES_MAX: usize = 2_048;

/// The label with the alert's name.
pub(crate) const ALERT_NAME: &str = "alertname";
/// The annotation that says something was left out.
const SHORTENED: &str = "hindsight_shortened";

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The alert fires.
    Firing,
    /// It has ended.
    Resolved,
}

impl Kind {
    /// `firing` or `resolved`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// One alert within the limits of this module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Its labels, `alertname` among them.
    pub labels: Labels,
    /// Its annotations, rendered.
    pub annotations: Labels,
    /// When its episode began, so that the end carries the same start as the beginning did.
    pub starts_at: Timestamp,
    /// When it ended, if it has.
    pub ends_at: Option<Timestamp>,
    /// The page that shows it.
    pub generator_url: String,
    /// Sixteen hex digits that stay the same for an alert instance.
    pub fingerprint: String,
}

impl Alert {
    /// The alert of a transition that is told as `kind`.
    pub(crate) fn of(transition: &Transition, kind: Kind, external_url: &str) -> Self {
        let (labels, annotations) = bounded_labels(transition);
        Self {
            labels,
            annotations,
            starts_at: transition.active_at.unwrap_or(transition.at),
            ends_at: (kind == Kind::Resolved).then_some(transition.at),
            generator_url: generator_url(external_url.trim_end_matches('/'), &transition.rule),
            fingerprint: fingerprint(
                &transition.tenant,
                &transition.rule,
                &transition.alert,
                &transition.labels,
            ),
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.labels.get(ALERT_NAME).map(String::as_str).unwrap_or_default()
    }

    /// Its `summary`, or else its `description`, or nothing.
    pub(crate) fn summary(&self) -> &str {
        let found = self.annotations.get("summary").or_else(|| self.annotations.get("description"));
        found.map(String::as_str).unwrap_or_default()
    }
}

/// All labels of a transition's instance, its name among them, as routes and inhibitions see them.
pub(crate) fn full_labels(alert: &str, labels: &Labels) -> Labels {
    let mut all = labels.clone();
    all.insert(ALERT_NAME.to_owned(), alert.to_owned());
    all
}

fn generator_url(external_url: &str, rule: &str) -> String {
    let page = format!("{external_url}/alerts");
    reqwest::Url::parse_with_params(&page, [("rule", shortened(rule, LABEL_BYTES_MAX).0)])
        .map_or(page, String::from)
}

/// Taken over its full labels, so that two instances whose shortened labels agree are still told apart.
fn fingerprint(tenant: &Tenant, rule: &str, alert: &str, labels: &Labels) -> String {
    let identity = serde_json::json!([tenant.as_str(), rule, alert, labels]).to_string();
    hex::encode(&Sha256::digest(identity)[..8])
}

/// Labels with `alertname`, and annotations, within the limits above.
fn bounded_labels(transition: &Transition) -> (Labels, Labels) {
    let mut all = transition.labels.clone();
    all.remove(ALERT_NAME);
    let (mut labels, labels_cut) = bounded(&all, LABELS_MAX - 1, LABEL_BYTES_MAX);
    let (name, name_cut) = shortened(&transition.alert, LABEL_BYTES_MAX);
    labels.insert(ALERT_NAME.to_owned(), name);
    let (mut annotations, annotations_cut) =
        bounded(&transition.annotations, ANNOTATIONS_MAX - 1, ANNOTATION_BYTES_MAX);
    if labels_cut || name_cut || annotations_cut {
        annotations
            .insert(SHORTENED.to_owned(), "labels or annotations were too long or too many".to_owned());
    }
    (labels, annotations)
}

fn bounded(all: &Labels, count_max: usize, value_bytes_max: usize) -> (Labels, bool) {
    let mut cut = all.len() > count_max;
    let mut kept = BTreeMap::new();
    for (name, value) in all.iter().take(count_max) {
        let (name, name_cut) = shortened(name, NAME_BYTES_MAX);
        let (value, value_cut) = shortened(value, value_bytes_max);
        cut |= name_cut || value_cut;
        kept.insert(name, value);
    }
    (kept, cut)
}

/// The text without control characters other than line breaks and tabs, cut with an ellipsis when it is longer
/// than `bytes_max`, and whether it was cut.
pub(crate) fn shortened(text: &str, bytes_max: usize) -> (String, bool) {
    const ELLIPSIS: char = '…';
    let clean = |c: char| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c };
    let mut out = String::new();
    for c in text.chars().map(clean) {
        if out.len() + c.len_utf8() > bytes_max {
            while out.len() > bytes_max - ELLIPSIS.len_utf8() {
                out.pop();
            }
            out.push(ELLIPSIS);
            return (out, true);
        }
        out.push(c);
    }
    (out, false)
}

/// The same on one line: breaks and tabs become spaces.
pub(crate) fn one_line(text: &str, bytes_max: usize) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    shortened(text.trim(), bytes_max).0
}

#[cfg(test)]
mod tests;
