//! How an item stands, as a pure function of its row, what people said beside it, and what verification found.

use hindsight_model::{ActionCheck, ActionRecord, CheckOutcome};
use jiff::Timestamp;
use jiff::civil::Date;

use super::Found;
use crate::document::{ActionItem, ActionStatus};

/// How an item stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Where it stands, evidence included.
    pub status: ActionStatus,
    /// What people say.
    pub said: ActionStatus,
    /// Why it will not be done.
    pub reason: Option<String>,
    /// Who agreed that it will not be done.
    pub approver: Option<String>,
    /// The last verification of the condition that the document has now.
    pub check: Option<ActionCheck>,
}

impl Standing {
    /// Whether something is still to be done.
    pub fn is_open(&self) -> bool {
        matches!(self.status, ActionStatus::Proposed | ActionStatus::Accepted | ActionStatus::InProgress)
    }

    /// Whole days since its last day, when it is open and that day is over (UTC).
    pub fn days_overdue(&self, due: Option<Date>, today: Date) -> Option<i32> {
        let due = due.filter(|_| self.is_open())?;
        let days = (today - due).get_days();
        (days > 0).then_some(days)
    }
}

/// How this item stands.
///
/// Of document and words beside it, whoever spoke last is believed: words count as long as the document says what it
/// said when they were spoken. `verified` is said by evidence alone; by word it is `done`. Evidence that went away
/// opens the item again, until a person says something after that.
pub fn standing(item: &ActionItem, record: &ActionRecord) -> Standing {
    let statement = record.statement.as_ref().filter(|s| s.document_status == item.status.as_str());
    let said = statement.and_then(|s| ActionStatus::from_word(&s.status)).unwrap_or(item.status);
    let verify = item.verify.trim();
    let check = record.check.as_ref().filter(|check| !verify.is_empty() && check.verify == verify);
    let reopened = check.and_then(|check| check.reopened_at).filter(|at| {
        check.is_some_and(|check| check.verified_at.is_none()) && statement.is_none_or(|s| s.at < *at)
    });
    let status = if said == ActionStatus::WontDo {
        said
    } else if check.is_some_and(|check| check.verified_at.is_some()) {
        ActionStatus::Verified
    } else if reopened.is_some() {
        ActionStatus::InProgress
    } else if said == ActionStatus::Verified {
        ActionStatus::Done
    } else {
        said
    };
    Standing {
        status,
        said,
        reason: statement.and_then(|s| s.reason.clone()),
        approver: statement.and_then(|s| s.approver.clone()),
        check: check.cloned(),
    }
}

/// The record of a verification after this result. What cannot be told changes nothing but the words; another
/// condition begins anew.
pub fn checked(before: Option<&ActionCheck>, verify: &str, found: Found, now: Timestamp) -> ActionCheck {
    let verify = verify.trim().to_owned();
    let was_verified = before.is_some_and(|check| check.verified_at.is_some());
    let same = before.filter(|check| check.verify == verify);
    let (verified_at, reopened_at) = match found.outcome {
        CheckOutcome::Passed => (
            same.and_then(|check| check.verified_at).or(Some(now)),
            before.and_then(|check| check.reopened_at),
        ),
        CheckOutcome::Failed if was_verified => (None, Some(now)),
        CheckOutcome::Failed => (None, before.and_then(|check| check.reopened_at)),
        CheckOutcome::Unknown => {
            (same.and_then(|check| check.verified_at), same.and_then(|check| check.reopened_at))
        }
    };
    let since = same.filter(|check| check.outcome == found.outcome).map_or(now, |check| check.since);
    ActionCheck {
        verify,
        outcome: found.outcome,
        evidence: found.evidence,
        checked_at: now,
        since,
        verified_at,
        reopened_at,
    }
}

#[cfg(test)]
mod tests {
    use hindsight_model::ActionStatement;

    use super::*;

