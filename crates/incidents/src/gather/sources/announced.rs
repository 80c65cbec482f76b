//! Changes that somebody announced: deployments and pipelines as spans or events, Kubernetes events, and changes that
//! were posted by hand.

use std::collections::BTreeMap;

use hindsight_model::{SqlValue, TimelineKind, TimelineRow};
use jiff::Timestamp;

use super::super::{Asker, number, text};
use super::{About, queries};
use crate::timeline::row;
use crate::{CHANGE_EVENT, Result, format};

/// An event that came more than once, as it came first.
struct Repeated<'a> {
    at: Timestamp,
    times: usize,
    service: Option<&'a str>,
    body: &'a str,
}

/// Spans of `deployment.*` and `cicd.*`.
pub(super) async fn deployments(asker: &Asker<'_>, about: About<'_>) -> Result<Vec<TimelineRow>> {
    let sql = queries::deployments(about.changes_from(), about.to);
    let rows = asker.rows("deployments", sql.clone()).await?;
    Ok(rows
        .iter()
        .filter_map(|found| {
            let at = found.first()?.as_time()?;
            let what = text(found, 4).or_else(|| text(found, 2)).unwrap_or("without a name");
            let seconds = number(found, 6).unwrap_or(0.0) / 1e9;
            let took = if seconds < 60.0 { format::millis(seconds * 1e3) } else { format::minutes(seconds) };
            let result = text(found, 5).map_or_else(String::new, |result| format!(": {result}"));
            let said = format!("{} {what} ran for {took}{result}", text(found, 3).unwrap_or("deployment"));
            Some(row(at, TimelineKind::Change, text(found, 1), said, sql.clone()))
        })
        .collect())
}

/// Log events of deployments, pipelines and Kubernetes, and posted changes. Those of Kubernetes repeat; each is told
/// once, where it came first.
pub(super) async fn events(asker: &Asker<'_>, about: About<'_>) -> Result<Vec<TimelineRow>> {
    let sql = queries::events(about.changes_from(), about.to);
    let rows = asker.rows("events of changes", sql.clone()).await?;
    let mut told = Vec::new();
    let mut repeated: BTreeMap<(&str, &str), Repeated<'_>> = BTreeMap::new();
    for found in &rows {
        let Some(at) = found.first().and_then(SqlValue::as_time) else { continue };
        let (service, event, body) = (text(found, 1), text(found, 2), text(found, 3).unwrap_or_default());
        if let Some(reason) = text(found, 4) {
            let object = text(found, 5).unwrap_or_default();
            let first = Repeated { at, times: 0, service, body };
            repeated.entry((reason, object)).or_insert(first).times += 1;
            continue;
        }
        let said = match (event, text(found, 6)) {
            (Some(CHANGE_EVENT), _) | (None, None) => body.to_owned(),
            (event, result) => {
                let words = [event, result, Some(body).filter(|body| !body.is_empty())];
                words.into_iter().flatten().collect::<Vec<_>>().join(": ")
            }
        };
        told.push(row(at, TimelineKind::Change, service, said, sql.clone()));
    }
    for ((reason, object), Repeated { at, times, service, body }) in repeated {
        let times = if times > 1 { format!(", {times} times") } else { String::new() };
        let said = format!("Kubernetes {reason} {object}{times}: {body}");
        told.push(row(at, TimelineKind::Change, service, said, sql.clone()));
    }
    told.sort_by(|a, b| (a.at, &a.text).cmp(&(b.at, &b.text)));
    Ok(told)
}
