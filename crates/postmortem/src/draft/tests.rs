use std::fs;

use super::*;
use crate::document::Document;
use crate::evidence::{EvidenceSet, Verdict, verify};
use crate::lint;
use crate::testing::{Shop, at, incident, input, timeline};

async fn drafted(workspace: &Path, shop: &Shop) -> Drafted {
    draft(input(&incident(), &timeline(), workspace), shop).await.unwrap()
}

#[tokio::test]
async fn a_fresh_draft_states_facts_with_evidence_and_passes_the_rules_of_a_draft() {
    let dir = tempfile::tempdir().unwrap();
    let drafted = drafted(dir.path(), &Shop::default()).await;
    assert_eq!(drafted.id, "PM-2026-001");
    assert!(drafted.created);
    assert!(drafted.dir.ends_with("postmortems/PM-2026-001-checkout-requests-failed"));
    let text = fs::read_to_string(&drafted.path).unwrap();
    let document = Document::read(&drafted.path).unwrap();
    assert_eq!(document.front.title, "Users of checkout saw 24.8 % of requests fail for 44 min");
    let evidence = EvidenceSet::read(&drafted.dir).unwrap();
    assert!(evidence.unreadable.is_empty());
    assert!(evidence.items.iter().all(|item| verify(item) == Verdict::Intact));
    let findings = lint::lint(&drafted.dir).unwrap();
    assert_eq!(findings, [], "{text}");
    insta::assert_snapshot!(
        text.lines().filter(|line| !line.contains("sha256=")).collect::<Vec<_>>().join("\n")
    );
}

#[tokio::test]
async fn every_cited_evidence_exists_and_every_chart_shares_one_axis_with_context() {
    let dir = tempfile::tempdir().unwrap();
    let drafted = drafted(dir.path(), &Shop::default()).await;
    let evidence = EvidenceSet::read(&drafted.dir).unwrap();
    let document = Document::read(&drafted.path).unwrap();
    for id in crate::document::cited_evidence(document.body()) {
        assert_eq!(evidence.trouble(&id), None);
    }
    let charts: Vec<_> = evidence.items.iter().filter(|item| item.chart.is_some()).collect();
    assert!(charts.len() >= 5, "{}", charts.len());
    let (start, end) = (at("21:32:10"), at("22:20:00"));
    let quarter = end.duration_since(start).as_secs() / 4;
    for chart in &charts {
        assert_eq!((chart.from, chart.to), (charts[0].from, charts[0].to), "{}", chart.title);
        assert!(start.duration_since(chart.from).as_secs() >= quarter);
        assert!(chart.to.duration_since(end).as_secs() >= quarter);
    }
    let line = charts[0].chart.as_ref().unwrap();
    let kinds: Vec<&str> = line.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["trigger", "onset", "detected", "mitigated", "resolved"]);
    assert!(line.baseline.as_ref().is_some_and(|band| band.high < 0.01));
    assert!(drafted.dir.join("evidence").join(format!("{}.svg", charts[0].id)).is_file());
}

#[tokio::test]
async fn drafting_again_over_the_same_data_changes_no_byte() {
    let dir = tempfile::tempdir().unwrap();
    let first = drafted(dir.path(), &Shop::default()).await;
    let before = contents(&first.dir);
    let second = drafted(dir.path(), &Shop::default()).await;
    assert_eq!(first.path, second.path);
    assert!(!second.created);
    assert_eq!(before, contents(&second.dir));
}

