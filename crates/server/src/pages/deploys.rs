//! Deploy marks: changes of `service.version` of the services a page is about.

use std::collections::BTreeSet;

use hindsight_incidents::gather::gather_versions;
use hindsight_incidents::{Change, version_changes};
use hindsight_model::Tenant;
use hindsight_postmortem::chart::EventLine;

use super::range::Range;
use crate::app::App;
use crate::fault::chain;

/// Services whose versions are looked up for one page.
const SERVICES_MAX: usize = 4;

/// The version changes of these services in the range, oldest first, and a sentence when they could not be read: a
/// page shows its own figures all the same.
pub(crate) async fn deploys(
    app: &App,
    services: &BTreeSet<String>,
    range: &Range,
) -> (Vec<Change>, Option<String>) {
    let mut found = Vec::new();
    for service in services.iter().take(SERVICES_MAX) {
        let versions = gather_versions(&app.query, &Tenant::default(), range.from, range.to, service).await;
        match versions {
            Ok(versions) => found.extend(version_changes(&versions)),
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
        kind: if change.is_return { "rollback".into() } else { "deploy".into() },
        label: format!("{}: {}", change.service, change.what),
    };
    changes.iter().map(line).collect()
}
