//! What is gathered again, held against what is stored: nothing twice, and nothing that people dismissed comes back.

use hindsight_model::{
    NewTimelineRow, TimelineChange, TimelineEntry, TimelineKind, TimelineRow, TimelineSource, TimelineState,
};
use jiff::SignedDuration;

/// The same fact, found again with more telemetry, lies at most this far from where it was.
const SAME_WITHIN: SignedDuration = SignedDuration::from_mins(3);

/// How the stored timeline becomes the gathered one.
///
/// A row that is found again stays the row it was: as suggested it takes the new words and time, once accepted or
/// edited it keeps its own, and dismissed it stays dismissed. A suggested row that is not found again goes; every
/// other row stays. People's rows are not looked at.
pub fn regathered(stored: &[TimelineEntry], gathered: &[TimelineRow]) -> TimelineChange {
    let known: Vec<&TimelineEntry> =
        stored.iter().filter(|entry| entry.row.source == TimelineSource::System).collect();
    let mut found: Vec<Option<&TimelineRow>> = vec![None; known.len()];
    // The same words first: two facts may differ in their numbers alone.
    let rest: Vec<&TimelineRow> = claim(&known, &mut found, gathered.iter().collect(), is_same_text);
    let rest = claim(&known, &mut found, rest, is_same_shape);

    let mut change = TimelineChange::default();
    for (entry, found) in known.iter().zip(found) {
        let is_suggested = entry.row.state == TimelineState::Suggested.as_str() && !entry.is_edited();
        match found {
            Some(row) if is_suggested && differs(&entry.row, row) => {
                change.refreshed.push((entry.id, row.clone()));
            }
            None if is_suggested => change.removed.push(entry.id),
            _ => {}
        }
    }
    change.added =
        rest.into_iter().map(|row| NewTimelineRow { row: row.clone(), role: None, author: None }).collect();
    change
}

/// Gives each gathered row to the nearest stored one of which `is_same` says so; returns those that found none.
fn claim<'a>(
    known: &[&TimelineEntry],
    found: &mut [Option<&'a TimelineRow>],
    gathered: Vec<&'a TimelineRow>,
    is_same: fn(&TimelineEntry, &TimelineRow) -> bool,
) -> Vec<&'a TimelineRow> {
    let mut rest = Vec::new();
    for row in gathered {
        let distance = |entry: &TimelineEntry| first_at(entry).duration_since(row.at).abs();
        let nearest = (0..known.len())
            .filter(|i| found[*i].is_none() && distance(known[*i]) <= SAME_WITHIN && is_same(known[*i], row))
            .min_by_key(|i| distance(known[*i]));
        match nearest {
            Some(i) => found[i] = Some(row),
            None => rest.push(row),
        }
    }
    rest
}

fn is_same_text(entry: &TimelineEntry, row: &TimelineRow) -> bool {
    is_about_the_same(entry, row) && first_text(entry) == row.text
}

/// The same words around other numbers: more telemetry moves figures, not facts.
fn is_same_shape(entry: &TimelineEntry, row: &TimelineRow) -> bool {
    is_about_the_same(entry, row) && shape(first_text(entry)) == shape(&row.text)
}

fn is_about_the_same(entry: &TimelineEntry, row: &TimelineRow) -> bool {
    family(entry.row.kind) == family(row.kind) && entry.row.service == row.service
}

/// Which change set it off may be judged anew; it stays the same change.
fn family(kind: TimelineKind) -> TimelineKind {
    if kind == TimelineKind::Trigger { TimelineKind::Change } else { kind }
}

fn first_at(entry: &TimelineEntry) -> jiff::Timestamp {
    entry.original_at.unwrap_or(entry.row.at)
}

fn first_text(entry: &TimelineEntry) -> &str {
    entry.original_text.as_deref().unwrap_or(&entry.row.text)
}

/// The text with every number as `#`.
fn shape(text: &str) -> String {
    let mut shape = String::with_capacity(text.len());
    for c in text.chars() {
        let is_number = c.is_ascii_digit() || (matches!(c, '.' | ',') && shape.ends_with('#'));
        if !is_number {
            shape.push(c);
        } else if !shape.ends_with('#') {
            shape.push('#');
        }
    }
    shape
}