    const VERIFY: &str = "alert: DbPoolSaturated fires on INC-7";

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_777_900_000 + 60 * minute).unwrap()
    }

    fn item(status: ActionStatus) -> ActionItem {
        ActionItem { status, verify: VERIFY.to_owned(), ..ActionItem::default() }
    }

    fn found(outcome: CheckOutcome) -> Found {
        Found { outcome, evidence: outcome.as_str().to_owned() }
    }

    /// The record after these results, a minute apart.
    fn after(outcomes: &[CheckOutcome]) -> ActionRecord {
        let mut record = ActionRecord::default();
        for (minute, outcome) in (0..).zip(outcomes) {
            record.check = Some(checked(record.check.as_ref(), VERIFY, found(*outcome), at(minute)));
        }
        record
    }

    fn words(status: &str, document: &str, minute: i64) -> ActionStatement {
        ActionStatement {
            status: status.to_owned(),
            document_status: document.to_owned(),
            reason: None,
            approver: None,
            author: "ana".to_owned(),
            at: at(minute),
        }
    }

    #[test]
    fn evidence_verifies_its_absence_reopens_and_what_cannot_be_told_changes_nothing() {
        use CheckOutcome::{Failed, Passed, Unknown};
        for (outcomes, status) in [
            (vec![], "proposed"),
            (vec![Failed], "proposed"),
            (vec![Unknown], "proposed"),
            (vec![Failed, Passed], "verified"),
            (vec![Passed, Unknown], "verified"),
            (vec![Passed, Failed], "in_progress"),
            (vec![Passed, Failed, Failed, Unknown], "in_progress"),
            (vec![Passed, Failed, Passed], "verified"),
        ] {
            let standing = standing(&item(ActionStatus::Proposed), &after(&outcomes));
            assert_eq!(standing.status.as_str(), status, "{outcomes:?}");
        }
        let check = after(&[Passed, Passed, Failed, Failed]).check.unwrap();
        assert_eq!((check.verified_at, check.reopened_at), (None, Some(at(2))));
        assert_eq!((check.since, check.checked_at), (at(2), at(3)));
    }

    #[test]
    fn by_word_alone_nothing_is_verified() {
        let none = ActionRecord::default();
        assert_eq!(standing(&item(ActionStatus::Verified), &none).status, ActionStatus::Done);
        assert!(!standing(&item(ActionStatus::Done), &none).is_open());
    }

    #[test]
    fn whoever_spoke_last_is_believed() {
        let mut record = after(&[CheckOutcome::Passed, CheckOutcome::Failed]);
        record.statement = Some(words("done", "proposed", 5));
        assert_eq!(standing(&item(ActionStatus::Proposed), &record).status, ActionStatus::Done);
        record.statement = Some(words("done", "proposed", 0));
        let reopened = standing(&item(ActionStatus::Proposed), &record);
        assert_eq!((reopened.status, reopened.said), (ActionStatus::InProgress, ActionStatus::Done));
        let edited = standing(&item(ActionStatus::Accepted), &ActionRecord { check: None, ..record });
        assert_eq!(edited.status, ActionStatus::Accepted, "the document was edited after the words");
        let mut given_up = after(&[CheckOutcome::Passed]);
        given_up.statement = Some(words("wont_do", "proposed", 9));
        assert_eq!(standing(&item(ActionStatus::Proposed), &given_up).status, ActionStatus::WontDo);
    }

    #[test]
    fn another_condition_begins_anew() {
        let record = after(&[CheckOutcome::Passed]);
        let other = ActionItem { verify: "slo: x met for 14d".to_owned(), ..item(ActionStatus::Done) };
        assert_eq!(standing(&other, &record).status, ActionStatus::Done);
        let check = checked(record.check.as_ref(), &other.verify, found(CheckOutcome::Unknown), at(9));
        assert_eq!((check.verified_at, check.since), (None, at(9)));
    }

    #[test]
    fn an_open_item_is_overdue_from_the_day_after_its_last() {
        let due = Some(jiff::civil::date(2026, 5, 20));
        let open = standing(&item(ActionStatus::Accepted), &ActionRecord::default());
        assert_eq!(open.days_overdue(due, jiff::civil::date(2026, 5, 20)), None);
        assert_eq!(open.days_overdue(due, jiff::civil::date(2026, 7, 1)), Some(42));
        let done = standing(&item(ActionStatus::Done), &ActionRecord::default());
        assert_eq!(done.days_overdue(due, jiff::civil::date(2026, 7, 1)), None);
    }
}
