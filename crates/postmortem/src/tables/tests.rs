use std::fs;
use std::path::Path;

use arrow::array::Date32Array;
use hindsight_model::{ActionCheck, CheckOutcome, SystemTable};
use hindsight_state::State;

use super::*;

fn workspace() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let good = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/lint/good.md");
    let text = fs::read_to_string(good).unwrap();
    let put = |name: &str, text: &str| {
        let folder = dir.path().join("postmortems").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("postmortem.md"), text).unwrap();
    };
    put("PM-2026-001-a", &text);
    put(
        "PM-2026-002-b",
        &text.replace("PM-2026-001", "PM-2026-002").replace("severity:", "tenant: other\nseverity:"),
    );
    put("PM-2026-003-broken", "no front matter");
    fs::create_dir_all(dir.path().join("postmortems/PM-2026-004-empty")).unwrap();
    dir
}

fn library(dir: &tempfile::TempDir) -> Arc<Library> {
    Arc::new(Library::new(dir.path()))
}

#[tokio::test]
async fn each_tenant_sees_its_own_documents_and_broken_ones_are_left_out() {
    let dir = workspace();
    let table = PostmortemsTable::new(library(&dir));
    let rows = table.rows(&Tenant::default()).await.unwrap();
    assert_eq!(rows.num_rows(), 1);
    assert_eq!(rows.schema(), table.schema());
    let other = table.rows(&"other".parse().unwrap()).await.unwrap();
    let ids = other.column_by_name("id").unwrap().as_any().downcast_ref::<StringArray>().unwrap();
    assert_eq!(ids.value(0), "PM-2026-002");
    assert_eq!(table.rows(&"nobody".parse().unwrap()).await.unwrap().num_rows(), 0);
}

#[tokio::test]
async fn action_items_are_rows_with_owner_due_and_place() {
    let dir = workspace();
    let table = ActionItemsTable::new(library(&dir), State::in_memory().await.unwrap());
    let rows = table.rows(&Tenant::default()).await.unwrap();
    assert_eq!(rows.num_rows(), 2);
    let text = |name: &str| {
        rows.column_by_name(name).unwrap().as_any().downcast_ref::<StringArray>().unwrap().clone()
    };
    assert_eq!(text("owner").value(0), "sam.w");
    assert_eq!(text("status").value(1), "done");
    assert_eq!(text("whys").value(1), "1.5,1.6");
    let due = rows.column_by_name("due").unwrap().as_any().downcast_ref::<Date32Array>().unwrap();
    assert_eq!(due.value(0), days_since_epoch(jiff::civil::date(2026, 5, 20)).unwrap());
    assert_eq!(days_since_epoch(jiff::civil::date(1970, 1, 2)), Some(1));
}

#[tokio::test]
async fn a_workspace_without_post_mortems_is_empty_not_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let rows = PostmortemsTable::new(library(&dir)).rows(&Tenant::default()).await.unwrap();
    assert_eq!(rows.num_rows(), 0);
    assert_eq!(crate::workspace::find(dir.path(), "PM-2026-001").unwrap(), None);
    let full = workspace();
    let found = crate::workspace::find(full.path(), "PM-2026-002").unwrap().unwrap();
    assert!(found.ends_with("PM-2026-002-b"));
}

#[tokio::test]
async fn an_item_shows_what_its_verification_found() {
    let dir = workspace();
    let state = State::in_memory().await.unwrap();
    let row = library(&dir).list_actions(&Tenant::default(), Clearance::Everyone).unwrap().remove(1);
    let at: Timestamp = "2026-05-20T10:00:00Z".parse().unwrap();
    let check = ActionCheck {
        verify: row.item.verify.clone(),
        outcome: CheckOutcome::Passed,
        evidence: "DbPoolSaturated fires".to_owned(),
        checked_at: at,
        since: at,
        verified_at: Some(at),
        reopened_at: None,
    };
    assert!(!check.verify.is_empty(), "the fixture has a condition");
    state.save_action_check(&Tenant::default(), &row.key(), &check).await.unwrap();
    let table = ActionItemsTable::new(library(&dir), state);
    let rows = table.rows(&Tenant::default()).await.unwrap();
    assert_eq!(rows.schema(), table.schema());
    let text = |name: &str, row| {
        let column = rows.column_by_name(name).unwrap();
        column.as_any().downcast_ref::<StringArray>().unwrap().value(row).to_owned()
    };
    assert_eq!((text("status", 1), text("evidence", 1)), ("verified".into(), "DbPoolSaturated fires".into()));
    assert_eq!(text("said", 1), "done");
    assert_eq!((text("status", 0), text("said", 0)), ("done".into(), "verified".into()), "by word alone");
}
