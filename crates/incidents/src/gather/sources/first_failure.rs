//! The first request that failed.

use hindsight_model::{SqlValue, TimelineKind, TimelineRow};
use jiff::SignedDuration;

use super::super::{Asker, later, text};
use super::{About, queries};
use crate::timeline::row;
use crate::{Indicator, Result};

/// How long after the onset it is looked for.
const WITHIN: SignedDuration = SignedDuration::from_mins(10);
/// Share of failures before the onset from which a failure after it is nothing new.
const USUAL_FAILURES: f64 = 0.02;

/// The first request of the hurt service that failed from the onset on, where failures were rare before.
pub(super) async fn first_failure(asker: &Asker<'_>, about: About<'_>) -> Result<Vec<TimelineRow>> {
    let fails = about.onset.filter(|o| o.indicator == Indicator::ErrorShare && o.before < USUAL_FAILURES);
    let Some(onset) = fails else { return Ok(Vec::new()) };
    let to = later(onset.at, WITHIN).min(about.to);
    let sql = queries::first_failure(&onset.service, onset.low.min(onset.at), to);
    let rows = asker.rows("the first failing request", sql).await?;
    Ok(rows
        .iter()
        .filter_map(|found| {
            let at = found.first().and_then(SqlValue::as_time)?;
            let (trace, name) = (text(found, 1)?, text(found, 2)?);
            let said = format!("{} {name}: the first request that fails, trace {trace}", onset.service);
            Some(row(at, TimelineKind::ChangePoint, Some(&onset.service), said, queries::trace(trace)))
        })
        .collect())
}
