use std::fs::{self, File};

use super::*;

const GOOD: &str = include_str!("../../fixtures/lint/good.md");

struct Desk {
    dir: tempfile::TempDir,
    library: Library,
    began: Instant,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let library = Library::new(dir.path());
        Self { dir, library, began: Instant::now() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("postmortems").join(name).join("postmortem.md")
    }

    fn put(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    /// What is there so many milliseconds after the start.
    fn look(&self, ms: u64) -> Vec<Arc<Document>> {
        let listed =
            self.library.list_at(&Tenant::default(), self.began + Duration::from_millis(ms)).unwrap();
        listed.rows.into_iter().map(|row| row.document).collect()
    }
}

#[test]
fn a_document_is_parsed_once_while_its_file_stays_the_same() {
    let desk = Desk::new();
    desk.put("PM-2026-001-a", GOOD);
    let first = desk.look(0);
    assert_eq!(first.len(), 1);
    for ms in [1, 2_000, 4_000, 5_000, 600_000] {
        assert!(Arc::ptr_eq(&first[0], &desk.look(ms)[0]), "parsed again after {ms} ms");
    }
    // Written anew with the same words: read, not parsed.
    desk.put("PM-2026-001-a", GOOD);
    assert!(Arc::ptr_eq(&first[0], &desk.look(700_000)[0]));
    desk.put("PM-2026-001-a", &GOOD.replace("title: \"", "title: \"New: "));
    assert!(desk.look(700_001)[0].front.title.starts_with("New: "), "an edit shows at once");
}

#[test]
fn an_edit_of_the_same_length_within_one_tick_of_the_clock_shows() {
    let desk = Desk::new();
    desk.put("PM-2026-001-a", GOOD);
    let file = desk.path("PM-2026-001-a");
    let tick = fs::metadata(&file).unwrap().modified().unwrap();
    desk.look(0);
    // As if the file system's clock had stood still: the stamp that we keep is made the one that the edit gets.
    let edited = GOOD.replace("severity: SEV1", "severity: SEV3");
    assert!(edited.len() == GOOD.len() && edited != GOOD);
    fs::write(&file, &edited).unwrap();
    File::options().write(true).open(&file).unwrap().set_modified(tick).unwrap();
    let stamp = Stamp::of(&fs::metadata(&file).unwrap());
    desk.library.shelf.lock().unwrap().kept.get_mut(&file).unwrap().stamp = stamp;
    assert_eq!(desk.look(2_000)[0].write(), edited);
}

#[test]
fn what_is_gone_is_forgotten_and_what_is_too_much_is_not_kept() {
    let desk = Desk::new();
    desk.put("PM-2026-001-a", GOOD);
    desk.put("PM-2026-002-b", &GOOD.replace("PM-2026-001", "PM-2026-002"));
    assert_eq!(desk.look(0).len(), 2);
    fs::remove_dir_all(desk.path("PM-2026-002-b").parent().unwrap()).unwrap();
    assert_eq!(desk.look(1).len(), 1);
    {
        let mut shelf = desk.library.shelf.lock().unwrap();
        assert_eq!((shelf.kept.len(), shelf.kept_bytes), (1, GOOD.len() as u64));
        shelf.kept_bytes = KEPT_BYTES_MAX;
    }
    desk.put("PM-2026-003-c", &GOOD.replace("PM-2026-001", "PM-2026-003"));
    assert_eq!(desk.look(2).len(), 2, "it is read all the same");
    assert_eq!(desk.library.shelf.lock().unwrap().kept.len(), 1);
}

#[test]
fn restricted_documents_are_for_those_with_the_role() {
    let desk = Desk::new();
    desk.put("PM-2026-001-a", GOOD);
    let restricted = GOOD.replace("PM-2026-001", "PM-2026-002");
    let restricted = restricted.replace("visibility: internal", "visibility: restricted");
    assert!(restricted.contains("visibility: restricted"));
    desk.put("PM-2026-002-b", &restricted);
    desk.put("PM-2026-003-broken", "no front matter");
    let tenant = Tenant::default();
    let ids = |clearance| -> Vec<String> {
        let rows = desk.library.list(&tenant, clearance).unwrap();
        rows.into_iter().map(|row| row.document.front.id.clone()).collect()
    };
    assert_eq!(ids(Clearance::Everyone), ["PM-2026-001"]);
    assert_eq!(ids(Clearance::Restricted), ["PM-2026-001", "PM-2026-002"]);
    let items = |clearance| desk.library.list_actions(&tenant, clearance).unwrap().len();
    assert_eq!(items(Clearance::Restricted), 2 * items(Clearance::Everyone));
    let mut hidden: Vec<String> =
        desk.library.hidden(&tenant, Clearance::Everyone).unwrap().into_iter().collect();
    hidden.sort();
    assert_eq!(hidden, ["PM-2026-002", "PM-2026-003"], "the broken one may be restricted");
    assert!(desk.library.hidden(&tenant, Clearance::Restricted).unwrap().is_empty());
}
