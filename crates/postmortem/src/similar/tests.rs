use std::fs;
use std::path::Path;

use hindsight_model::{
    ActionStatement, NewTimelineRow, Suspect, Tenant, TimelineChange, TimelineKind, TimelineRow,
    TimelineSource,
};
use hindsight_state::{AuditEntry, State};
use proptest::prelude::*;

use super::*;
use crate::testing::at;

fn suspect(service: &str, change: Option<&str>, templates: &[&str]) -> Suspect {
    Suspect {
        service: service.to_owned(),
        score: 1.0,
        reasons: Vec::new(),
        change: change.map(str::to_owned),
        changed_at: None,
        templates: templates.iter().map(|&text| text.to_owned()).collect(),
    }
}

fn incident(id: u64, opened: &str, services: &[&str], suspects: Vec<Suspect>) -> Incident {
    Incident {
        id: IncidentId(id),
        title: format!("incident {id}"),
        opened_at: at(opened),
        services: services.iter().map(|&name| name.to_owned()).collect(),
        suspects,
        ..crate::testing::incident()
    }
}

const NO_POOL: &str = "no connection to <*> within <*>";

#[test]
fn the_likest_come_first_and_strangers_not_at_all() {
    let deploy = Some("service.version 1 → 2");
    let now = incident(9, "12:00:00", &["checkout"], vec![suspect("orders", deploy, &[NO_POOL])]);
    let same = incident(1, "09:00:00", &["checkout"], vec![suspect("orders", deploy, &[NO_POOL])]);
    let near = incident(2, "10:00:00", &["checkout"], vec![suspect("orders", Some("flag x a → b"), &[])]);
    let far = incident(3, "11:00:00", &["search"], vec![suspect("index", deploy, &["shard <*> lost"])]);
    let all: Vec<Features> = [&far, &near, &same].map(|one| features(one, [])).into();
    let found = likest(&features(&now, []), [&far, &near, &same].into_iter().zip(&all));
    let told: Vec<_> = found
        .iter()
        .map(|(one, likeness, shared)| {
            (one.id.0, (likeness * 100.0).round(), shared.iter().map(Feature::words).collect::<Vec<_>>())
        })
        .collect();
    let line = format!("log line “{NO_POOL}”");
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            (1, 100.0, words(&[&line, "checkout", "orders", "a deployment"])),
            (2, 74.0, words(&["checkout", "orders"])),
        ]
    );
    assert!(likest(&Features::default(), [(&same, &all[2])]).is_empty(), "nothing is like what is not known");
}

fn some_features() -> impl Strategy<Value = Features> {
    let feature = (0..4_u8, 0..6_u8).prop_map(|(kind, name)| {
        let name = name.to_string();
        match kind {
            0 => Feature::Service(name),
            1 => Feature::Template(name),
            2 => Feature::Pattern(name),
            _ => Feature::Change(name),
        }
    });
    prop::collection::vec(feature, 0..12).prop_map(|features| features.into_iter().collect())
}

proptest! {
    #[test]
    fn likeness_is_symmetric_and_between_nought_and_one(a in some_features(), b in some_features()) {
        let likeness = similarity(&a, &b);
        prop_assert!((likeness - similarity(&b, &a)).abs() < 1e-12);
        prop_assert!((0.0..=1.0).contains(&likeness));
        prop_assert_eq!(likeness > 0.0, !shared(&a, &b).is_empty());
    }

    #[test]
    fn anything_known_is_wholly_like_itself_and_like_nothing_of_another_kind(a in some_features()) {
        let own = similarity(&a, &a);
        let expected = if a == Features::default() { 0.0 } else { 1.0 };
        prop_assert!((own - expected).abs() < 1e-12);
        let other: Features = [Feature::Service("elsewhere".to_owned())].into_iter().collect();
        prop_assert_eq!(similarity(&a, &other), 0.0);
    }
}

