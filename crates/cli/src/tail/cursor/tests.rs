use proptest::prelude::*;

use super::*;

const LATE: i64 = 10 * MICROS;

/// A server in a vector: logs as time and fingerprint.
#[derive(Default)]
struct Logs(Vec<(i64, u64)>);

impl Logs {
    fn counts(&self, from: i64) -> Vec<(i64, u64)> {
        let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
        for (at, _) in self.0.iter().filter(|(at, _)| *at >= from) {
            *counts.entry(second_of(*at)).or_default() += 1;
        }
        counts.into_iter().collect()
    }

    fn page(&self, from: i64, to: i64, size: usize) -> Vec<(i64, u64)> {
        let mut logs: Vec<_> = self.0.iter().copied().filter(|(at, _)| (from..to).contains(at)).collect();
        logs.sort_unstable();
        logs.truncate(size);
        logs
    }
}

/// One look, as the edge does it.
fn look(cursor: &mut Cursor, logs: &Logs, now: i64, size: usize) -> Vec<(i64, u64)> {
    let mut shown = Vec::new();
    for span in cursor.changed(&logs.counts(cursor.from())) {
        let mut next = Some(span.from);
        while let Some(from) = next {
            let mut read = logs.page(from, span.to, size);
            let times: Vec<i64> = read.iter().map(|(at, _)| *at).collect();
            let page = page(&times, size);
            read.truncate(page.whole);
            let new = cursor.take(&read);
            shown.extend(read.into_iter().zip(new).filter(|(_, new)| *new).map(|(log, _)| log));
            next = page.next;
        }
        cursor.settle(&span, now);
    }
    cursor.passed(now);
    shown
}

#[test]
fn a_late_log_is_shown_once_and_same_logs_as_often_as_they_are() {
    let (mut cursor, mut logs) = (Cursor::new(0, LATE), Logs::default());
    logs.0.extend([(1, 7), (1, 7), (5 * MICROS, 8)]);
    assert_eq!(look(&mut cursor, &logs, 6 * MICROS, 100), [(1, 7), (1, 7), (5 * MICROS, 8)]);
    assert_eq!(look(&mut cursor, &logs, 7 * MICROS, 100), []);
    logs.0.extend([(1, 7), (2, 9)]);
    assert_eq!(look(&mut cursor, &logs, 8 * MICROS, 100), [(1, 7), (2, 9)]);
    logs.0.push((3, 3));
    assert_eq!(look(&mut cursor, &logs, 60 * MICROS, 100), [(3, 3)], "the window of the last look counts");
    logs.0.push((4, 4));
    assert_eq!(look(&mut cursor, &logs, 61 * MICROS, 100), [], "too late");
    assert!(cursor.seconds.len() <= 1, "what is past is forgotten");
}

#[test]
fn what_failed_halfway_is_read_again() {
    let (mut cursor, mut logs) = (Cursor::new(0, LATE), Logs::default());
    logs.0.extend([(1, 1), (2, 2)]);
    let spans = cursor.changed(&logs.counts(0));
    assert_eq!(cursor.take(&[(1, 1)]), [true]);
    assert_eq!(cursor.changed(&logs.counts(0)), spans, "not settled, so not done");
    assert_eq!(look(&mut cursor, &logs, MICROS, 100), [(2, 2)]);
}

#[test]
fn more_logs_than_a_page_at_one_time_do_not_stop_it() {
    let (mut cursor, mut logs) = (Cursor::new(0, LATE), Logs::default());
    logs.0.extend((0..10).map(|number| (5, number)));
    logs.0.push((6, 1));
    let shown = look(&mut cursor, &logs, MICROS, 4);
    assert_eq!(shown, [(5, 0), (5, 1), (5, 2), (5, 3), (6, 1)]);
    assert_eq!(look(&mut cursor, &logs, 2 * MICROS, 4), [], "and are not read for ever");
    assert!(page(&[5; 4], 4).crowded);
}

#[test]
fn a_flood_shortens_the_window_instead_of_filling_the_memory() {
    let (mut cursor, mut logs) = (Cursor::new(0, LATE), Logs::default());
    for number in 0..(REMEMBERED_MAX as u64 + 10) {
        logs.0.push((i64::from(number >= 20) * MICROS, number));
    }
    let now = 2 * MICROS;
    for span in cursor.changed(&logs.counts(0)) {
        cursor.take(&logs.0);
        cursor.settle(&span, now);
    }
    assert!(cursor.passed(now), "it says so");
    assert_eq!((cursor.from(), cursor.remembered), (MICROS, REMEMBERED_MAX - 10));
}

proptest! {
    #[test]
    fn each_log_that_is_not_too_late_is_shown_exactly_once(
        rounds in proptest::collection::vec(
            proptest::collection::vec((0_i64..9_000_000, 0_u64..4), 0..20), 1..10),
        size in 2_usize..20,
    ) {
        let (mut cursor, mut logs) = (Cursor::new(0, LATE), Logs::default());
        let mut shown = Vec::new();
        let crowded = |logs: &Logs| {
            let mut at: HashMap<i64, usize> = HashMap::new();
            logs.0.iter().for_each(|(time, _)| *at.entry(*time).or_default() += 1);
            at.values().any(|count| *count >= size)
        };
        for (round, sent) in (0_i64..).zip(rounds) {
            let now = (20 + round) * MICROS;
            // Each up to nine seconds old, some in the same microsecond.
            logs.0.extend(sent.into_iter().map(|(age, kind)| (now - age / 1_000 * 1_000, kind)));
            prop_assume!(!crowded(&logs));
            let new = look(&mut cursor, &logs, now, size);
            prop_assert!(new.is_sorted(), "oldest first");
            shown.extend(new);
        }
        shown.sort_unstable();
        logs.0.sort_unstable();
        prop_assert_eq!(shown, logs.0);
    }
}
