//! Alertmanager's webhook payload, version 4, with one alert in it: until grouping comes, each alert is its own
//! group.
//!
//! Source: Alertmanager's documentation, "Configuration", `<webhook_config>`.

use std::collections::BTreeMap;

use hindsight_model::{Labels, Tenant, Transition};
use jiff::Timestamp;
use serde::Serialize;
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

/// How Alertmanager writes the end of an alert that has not ended.
const NOT_ENDED: &str = "0001-01-01T00:00:00Z";
/// The annotation that says something was left out.
const SHORTENED: &str = "hindsight_shortened";

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Firing,
    Resolved,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    version: &'static str,
    group_key: String,
    truncated_alerts: u64,
    status: &'static str,
    receiver: &'a str,
    group_labels: &'a Labels,
    common_labels: &'a Labels,
    common_annotations: &'a Labels,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    alerts: [Alert<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert<'a> {
    status: &'static str,
    labels: &'a Labels,
    annotations: &'a Labels,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    fingerprint: String,
}

/// The body to post, as JSON text.
pub(crate) fn payload(transition: &Transition, kind: Kind, receiver: &str, external_url: &str) -> String {
    let external_url = external_url.trim_end_matches('/');
    let (labels, annotations) = bounded_labels(transition);
    let ends_at = match kind {
        Kind::Firing => NOT_ENDED.to_owned(),
        Kind::Resolved => transition.at.to_string(),
    };
    let alert = Alert {
        status: kind.as_str(),
        labels: &labels,
        annotations: &annotations,
        // The episode's beginning, so that "resolved" carries the same start as "firing" did.
        starts_at: started(transition).to_string(),
        ends_at,
        generator_url: generator_url(external_url, &transition.rule),
        fingerprint: fingerprint(&transition.tenant, &transition.rule, &transition.alert, &transition.labels),
    };
    let payload = Payload {
        version: "4",
        group_key: group_key(&labels),
        truncated_alerts: 0,
        status: kind.as_str(),
        receiver,
        group_labels: &labels,
        common_labels: &labels,
        common_annotations: &annotations,
        external_url,
        alerts: [alert],
    };
    serde_json::to_string(&payload).expect("text with string keys always serialises")
}

fn started(transition: &Transition) -> Timestamp {
    transition.active_at.unwrap_or(transition.at)
}

/// `{}` is the route (there is one), then the labels the group is made by.
fn group_key(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{}}:{{{}}}", pairs.join(", "))
}

fn generator_url(external_url: &str, rule: &str) -> String {
    let page = format!("{external_url}/alerts");
    reqwest::Url::parse_with_params(&page, [("rule", shortened(rule, LABEL_BYTES_MAX).0)])
        .map_or(page, String::from)
}

/// Sixteen hex digits that stay the same for an alert instance; taken over its full labels, so that two instances
/// whose shortened labels agree are still told apart.
fn fingerprint(tenant: &Tenant, rule: &str, alert: &str, labels: &Labels) -> String {
    let identity = serde_json::json!([tenant.as_str(), rule, alert, labels]).to_string();
    hex::encode(&Sha256::digest(identity)[..8])
}

/// Labels with `alertname`, and annotations, within the limits above.
fn bounded_labels(transition: &Transition) -> (Labels, Labels) {
    let mut all = transition.labels.clone();
    all.remove("alertname");
    let (mut labels, labels_cut) = bounded(&all, LABELS_MAX - 1, LABEL_BYTES_MAX);
    let (name, name_cut) = shortened(&transition.alert, LABEL_BYTES_MAX);
    labels.insert("alertname".to_owned(), name);
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
fn shortened(text: &str, bytes_max: usize) -> (String, bool) {
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

#[cfg(test)]
mod tests;
