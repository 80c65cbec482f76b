//! From what a group says in its turn to notifications: cut to what one may hold, put into the receiver's form, and
//! given the keys by which a receiver knows repeats.

use hindsight_model::{Labels, Tenant};
use hindsight_state::Delivery;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::alert::Kind;
use crate::flush::Told;
use crate::receiver::ReceiverKind;
use crate::receivers::{Notice, alertmanager, email, pagerduty, slack, webhook};

/// Most alerts in one notification; a group with more speaks in several.
pub const ALERTS_MAX: usize = 100;
/// Most bytes of alerts, as JSON, in one notification.
pub const ALERTS_BYTES_MAX: usize = 256 * 1024;

/// A group that speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speaker<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) receiver: &'a str,
    /// `None` when the configuration does not have it any more; the worker then gives the notification up.
    pub(crate) kind: Option<ReceiverKind>,
    pub(crate) subject: &'a str,
    pub(crate) group_key: &'a str,
    pub(crate) group_labels: &'a Labels,
    pub(crate) external_url: &'a str,
    /// Which time it speaks, from 1.
    pub(crate) count: u64,
    pub(crate) now: Timestamp,
}

/// The notifications, in the order in which they have to be sent.
pub(crate) fn deliveries(speaker: &Speaker<'_>, told: &[Told]) -> Vec<Delivery> {
    let kind = speaker.kind.unwrap_or(ReceiverKind::Webhook);
    let told = adapted(kind, told);
    let parts = parts(kind, &told);
    let deliveries = parts.iter().zip(1_u64..).map(|(told, part)| {
        let notice = Notice {
            tenant: speaker.tenant,
            receiver: speaker.receiver,
            group_key: speaker.group_key,
            group_labels: speaker.group_labels,
            external_url: speaker.external_url,
            told,
        };
        Delivery {
            tenant: speaker.tenant.clone(),
            receiver: speaker.receiver.to_owned(),
            group_key: speaker.group_key.to_owned(),
            dedup_key: dedup_key(speaker, part, told),
            payload: render(kind, &notice),
            alerts: listed(told),
            created_at: speaker.now,
        }
    });
    deliveries.collect()
}

fn render(kind: ReceiverKind, notice: &Notice<'_>) -> String {
    match kind {
        ReceiverKind::Webhook | ReceiverKind::File => webhook::render(notice),
        ReceiverKind::Alertmanager => alertmanager::render(notice),
        ReceiverKind::Slack => slack::render(notice),
        ReceiverKind::PagerDuty => pagerduty::render(notice),
        ReceiverKind::Email => email::render(notice),
    }
}

/// PagerDuty keeps each alert by itself: it hears what is new only, and of an alert that came and went both.
fn adapted(kind: ReceiverKind, told: &[Told]) -> Vec<Told> {
    if kind != ReceiverKind::PagerDuty {
        return told.to_vec();
    }
    let news = told.iter().any(|told| told.news);
    let mut events = Vec::with_capacity(told.len());
    for one in told.iter().filter(|one| one.news || !news) {
        if one.kind == Kind::Resolved && one.unheard {
            let mut alert = one.alert.clone();
            alert.ends_at = None;
            events.push(Told { kind: Kind::Firing, alert, ..one.clone() });
        }
        events.push(one.clone());
    }
    events
}

/// Slices that each fit into one notification.
fn parts(kind: ReceiverKind, told: &[Told]) -> Vec<&[Told]> {
    let count_max = match kind {
        ReceiverKind::PagerDuty => 1,
        ReceiverKind::Slack => slack::ALERTS_MAX,
        _ => ALERTS_MAX,
    };
    let mut parts = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (end, one) in told.iter().enumerate() {
        let size = serde_json::to_string(&one.alert).map_or(0, |text| text.len());
        if end > begin && (end - begin == count_max || bytes + size > ALERTS_BYTES_MAX) {
            parts.push(&told[begin..end]);
            (begin, bytes) = (end, 0);
        }
        bytes += size;
    }
    if begin < told.len() {
        parts.push(&told[begin..]);
    }
    parts
}

/// The group's subject, and a hash of which time it speaks and what it says: no other notification has it, and every
/// attempt at this one does.
fn dedup_key(speaker: &Speaker<'_>, part: u64, told: &[Told]) -> String {
    let said: Vec<(&str, &str)> = told.iter().map(|one| (one.episode.as_str(), one.kind.as_str())).collect();
    let identity = json!([speaker.count, speaker.now, part, said]).to_string();
    format!("{}/{}", speaker.subject, hex::encode(&Sha256::digest(identity)[..16]))
}

/// The column `alerts` of the table `notifications`.
fn listed(told: &[Told]) -> String {
    let alerts = told.iter().map(|one| {
        json!({
            "status": one.kind.as_str(),
            "episode": one.episode,
            "fingerprint": one.alert.fingerprint,
            "starts_at": one.alert.starts_at,
            "ends_at": one.alert.ends_at,
            "labels": one.alert.labels,
        })
    });
    Value::from_iter(alerts).to_string()
}

#[cfg(test)]
mod tests;