fn row(text: &str, source: TimelineSource) -> TimelineChange {
    let row = TimelineRow {
        at: at("09:30:00"),
        kind: if source == TimelineSource::Human { TimelineKind::Milestone } else { TimelineKind::Change },
        source,
        service: Some("orders".to_owned()),
        text: text.to_owned(),
        sql: None,
        state: "accepted".to_owned(),
    };
    TimelineChange::adding(NewTimelineRow { row, role: None, author: None })
}

fn write_document(workspace: &Path) {
    let dir = workspace.join("postmortems/PM-2026-001-orders");
    fs::create_dir_all(&dir).unwrap();
    let text = "---\nschema: hindsight/postmortem/v1\nid: PM-2026-001\nincidents: [INC-1]\ntitle: t\nstatus: published\n\
        severity: SEV2\ntimezone: UTC\ntimes: {impact_start: 2026-05-04T09:00:00Z}\nservices: [orders]\n\
        patterns: [capacity]\n---\n\n## Action items\n\n\
        | id | action | owner | due | priority | status |\n|----|----|----|----|----|----|\n\
        | A1 | Alert on the pool | ana | 2026-06-01 | medium | proposed |\n\
        | A2 | Double the pool | ana | 2026-06-01 | high | proposed |\n";
    fs::write(dir.join("postmortem.md"), text).unwrap();
}

#[tokio::test]
async fn what_was_done_then_comes_with_whether_it_was_finished() {
    let state = State::in_memory().await.unwrap();
    let workspace = tempfile::tempdir().unwrap();
    let orders = || vec![suspect("orders", None, &[NO_POOL])];
    let mut past = incident(1, "09:00:00", &["checkout"], orders());
    past.times.impact_start = Some(at("09:00:00"));
    past.times.mitigated = Some(at("09:31:00"));
    let now = incident(2, "12:00:00", &["checkout"], orders());
    let found = similar_incidents(&state, workspace.path(), &now).await.unwrap();
    assert_eq!(found, [], "there is no past");

    let back = row("orders 1 is back (before: 2)", TimelineSource::System);
    for (incident, change) in [(&past, back), (&now, TimelineChange::default())] {
        state.save_incidents(&[(incident.clone(), change)], None).await.unwrap();
    }
    let found = similar_incidents(&state, workspace.path(), &now).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].mitigation, ["orders 1 is back (before: 2)"]);
    assert!(found[0].actions.is_empty() && found[0].postmortems.is_empty());

    let said = row("mitigated: rolled orders back", TimelineSource::Human);
    state.save_incidents(&[(past.clone(), said)], None).await.unwrap();
    write_document(workspace.path());
    let statement = ActionStatement {
        status: "done".to_owned(),
        document_status: "proposed".to_owned(),
        reason: None,
        approver: None,
        author: "ana".to_owned(),
        at: at("11:00:00"),
    };
    let key = hindsight_model::ActionKey { postmortem: "PM-2026-001".to_owned(), item: "A2".to_owned() };
    let entry = AuditEntry {
        tenant: Tenant::default(),
        actor: "ana".to_owned(),
        action: "action.say".to_owned(),
        subject: key.to_string(),
        detail: "{}".to_owned(),
    };
    state.say_of_action(&Tenant::default(), &key, &statement, &entry).await.unwrap();
    let found = similar_incidents(&state, workspace.path(), &now).await.unwrap();
    assert_eq!(found[0].mitigation, ["rolled orders back"]);
    assert_eq!(found[0].postmortems, ["PM-2026-001"]);
    let told: Vec<_> = found[0]
        .actions
        .iter()
        .map(|one| (one.id.as_str(), one.status.as_str(), one.is_finished()))
        .collect();
    assert_eq!(told, [("A1", "proposed", false), ("A2", "done", true)]);
    assert_eq!(found[0].unfinished().count(), 1);
    let of_the_first = similar_incidents(&state, workspace.path(), &past).await.unwrap();
    assert_eq!(of_the_first, [], "what came later is no past");
}
