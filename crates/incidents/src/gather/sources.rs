//! Sources of timeline rows beside the series of minutes: each a small gatherer, window in, suggested rows with their
//! evidence out. Asked again they tell the same, and what came late; one that fails keeps none of the others.

mod announced;
mod budgets;
mod first_failure;
mod notified;
mod queries;

use std::collections::BTreeSet;

use hindsight_model::{Incident, SqlSource, Tenant, TimelineRow};
use jiff::{SignedDuration, Timestamp};

use super::{Asker, later};
use crate::{Error, Onset, Result};

/// Most rows of one source.
const ROWS_MAX: usize = 20;
/// How long before the onset a change may have been announced.
const CHANGES_BEFORE: SignedDuration = SignedDuration::from_mins(60);

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub(crate) incident: &'a Incident,
    pub(crate) onset: Option<&'a Onset>,
    /// Services that are hurt or under suspicion.
    pub(crate) services: &'a BTreeSet<String>,
    /// When it began as far as is known, and until when is looked.
    pub(crate) began: Timestamp,
    pub(crate) to: Timestamp,
}

/// The rows of every source, and why those failed that could not be read.
pub(crate) async fn gather_sources(
    sql: &dyn SqlSource,
    tenant: &Tenant,
    about: About<'_>,
) -> (Vec<TimelineRow>, Vec<Error>) {
    let asker = Asker { sql, tenant };
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    let mut take = |found: Result<Vec<TimelineRow>>| match found {
        Ok(found) => rows.extend(found.into_iter().take(ROWS_MAX)),
        Err(error) => failed.push(error),
    };
    take(announced::deployments(&asker, about).await);
    take(announced::events(&asker, about).await);
    take(budgets::thresholds(&asker, about).await);
    take(first_failure::first_failure(&asker, about).await);
    take(notified::notifications(&asker, about).await);
    (rows, failed)
}

impl About<'_> {
    /// When a change that may have to do with it can have been announced.
    fn changes_from(&self) -> Timestamp {
        later(self.began, -CHANGES_BEFORE)
    }
}
