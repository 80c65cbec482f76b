//! Records that the tests of this crate share.

use hindsight_model::{AlertState, Labels, Tenant, Transition};
use jiff::{SignedDuration, Timestamp};

use crate::{Receiver, ReceiverConfig, ReceiverKind, load_receivers};

pub(crate) fn at(s: i64) -> Timestamp {
    let start: Timestamp = "2026-05-04T14:30:00Z".parse().unwrap();
    start + SignedDuration::from_secs(s)
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn transition(s: i64, from: AlertState, to: AlertState) -> Transition {
    Transition {
        at: at(s),
        tenant: Tenant::default(),
        rule: "checkout-db/DbPoolSaturated".into(),
        alert: "DbPoolSaturated".into(),
        labels: labels(&[("service_name", "checkout"), ("severity", "page")]),
        annotations: labels(&[("summary", "checkout pool main at 95 %")]),
        from,
        to,
        reason: "breach".into(),
        value: Some(0.95),
        active_at: Some(at(0)),
        episode: "ep1".into(),
        incident: None,
    }
}

pub(crate) fn webhook(name: &str, url: &str) -> Receiver {
    receiver(name, ReceiverKind::Webhook, Some(url), None)
}

pub(crate) fn file(name: &str, path: &std::path::Path) -> Receiver {
    receiver(name, ReceiverKind::File, None, Some(path))
}

fn receiver(name: &str, kind: ReceiverKind, url: Option<&str>, path: Option<&std::path::Path>) -> Receiver {
    let config = ReceiverConfig {
        name: name.into(),
        kind,
        url: url.map(Into::into),
        url_file: None,
        url_env: None,
        timeout: url.map(|_| "2s".into()),
        path: path.map(Into::into),
    };
    load_receivers(&[config], std::path::Path::new("")).unwrap().remove(0)
}
