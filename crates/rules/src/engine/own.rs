//! What the built-in rules measure.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use hindsight_model::Labels;
use jiff::Timestamp;

use super::Engine;
use crate::rule::Measure;

/// A tick that is due for longer than this is late.
const LATE: Duration = Duration::from_secs(60);
/// How long a notification that was given up is spoken of.
const DEAD_FOR: Duration = Duration::from_secs(3_600);
/// Rules named as late, the latest first; a machine that is behind is behind with all of them.
const LATE_MAX: usize = 20;

/// Action items named as overdue, the longest first.
const OVERDUE_MAX: usize = 100;

type Found = Result<Vec<(Labels, f64)>, String>;

impl Engine {
    /// The instances of a built-in rule at tick `t`. How late rules are is known only while the engine runs beside a
    /// clock, and only now: of past ticks that are caught up nobody can say it.
    pub(super) fn measure(
        &self,
        measure: Measure,
        t: Timestamp,
        live: Option<Timestamp>,
    ) -> BoxFuture<'static, Found> {
        match (measure, &self.options.dead_notifications) {
            (Measure::OverdueActions, _) => {
                let Some(overdue) = &self.options.overdue_actions else {
                    return futures::future::ready(Ok(Vec::new())).boxed();
                };
                let found = overdue(t).map(|found| match found {
                    Ok(mut found) => {
                        found.sort_by(|a, b| b.1.total_cmp(&a.1));
                        found.truncate(OVERDUE_MAX);
                        Ok(found)
                    }
                    Err(error) => Err(format!("look which action items are overdue: {error}")),
                });
                found.boxed()
            }
            (Measure::RuleLag, _) => {
                let now = live.filter(|now| now.duration_since(t).as_secs_f64() < LATE.as_secs_f64());
                futures::future::ready(Ok(now.map_or_else(Vec::new, |now| self.late(now)))).boxed()
            }
            (Measure::DeadNotifications, Some(dead)) => {
                let from = t.checked_sub(DEAD_FOR).unwrap_or(Timestamp::MIN);
                let found = dead(from, t);
                let found = found.map(|dead| match dead {
                    Ok(dead) => Ok(dead.into_iter().map(receiver).collect()),
                    Err(error) => Err(format!("count the notifications that were given up: {error}")),
                });
                found.boxed()
            }
            _ => futures::future::ready(Ok(Vec::new())).boxed(),
        }
    }

    fn late(&self, now: Timestamp) -> Vec<(Labels, f64)> {
        let late = |unit: &super::Unit| {
            let seconds = now.duration_since(unit.next?).as_secs_f64();
            (seconds > LATE.as_secs_f64()).then(|| (named("rule", &unit.name), seconds))
        };
        let mut found: Vec<(Labels, f64)> = self.units.iter().filter_map(late).collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found.truncate(LATE_MAX);
        found
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of notifications")]
fn receiver((receiver, count): (String, u64)) -> (Labels, f64) {
    (named("receiver", &receiver), count as f64)
}

fn named(label: &str, value: &str) -> Labels {
    Labels::from([(label.to_owned(), value.to_owned())])
}