fn contents(dir: &Path) -> std::collections::BTreeMap<PathBuf, String> {
    let mut files = std::collections::BTreeMap::new();
    for folder in [dir.to_owned(), dir.join("evidence")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                files.insert(path.clone(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    files
}

#[tokio::test]
async fn drafting_again_keeps_what_people_wrote_and_the_evidence_it_cites() {
    let dir = tempfile::tempdir().unwrap();
    let first = drafted(dir.path(), &Shop::default()).await;
    let text = fs::read_to_string(&first.path).unwrap();
    let summary = Document::parse(&text, &first.path).unwrap().regions()[0].clone();
    assert_eq!(summary.name, "summary");
    let edited = text
        .replacen("On 2026-05-04 from", "On a Monday, 2026-05-04, from", 1)
        .replace("## What went well\n", "## What went well\n\nThe rollback was one command.  \n");
    fs::write(&first.path, &edited).unwrap();
    let old = EvidenceSet::read(&first.dir).unwrap();
    drafted(dir.path(), &Shop { more_failed: 100, ..Shop::default() }).await;
    let after = fs::read_to_string(&first.path).unwrap();
    assert!(after.contains("On a Monday, 2026-05-04, from"));
    assert!(after.contains("The rollback was one command.  \n"));
    let document = Document::parse(&after, &first.path).unwrap();
    let section = document.section_text("Summary");
    let kept_id = &crate::document::cited_evidence(section)[0];
    let now = EvidenceSet::read(&first.dir).unwrap();
    assert_eq!(now.get(kept_id), old.get(kept_id), "the edited summary's number keeps its evidence");
    let impact = crate::document::cited_evidence(document.section_text("Impact"));
    assert_ne!(&impact[0], kept_id, "the regenerated impact cites the new answer");
    assert_eq!(now.get(&impact[0]).unwrap().title, now.get(kept_id).unwrap().title);
    assert!(document.front.impact[0].value > 15_000.0);
}

#[tokio::test]
async fn a_past_incident_that_looked_alike_is_asked_about_with_what_was_never_finished() {
    let dir = tempfile::tempdir().unwrap();
    let action = |id: &str, status: &str| crate::PastAction {
        postmortem: "PM-2026-003".to_owned(),
        id: id.to_owned(),
        action: format!("Alert on the pool ({id})"),
        status: status.to_owned(),
    };
    let similar = [crate::Similar {
        incident: hindsight_model::IncidentId(3),
        title: "Customers *cannot* pay".to_owned(),
        severity: hindsight_model::IncidentSeverity::Sev2,
        opened_at: at("09:00:00"),
        similarity: 0.742,
        shared: vec!["log line “no connection to <*>”".to_owned(), "checkout".to_owned()],
        mitigation: vec!["rolled back 4.1.0".to_owned()],
        cause: None,
        postmortems: vec!["PM-2026-003".to_owned()],
        actions: vec![action("A1", "in_progress"), action("A2", "verified")],
    }];
    let (incident, rows) = (incident(), timeline());
    let input = DraftInput { similar: &similar, ..input(&incident, &rows, dir.path()) };
    let drafted = draft(input, &Shop::default()).await.unwrap();
    let text = fs::read_to_string(&drafted.path).unwrap();
    for said in [
        "[INC-3](/incidents/INC-3) of 2026-05-04, “Customers \\*cannot\\* pay” (74.2 % alike: log line",
        "It ended with: rolled back 4.1.0.",
        "Would [PM-2026-003 A1](/postmortems/PM-2026-003#A1)",
        "It is in progress since then.",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(!text.contains("PM-2026-003 A2"), "what is finished needs no question");
    assert_eq!(lint::lint(&drafted.dir).unwrap(), []);
}

#[tokio::test]
async fn a_document_past_review_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let first = drafted(dir.path(), &Shop::default()).await;
    let text = fs::read_to_string(&first.path).unwrap().replace("status: draft", "status: published");
    fs::write(&first.path, &text).unwrap();
    let again = draft(input(&incident(), &timeline(), dir.path()), &Shop::default()).await;
    assert!(matches!(again, Err(Error::Settled { status: "published", .. })));
    assert_eq!(fs::read_to_string(&first.path).unwrap(), text);
}

#[tokio::test]
async fn words_from_telemetry_stay_words() {
    let hostile = "<script>alert(1)</script> [E99] | `x` <!-- /hindsight:generated --> \u{202e}עברית 🙈\n# H";
    let mut rows = timeline();
    rows[0].text = hostile.to_owned();
    rows[3].text = hostile.to_owned();
    let incident = incident();
    let dir = tempfile::tempdir().unwrap();
    let shop = Shop { hostile: Some(hostile.to_owned()), ..Shop::default() };
    let drafted = draft(input(&incident, &rows, dir.path()), &shop).await.unwrap();
    let document = Document::read(&drafted.path).unwrap();
    assert!(document.regions().iter().all(|region| !region.edited));
    assert_eq!(lint::lint(&drafted.dir).unwrap(), []);
    let html = crate::render(&drafted.dir).unwrap();
    assert!(!html.contains("<script"));
    assert!(!html.contains("href=\"#E99\""));
    assert!(html.contains("&lt;script&gt;alert(1)"));
}

#[tokio::test]
async fn evidence_that_cannot_be_asked_is_left_out_and_nothing_is_claimed_of_it() {
    let failing = vec![
        "alert_transitions",
        "slo_slices",
        "approx_percentile",
        "mean_before",
        "AS caller",
        "calls_per_request",
    ];
    let dir = tempfile::tempdir().unwrap();
    let drafted = drafted(dir.path(), &Shop { failing, ..Shop::default() }).await;
    let document = Document::read(&drafted.path).unwrap();
    assert!(document.front.slo.is_empty());
    assert!(!document.body().contains("connections.usage` of `checkout` went"));
    let ids: Vec<&str> = lint::lint(&drafted.dir).unwrap().iter().map(|finding| finding.rule).collect();
    assert!(ids.is_empty() || ids == ["G2"], "{ids:?}");
    let away = Shop { failing: vec!["failed_before"], ..Shop::default() };
    let other = tempfile::tempdir().unwrap();
    let refused = draft(input(&incident(), &timeline(), other.path()), &away).await;
    assert!(matches!(refused, Err(Error::Query { .. })));
    assert!(!other.path().join("postmortems").try_exists().unwrap(), "nothing is left behind");
}

#[tokio::test]
async fn an_incident_that_goes_on_says_so() {
    let mut open = incident();
    open.times.resolved = None;
    open.times.mitigated = None;
    open.times.trigger = None;
    open.suspects.clear();
    let mut early = input(&open, &[], Path::new("."));
    early.now = at("22:00:00");
    early.watermark = Some(at("21:59:30"));
    let dir = tempfile::tempdir().unwrap();
    early.workspace = dir.path();
    let drafted = draft(early, &Shop::default()).await.unwrap();
    let document = Document::read(&drafted.path).unwrap();
    assert!(
        document.section_text("Summary").contains("not resolved by 14:59 PDT"),
        "{}",
        document.section_text("Summary")
    );
    assert_eq!(document.timeline().iter().filter(|row| row.kind == "trigger").count(), 1);
    let findings = lint::lint(&drafted.dir).unwrap();
    assert!(findings.iter().all(|finding| finding.level == lint::Level::W), "{findings:?}");
    let mut unknown = incident();
    unknown.times = Default::default();
    let refused = draft(input(&unknown, &[], dir.path()), &Shop::default()).await;
    assert!(matches!(refused, Err(Error::Settled { .. } | Error::Incomplete { .. })), "{refused:?}");
}

#[tokio::test]
async fn numbers_count_up_within_a_year_and_zones_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("postmortems/PM-2026-041-old")).unwrap();
    fs::create_dir_all(dir.path().join("postmortems/PM-2025-900-older")).unwrap();
    assert_eq!(drafted(dir.path(), &Shop::default()).await.id, "PM-2026-042");
    let (incident, rows) = (incident(), timeline());
    let input = DraftInput { timezone: "Mars/Olympus", ..input(&incident, &rows, dir.path()) };
    assert!(matches!(draft(input, &Shop::default()).await, Err(Error::Timezone { .. })));
}

#[tokio::test]
async fn lint_asks_telemetry_about_a_draft_and_finds_what_changed_since() {
    let dir = tempfile::tempdir().unwrap();
    let drafted = drafted(dir.path(), &Shop::default()).await;
    let (document, evidence) =
        (Document::read(&drafted.dir).unwrap(), EvidenceSet::read(&drafted.dir).unwrap());
    let mut same = crate::Knowledge::default();
    crate::ask_telemetry(&document, &evidence, &Shop::default(), &mut same).await.unwrap();
    assert_eq!(same.reruns.len(), evidence.items.len());
    assert!(same.reruns.values().all(Result::is_ok), "{:?}", same.reruns);
    assert!(same.observed.iter().any(|seen| seen.name == "CheckoutErrors" && seen.at == at("21:39:00")));
    assert_eq!(lint::lint_knowing(&document, &evidence, &same), []);
    let mut other = crate::Knowledge::default();
    let shop = Shop { more_failed: 900, ..Shop::default() };
    crate::ask_telemetry(&document, &evidence, &shop, &mut other).await.unwrap();
    let found = lint::lint_knowing(&document, &evidence, &other);
    let told: Vec<(&str, &str)> =
        found.iter().map(|finding| (finding.rule, finding.message.as_str())).collect();
    assert_eq!(told, [("I3", "E3 held 15713 for failed in row 1, now it is 16613")]);
}
