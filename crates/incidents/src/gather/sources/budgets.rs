//! When the budget of an SLO passed a threshold.

use hindsight_model::{SqlValue, TimelineKind, TimelineRow};
use jiff::{SignedDuration, Timestamp};

use super::super::{Asker, later, number, text};
use super::{About, queries};
use crate::Result;
use crate::timeline::row;

/// Shares of the budget worth telling.
const THRESHOLDS: [f64; 4] = [0.25, 0.5, 0.75, 1.0];
/// Most SLOs of an incident that are looked at.
const SLOS_MAX: usize = 10;
/// What counts events; time slices have no single sum over minutes.
const COUNTS_EVENTS: &str = "Occurrences";

/// The thresholds that the SLOs of its services passed meanwhile.
pub(super) async fn thresholds(asker: &Asker<'_>, about: About<'_>) -> Result<Vec<TimelineRow>> {
    let slos = asker.rows("SLOs", queries::slos()).await?;
    let mine = slos.iter().filter(|slo| {
        text(slo, 3) == Some(COUNTS_EVENTS) && text(slo, 1).is_some_and(|name| about.services.contains(name))
    });
    let mut told = Vec::new();
    for slo in mine.take(SLOS_MAX) {
        let (Some(name), Some(window_s), Some(bad), Some(share)) =
            (text(slo, 0), number(slo, 2), number(slo, 4), number(slo, 5))
        else {
            continue;
        };
        // So many bad events are the budget, as the SLO itself counts it; with nothing spent there is nothing to tell.
        let budget = bad / share;
        if !(budget.is_finite() && budget > 0.0) {
            continue;
        }
        #[expect(clippy::cast_possible_truncation, reason = "seconds of some weeks")]
        let window = SignedDuration::from_secs(window_s as i64);
        let start = later(about.to, -window);
        let from = about.began.max(start);
        let sql = queries::spending(name, budget, (start, from, about.to));
        let rows = asker.rows("the budget of an SLO", sql.clone()).await?;
        let spent: Vec<(Timestamp, f64)> = rows
            .iter()
            .filter_map(|row| Some((row.first().and_then(SqlValue::as_time)?, number(row, 1)?)))
            .collect();
        for (at, threshold) in passed(&spent) {
            let said = format!("{name}: {:.0} % of the error budget is spent", threshold * 100.0);
            told.push(row(at, TimelineKind::Slo, text(slo, 1), said, sql.clone()));
        }
    }
    Ok(told)
}

/// When each threshold was passed after the first row, which holds all that was spent before; of several at once the
/// highest.
fn passed(spent: &[(Timestamp, f64)]) -> Vec<(Timestamp, f64)> {
    spent
        .windows(2)
        .filter_map(|pair| {
            let crossed = |threshold: &&f64| pair[0].1 < **threshold && **threshold <= pair[1].1;
            THRESHOLDS.iter().rfind(crossed).map(|threshold| (pair[1].0, *threshold))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::minute;

    #[test]
    fn a_threshold_is_told_when_it_is_passed_and_the_highest_of_several() {
        let spent = [(0, 0.3), (1, 0.45), (2, 0.55), (3, 0.55), (4, 1.2), (5, 1.3)];
        let spent: Vec<_> = spent.into_iter().map(|(at, share)| (minute(at), share)).collect();
        assert_eq!(passed(&spent), [(minute(2), 0.5), (minute(4), 1.0)]);
        assert_eq!(passed(&spent[..1]), []);
    }
}
