//! Who was told of the incident's alerts.

use std::collections::BTreeMap;

use hindsight_model::{SqlValue, TimelineKind, TimelineRow};
use jiff::Timestamp;

use super::super::{Asker, text};
use super::{About, queries};
use crate::Result;
use crate::timeline::row;

/// Notifications that tell of an alert of the incident. A receiver that is told again and again has one row, with the
/// first time.
pub(super) async fn notifications(asker: &Asker<'_>, about: About<'_>) -> Result<Vec<TimelineRow>> {
    let sql = queries::notifications(about.changes_from(), about.to);
    let rows = asker.rows("notifications", sql.clone()).await?;
    let mut told: BTreeMap<&str, (Timestamp, usize)> = BTreeMap::new();
    for found in &rows {
        let (Some(at), Some(receiver), Some(alerts)) =
            (found.first().and_then(SqlValue::as_time), text(found, 1), text(found, 2))
        else {
            continue;
        };
        // Episodes are long and random: one that stands in the list is in it.
        if about.incident.alerts.keys().any(|episode| alerts.contains(episode.as_str())) {
            told.entry(receiver).or_insert((at, 0)).1 += 1;
        }
    }
    Ok(told
        .into_iter()
        .map(|(receiver, (at, times))| {
            let again = if times > 1 { format!(", {times} times until now") } else { String::new() };
            let said = format!("{receiver} was told{again}");
            row(at, TimelineKind::Notification, None, said, sql.clone())
        })
        .collect())
}
