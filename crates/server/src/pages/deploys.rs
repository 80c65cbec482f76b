//! Deploy marks: changes of `service.version`, and of feature flags, of the services a page is about.

use std::collections::BTreeSet;

use hindsight_incidents::gather::{gather_flag_changes, gather_versions};
use hindsight_incidents::{Change, version_changes};
use hindsight_model::Tenant;
use hindsight_postmortem::chart::EventLine;

use super::range::Range;
use crate::app::App;
use crate::fault::chain;

/// Services whose versions are looked up for one page.
const SERVICES_MAX: usize = 4;

/// The changes of versions and feature flags of these services in the range, oldest first, and a sentence when they could not be read: a
/// page shows its own figures all the same.
pub(crate) async fn deploys(
    app: &App,
    services: &BTreeSet<String>,
    range: &Range,
) -> (Vec<Change>, Option<String>) {
    let mut found = Vec::new();
    for service in services.iter().take(SERVICES_MAX) {
        let tenant = Tenant::default();
        let versions = gather_versions(&app.query, &tenant, range.from, range.to, service).await;
        let flags = gather_flag_changes(&app.query, &tenant, range.from, range.to, service).await;
        match versions.and_then(|versions| Ok((versions, flags?))) {
            Ok((versions, flags)) => {
                found.extend(version_changes(&versions));
                found.extend(flags);
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "deploy marks could not be read");
                return (found, Some("Deploy marks could not be read; the server's log says why.".into()));
            }
        }
    }
    found.sort_by(|a, b| (a.at, &a.service).cmp(&(b.at, &b.service)));
    (found, None)
}

pub(crate) fn event_lines(changes: &[Change]) -> Vec<EventLine> {
    let line = |change: &Change| EventLine {
        at: change.at,
        kind: match &change.flag {
            Some(_) => "flag".into(),
            None if change.is_return => "rollback".into(),
            None => "deploy".into(),
        },
        label: format!("{}: {}", change.service, change.what),
    };
    changes.iter().map(line).collect()
}
