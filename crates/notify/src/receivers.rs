//! What each kind of receiver is told, as text: a file each. Pure; [`crate::send`] brings it there.

use hindsight_model::{Labels, Tenant};

use crate::alert::{Alert, Kind};
use crate::flush::Told;

pub(crate) mod alertmanager;
pub(crate) mod email;
pub(crate) mod file;
pub(crate) mod pagerduty;
pub(crate) mod slack;
pub(crate) mod webhook;

/// One notification before it takes a receiver's form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notice<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) receiver: &'a str,
    pub(crate) group_key: &'a str,
    pub(crate) group_labels: &'a Labels,
    /// Where the pages are, without a slash at the end.
    pub(crate) external_url: &'a str,
    pub(crate) told: &'a [Told],
}

impl Notice<'_> {
    /// `firing` while any of its alerts does.
    pub(crate) fn status(&self) -> Kind {
        let firing = self.told.iter().any(|told| told.kind == Kind::Firing);
        if firing { Kind::Firing } else { Kind::Resolved }
    }

    fn count(&self, kind: Kind) -> usize {
        self.told.iter().filter(|told| told.kind == kind).count()
    }

    /// `[FIRING:2] DbPoolSaturated checkout`, on one line.
    pub(crate) fn title(&self) -> String {
        let status = self.status();
        let mut title = format!("[{}:{}]", status.as_str().to_uppercase(), self.count(status));
        let values = match self.group_labels.values().any(|value| !value.is_empty()) {
            true => self.group_labels.clone(),
            false => common(self.told.iter().map(|told| &told.alert.labels)),
        };
        // The alert's name first, then the other values in the order of their labels' names.
        let name = values.get(crate::alert::ALERT_NAME).filter(|name| !name.is_empty());
        let others =
            values.iter().filter(|(label, value)| *label != crate::alert::ALERT_NAME && !value.is_empty());
        for value in name.into_iter().chain(others.map(|(_, value)| value)) {
            title.push(' ');
            title.push_str(value);
        }
        title
    }
}

/// The pairs that all of them have.
pub(crate) fn common<'a>(all: impl Iterator<Item = &'a Labels>) -> Labels {
    all.cloned()
        .reduce(|mut common, labels| {
            common.retain(|name, value| labels.get(name) == Some(value));
            common
        })
        .unwrap_or_default()
}

/// `service_name=checkout, severity=page`, without the alert's name.
pub(crate) fn label_list(alert: &Alert) -> String {
    let pairs = alert.labels.iter().filter(|(name, _)| *name != crate::alert::ALERT_NAME);
    pairs.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