fn differs(stored: &TimelineRow, row: &TimelineRow) -> bool {
    TimelineRow { state: stored.state.clone(), ..row.clone() } != *stored
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::testing::minute;

    fn row(at: Timestamp, kind: TimelineKind, text: &str) -> TimelineRow {
        TimelineRow {
            at,
            kind,
            source: TimelineSource::System,
            service: Some("checkout".to_owned()),
            text: text.to_owned(),
            sql: None,
            state: "suggested".to_owned(),
        }
    }

    fn stored(id: u64, state: &str, row: TimelineRow) -> TimelineEntry {
        TimelineEntry {
            id,
            row: TimelineRow { state: state.to_owned(), ..row },
            role: None,
            author: None,
            original_at: None,
            original_text: None,
        }
    }

    const RISE: &str = "checkout errors 0.1 % → 34 %";

    fn rise(at: usize) -> TimelineRow {
        row(minute(at), TimelineKind::ChangePoint, RISE)
    }

    #[test]
    fn the_same_again_changes_nothing() {
        let rows = [rise(10), row(minute(11), TimelineKind::Alert, "CheckoutErrorRate fired")];
        let entries: Vec<TimelineEntry> =
            (1..).zip(&rows).map(|(id, row)| stored(id, "suggested", row.clone())).collect();
        assert_eq!(regathered(&entries, &rows), TimelineChange::default());
    }

    #[test]
    fn a_fact_with_better_numbers_stays_the_row_it_was() {
        let better = row(minute(11), TimelineKind::ChangePoint, "checkout errors 0.12 % → 35.5 %");
        for (state, refreshed) in [("suggested", 1), ("accepted", 0), ("dismissed", 0)] {
            let change = regathered(&[stored(1, state, rise(10))], std::slice::from_ref(&better));
            assert_eq!(
                (change.refreshed.len(), change.added.len(), change.removed.len()),
                (refreshed, 0, 0),
                "{state}"
            );
        }
        let far = row(minute(20), TimelineKind::ChangePoint, RISE);
        let change = regathered(&[stored(1, "dismissed", rise(10))], &[far]);
        assert_eq!(change.added.len(), 1, "ten minutes later it is another fact");
    }

    #[test]
    fn late_telemetry_adds_rows_and_what_is_not_found_again_goes_unless_people_kept_it() {
        let late = row(minute(12), TimelineKind::Log, "new log line: pool exhausted");
        let gone = row(minute(13), TimelineKind::ChangePoint, "checkout traffic 10/s → 20/s");
        let entries = [stored(1, "dismissed", rise(10)), stored(2, "suggested", gone.clone())];
        let change = regathered(&entries, &[rise(10), late.clone()]);
        assert_eq!(change.added.iter().map(|new| &new.row).collect::<Vec<_>>(), [&late]);
        assert_eq!((change.removed, change.refreshed), (vec![2], vec![]));
        for state in ["accepted", "dismissed"] {
            assert_eq!(
                regathered(&[stored(2, state, gone.clone())], &[]),
                TimelineChange::default(),
                "{state}"
            );
        }
    }

    #[test]
    fn an_edited_row_is_found_by_what_it_said_first_and_keeps_its_words() {
        let mut edited =
            stored(1, "suggested", row(minute(30), TimelineKind::ChangePoint, "checkout breaks"));
        edited.original_at = Some(minute(10));
        edited.original_text = Some(RISE.to_owned());
        assert_eq!(regathered(std::slice::from_ref(&edited), &[rise(10)]), TimelineChange::default());
        assert_eq!(regathered(&[edited], &[]), TimelineChange::default());
    }

    #[test]
    fn two_versions_at_the_same_time_are_two_facts_and_a_change_that_becomes_the_trigger_is_one() {
        let change = |kind, version: &str| row(minute(10), kind, &format!("checkout {version} first seen"));
        let entries = [
            stored(1, "dismissed", change(TimelineKind::Change, "4.1.9")),
            stored(2, "suggested", change(TimelineKind::Change, "4.2.0")),
        ];
        let again = [change(TimelineKind::Trigger, "4.2.0"), change(TimelineKind::Change, "4.1.9")];
        let found = regathered(&entries, &again);
        assert_eq!((found.added.len(), found.removed.len()), (0, 0));
        assert_eq!(found.refreshed.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn peoples_rows_are_left_alone() {
        let mut note = stored(1, "accepted", rise(10));
        note.row.source = TimelineSource::Human;
        let change = regathered(&[note], &[rise(10)]);
        assert_eq!((change.added.len(), change.removed.len()), (1, 0));
    }
}
