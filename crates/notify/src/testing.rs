//! Records that the tests of this crate share.

use hindsight_model::{AlertState, Labels, Tenant, Transition};
use jiff::{SignedDuration, Timestamp};

use crate::{Alert, Event, Kind, Receiver, ReceiverConfig, ReceiverKind, Routing, Told, load_receivers};

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

/// An alert of `service` that began at `s`.
pub(crate) fn alert(service: &str, s: i64, ended: Option<i64>) -> Alert {
    let kind = if ended.is_some() { Kind::Resolved } else { Kind::Firing };
    let mut one = transition(ended.unwrap_or(s), AlertState::Pending, AlertState::Firing);
    one.labels.insert("service_name".into(), service.into());
    one.active_at = Some(at(s));
    Alert::of(&one, kind, "http://localhost:4320")
}

/// What an event of it says.
pub(crate) fn event(service: &str, episode: &str, s: i64, ended: Option<i64>) -> Event {
    Event {
        kind: if ended.is_some() { Kind::Resolved } else { Kind::Firing },
        route: "{}".into(),
        group_labels: labels(&[("alertname", "DbPoolSaturated")]),
        episode: episode.into(),
        alert: alert(service, s, ended),
    }
}

pub(crate) fn told(service: &str, episode: &str, s: i64, ended: Option<i64>) -> Told {
    let event = event(service, episode, s, ended);
    Told {
        kind: event.kind,
        episode: event.episode,
        alert: event.alert,
        news: true,
        unheard: ended.is_none(),
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
        url: url.map(Into::into),
        timeout: url.map(|_| "2s".into()),
        path: path.map(Into::into),
        ..config(name, kind)
    };
    load_receivers(&[config], std::path::Path::new("")).unwrap().remove(0)
}

/// A table with nothing but name and type.
pub(crate) fn config(name: &str, kind: ReceiverKind) -> ReceiverConfig {
    serde_json::from_value(serde_json::json!({"name": name, "type": kind})).unwrap()
}

/// `[notify]` from TOML, against these receivers.
pub(crate) fn routing(toml: &str, receivers: &[Receiver]) -> Routing {
    Routing::new(&toml::from_str(toml).unwrap(), receivers).unwrap()
}
