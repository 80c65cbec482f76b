use std::time::Duration;

use proptest::prelude::*;

use super::journal::{read_lines, to_line};
use super::ring::{KEPT_MAX, KEPT_PER_MINUTE_MAX};
use super::*;

fn noon() -> Timestamp {
    "2026-05-04T12:00:00Z".parse().unwrap()
}

fn item(number: usize) -> RejectedItem {
    RejectedItem {
        time: noon(),
        tenant: Tenant::default(),
        signal: Signal::Logs,
        reason: Cow::Borrowed("too_old"),
        occurrences: 1,
        service: Some("checkout".to_owned()),
        sender: None,
        excerpt: number.to_string(),
    }
}

fn refused(rejections: &Rejections, reason: &'static str, at: Timestamp) {
    let tenant = Tenant::default();
    let refusal = Refusal {
        tenant: &tenant,
        signal: Signal::Logs,
        reason,
        sender: Some("10.0.0.1"),
        told: "too large",
    };
    rejections.refused(&refusal, at);
}

fn keep(rejections: &Rejections, number: usize) {
    rejections.keep(&mut rejections.lock(), item(number));
}

fn shown(rejections: &Rejections) -> Vec<(String, u64)> {
    rejections.recent().iter().map(|item| (item.reason.to_string(), item.occurrences)).collect()
}

#[test]
fn refused_requests_are_one_row_for_each_minute_and_reason_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let rejections = Rejections::open(dir.path());
    for second in 0..50 {
        refused(&rejections, "request_too_large", noon() + Duration::from_secs(second));
    }
    refused(&rejections, "malformed", noon());
    let first_minute = [("malformed".to_owned(), 1), ("request_too_large".to_owned(), 50)];
    assert_eq!(shown(&rejections), first_minute);
    refused(&rejections, "malformed", noon() + Duration::from_secs(60));
    rejections.close();
    let rejections = Rejections::open(dir.path());
    assert_eq!(shown(&rejections), [&first_minute[..], &[("malformed".to_owned(), 1)]].concat());
    assert_eq!(rejections.recent()[1].sender.as_deref(), Some("10.0.0.1"));
    assert_eq!(rejections.unwritten(), 0);
}

#[test]
fn a_minute_that_is_over_is_written_down_without_another_refusal() {
    let dir = tempfile::tempdir().unwrap();
    let rejections = Rejections::open(dir.path());
    refused(&rejections, "malformed", noon());
    rejections.end_minute_before(noon() + Duration::from_secs(59));
    assert_eq!(rejections.lock().ring.items().count(), 0);
    rejections.end_minute_before(noon() + Duration::from_secs(60));
    assert_eq!(rejections.lock().ring.items().count(), 1);
    assert_eq!(shown(&rejections).len(), 1);
}

#[test]
fn a_flood_of_items_is_bounded_for_each_tenant_and_minute() {
    let mut ring = Ring::default();
    let (noisy, quiet): (Tenant, Tenant) = ("noisy".parse().unwrap(), "quiet".parse().unwrap());
    let admitted = (0..10_000).filter(|_| ring.has_room(&noisy, 1)).count();
    assert_eq!(admitted, KEPT_PER_MINUTE_MAX as usize);
    assert!(ring.has_room(&quiet, 1));
    assert!(ring.has_room(&noisy, 2), "the next minute has room again");
    for number in 0..KEPT_MAX + 10 {
        ring.push(Arc::new(item(number)));
    }
    assert_eq!(ring.items().count(), KEPT_MAX);
    assert_eq!(ring.items().next().unwrap().excerpt, "10", "the oldest go first");
}

#[test]
fn the_files_take_turns_and_stay_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let rejections = Rejections::open_with(dir.path(), 10_000);
    // Many files' worth of rows, and fewer than may wait for the disk: none may go missing here.
    for number in 0..1_000 {
        keep(&rejections, number);
    }
    rejections.close();
    assert_eq!(rejections.unwritten(), 0);
    let mut sizes = Vec::new();
    for entry in std::fs::read_dir(dir.path().join("rejected")).unwrap() {
        sizes.push(entry.unwrap().metadata().unwrap().len());
    }
    assert!(sizes.len() == 2 && sizes.iter().all(|size| *size < 11_000), "{sizes:?}");
    let recent = Rejections::open_with(dir.path(), 10_000).recent();
    assert!(recent.len() >= 50, "the previous file is whole: {}", recent.len());
    let numbers = recent.iter().map(|item| item.excerpt.parse::<usize>().unwrap());
    assert!(numbers.eq(1_000 - recent.len()..1_000), "the last rows in their order");
}

#[test]
fn a_torn_line_costs_itself_only_and_writing_goes_on_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let rejections = Rejections::open(dir.path());
    keep(&rejections, 1);
    keep(&rejections, 2);
    rejections.close();
    let file = dir.path().join("rejected/current.jsonl");
    let length = std::fs::metadata(&file).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(length - 10).unwrap();
    let rejections = Rejections::open(dir.path());
    keep(&rejections, 3);
    rejections.close();
    let excerpts: Vec<String> =
        Rejections::open(dir.path()).recent().iter().map(|item| item.excerpt.clone()).collect();
    assert_eq!(excerpts, ["1", "3"]);
}

#[test]
fn a_file_of_a_later_version_is_left_alone() {
    let later =
        format!("{}\n{}\n", r#"{"format":"hindsight rejected telemetry","version":2}"#, to_line(&item(1)));
    assert_eq!(read_lines(later.as_bytes()), (vec![], 1));
}

#[test]
fn a_disk_that_cannot_be_written_costs_the_rows_on_it_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rejected"), "not a directory").unwrap();
    let rejections = Rejections::open(dir.path());
    keep(&rejections, 1);
    rejections.close();
    assert_eq!(rejections.unwritten(), 1);
    assert_eq!(rejections.recent().len(), 1);
}

proptest! {
    #[test]
    fn a_row_reads_back_as_it_was(
        reason in "[a-z_]{1,20}", excerpt in any::<String>(), sender in any::<Option<String>>(),
        service in any::<Option<String>>(), occurrences in any::<u64>(), micros in 0..4_000_000_000_000_000_i64,
    ) {
        let item = RejectedItem {
            time: Timestamp::from_microsecond(micros).unwrap(),
            reason: Cow::Owned(reason), occurrences, service, sender: sender.as_deref().map(cut),
            excerpt: cut(&excerpt), ..item(0)
        };
        let line = to_line(&item);
        prop_assert!(!line.contains('\n'));
        prop_assert_eq!(read_lines(line.as_bytes()), (vec![item], 0));
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        read_lines(bytes.as_slice());
    }
}
