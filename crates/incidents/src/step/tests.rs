use super::*;
use crate::testing::{bare, minute};

fn step(incident: &Incident, step: &Step) -> Result<Taken> {
    take(incident, step, minute(50), &[])
}

fn with(status: IncidentStatus) -> Incident {
    Incident { status, ..bare(1) }
}

fn closed(id: u64) -> PostmortemFact {
    PostmortemFact { id: "PM-2026-001".to_owned(), incidents: vec![IncidentId(id)], is_closed: true }
}

/// Every step by the status it is taken in: the status after it, or `!` for a refusal.
#[test]
fn steps_lead_where_the_table_says() {
    use IncidentStatus::{Acknowledged, Closed, Merged, Mitigated, Open, Reopened, Resolved};
    let reason = || "customers wrote".to_owned();
    let steps: [(Step, [&str; 7]); 6] = [
        (
            Step::Acknowledge,
            ["acknowledged", "acknowledged", "mitigated", "acknowledged", "resolved", "!", "!"],
        ),
        (
            Step::Mitigate { text: None },
            ["mitigated", "mitigated", "mitigated", "mitigated", "resolved", "!", "!"],
        ),
        (Step::Resolve, ["resolved", "resolved", "resolved", "resolved", "resolved", "!", "!"]),
        (
            Step::Reopen { reason: reason() },
            ["open", "acknowledged", "mitigated", "reopened", "reopened", "reopened", "!"],
        ),
        (Step::Close { without_postmortem: Some(reason()) }, ["!", "!", "!", "!", "closed", "closed", "!"]),
        (
            Step::Cause { text: reason() },
            ["open", "acknowledged", "mitigated", "reopened", "resolved", "!", "!"],
        ),
    ];
    for (what, after) in steps {
        let before = [Open, Acknowledged, Mitigated, Reopened, Resolved, Closed, Merged];
        for (status, expected) in before.into_iter().zip(after) {
            let found = step(&with(status), &what).map(|taken| taken.incident.status.as_str());
            assert_eq!(found.unwrap_or("!"), expected, "{what:?} of one that is {status}");
        }
    }
}

#[test]
fn a_step_taken_again_changes_nothing() {
    for what in [
        Step::Acknowledge,
        Step::Mitigate { text: Some("rolled back".to_owned()) },
        Step::Resolve,
        Step::Role { role: IncidentRole::Scribe, person: Some("ana".to_owned()) },
        Step::Time { milestone: Milestone::Trigger, at: Some(minute(3)) },
    ] {
        let once = step(&with(IncidentStatus::Open), &what).unwrap().incident;
        let twice = step(&once, &what).unwrap();
        assert_eq!((twice.incident, twice.row), (once, None), "{what:?}");
    }
}

#[test]
fn reopening_forgets_the_end_and_nothing_else() {
    let over = step(&with(IncidentStatus::Open), &Step::Acknowledge).unwrap().incident;
    let over = step(&over, &Step::Mitigate { text: None }).unwrap().incident;
    let over = step(&over, &Step::Resolve).unwrap().incident;
    let again = step(&over, &Step::Reopen { reason: "errors again".to_owned() }).unwrap().incident;
    assert_eq!((again.times.mitigated, again.times.resolved), (None, None));
    assert_eq!((again.response.stated.mitigated, again.response.stated.resolved), (None, None));
    assert_eq!(again.times.acknowledged, Some(minute(50)));
}

#[test]
fn closing_needs_a_closed_post_mortem_or_a_reason() {
    let over = with(IncidentStatus::Resolved);
    let bare = Step::Close { without_postmortem: None };
    let refused = step(&over, &bare).unwrap_err().to_string();
    assert!(refused.contains("has no post-mortem"), "{refused}");
    let open = PostmortemFact { is_closed: false, ..closed(1) };
    for step in [&bare, &Step::Close { without_postmortem: Some("small".to_owned()) }] {
        let refused = take(&over, step, minute(60), std::slice::from_ref(&open)).unwrap_err().to_string();
        assert!(refused.contains("PM-2026-001, which is not closed"), "{refused}");
    }
    let taken =
        take(&over, &bare, minute(60), &[closed(1), PostmortemFact { is_closed: false, ..closed(2) }]);
    let closing = taken.unwrap().incident.response.closed.unwrap();
    assert_eq!(closing, Closing { at: minute(60), without_postmortem: None });
}

#[test]
fn a_row_names_roles_and_no_person() {
    let role = Step::Role { role: IncidentRole::IncidentCommander, person: Some("dana".to_owned()) };
    let taken = step(&with(IncidentStatus::Open), &role).unwrap();
    assert_eq!(taken.row.unwrap().1, "incident commander taken on");
    assert_eq!(taken.incident.response.roles[&IncidentRole::IncidentCommander], "dana");
    let given_up = step(&taken.incident, &Step::Role { role: IncidentRole::IncidentCommander, person: None });
    assert!(given_up.unwrap().incident.response.roles.is_empty());
}

#[test]
fn a_merged_incident_hands_over_its_alerts_services_and_severity() {
    let mut source = bare(2);
    source.alerts.insert("e9".to_owned(), "opened it".to_owned());
    source.firing = vec!["e9".to_owned()];
    source.services = vec!["orders-db".to_owned()];
    source.severity = IncidentSeverity::Sev1;
    let target = bare(1);
    let (gone, stays) = merge(&source, &target, "same pool").unwrap();
    assert_eq!((gone.status, gone.response.duplicate_of), (IncidentStatus::Merged, Some(IncidentId(1))));
    assert!(stays.alerts["e9"].contains("merged from INC-2: same pool"), "{:?}", stays.alerts);
    assert_eq!(
        (stays.firing.as_slice(), stays.severity),
        (["e9".to_owned()].as_slice(), IncidentSeverity::Sev1)
    );
    assert!(stays.services.contains(&"orders-db".to_owned()));
    assert!(merge(&gone, &stays, "again").is_err(), "it is part of it already");
    assert!(merge(&target, &target, "itself").is_err());
    assert!(merge(&source, &with(IncidentStatus::Closed), "late").is_err());
    let (_, stays) = merge(&source, &with(IncidentStatus::Resolved), "goes on").unwrap();
    assert_eq!(stays.status, IncidentStatus::Reopened, "its alert fires still");
}

#[test]
fn words_are_neither_missing_nor_endless() {
    for text in [String::new(), " ".to_owned(), "x".repeat(WORDS_CHARS_MAX + 1)] {
        for what in [Step::Cause { text: text.clone() }, Step::Reopen { reason: text.clone() }] {
            assert!(matches!(step(&with(IncidentStatus::Resolved), &what), Err(Error::Text { .. })));
        }
    }
}
