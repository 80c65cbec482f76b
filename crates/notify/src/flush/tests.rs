use super::*;
use crate::testing::{at, event, labels};

fn timings() -> Timings {
    let seconds = Duration::from_secs;
    Timings { group_wait: seconds(30), group_interval: seconds(300), repeat_interval: seconds(3_600) }
}

/// A group that lives through turns.
struct Life {
    group: Group,
    active: BTreeSet<String>,
    next_id: i64,
}

impl Life {
    fn new() -> Self {
        Self { group: Group::default(), active: BTreeSet::new(), next_id: 0 }
    }

    /// A turn at `s` with these events; services that are muted are named.
    fn turn(&mut self, s: i64, events: &[Event], muted: &[&str]) -> Flushed {
        let numbered: Vec<(i64, Event)> = (self.next_id..).zip(events.iter().cloned()).collect();
        self.next_id += i64::try_from(events.len()).unwrap();
        for event in events {
            match event.kind {
                Kind::Firing => self.active.insert(event.episode.clone()),
                Kind::Resolved => self.active.remove(&event.episode),
            };
        }
        let muted = |labels: &Labels, _| {
            muted.contains(&labels["service_name"].as_str()).then(|| "silenced".to_owned())
        };
        let flushed = flush(
            self.group.clone(),
            &Turn {
                events: &numbered,
                active: &self.active,
                muted: &muted,
                timings: timings(),
                retired: false,
                now: at(s),
            },
        );
        self.group = flushed.group.clone();
        flushed
    }
}

fn said(flushed: &Flushed) -> Vec<(&str, &str)> {
    flushed.told.iter().map(|told| (told.episode.as_str(), told.kind.as_str())).collect()
}

#[test]
fn a_group_tells_what_changed_with_all_that_fires_and_repeats_in_time() {
    let mut life = Life::new();
    let first = life.turn(30, &[event("a", "a1", 0, None), event("b", "b1", 5, None)], &[]);
    assert_eq!(said(&first), [("a1", "firing"), ("b1", "firing")]);
    assert_eq!(first.due_at, Some(at(330)));
    assert_eq!(first.group.labels, labels(&[("alertname", "DbPoolSaturated")]));
    assert_eq!(said(&life.turn(330, &[], &[])), [], "nothing is new");
    let changed = life.turn(630, &[event("b", "b1", 5, Some(400)), event("c", "c1", 500, None)], &[]);
    assert_eq!(said(&changed), [("a1", "firing"), ("b1", "resolved"), ("c1", "firing")]);
    let news: Vec<bool> = changed.told.iter().map(|told| told.news).collect();
    assert_eq!(news, [false, true, true]);
    assert_eq!(said(&life.turn(4_229, &[], &[])), [], "an end is told once, a repeat is not due");
    assert_eq!(said(&life.turn(4_230, &[], &[])), [("a1", "firing"), ("c1", "firing")]);
    let ends = [event("a", "a1", 0, Some(4_300)), event("c", "c1", 500, Some(4_310))];
    let last = life.turn(4_530, &ends, &[]);
    assert_eq!(said(&last), [("a1", "resolved"), ("c1", "resolved")]);
    assert_eq!((last.due_at, last.group.members.len()), (None, 0));
    assert!(last.fates.iter().all(|(_, fate)| *fate == Fate::Told));
}

#[test]
fn what_came_and_went_between_two_turns_is_told_as_resolved() {
    let mut life = Life::new();
    let events = [event("a", "a1", 0, None), event("a", "a1", 0, Some(10)), event("a", "a2", 20, None)];
    let flushed = life.turn(30, &events, &[]);
    assert_eq!(said(&flushed), [("a1", "resolved"), ("a2", "firing")]);
    assert_eq!(flushed.told.iter().map(|told| told.unheard).collect::<Vec<_>>(), [true, true]);
}

#[test]
fn muted_alerts_are_left_out_and_told_when_they_still_fire_afterwards() {
    let mut life = Life::new();
    let first = life.turn(30, &[event("a", "a1", 0, None), event("b", "b1", 0, None)], &["a"]);
    assert_eq!(said(&first), [("b1", "firing")]);
    assert_eq!(first.fates, [(0, Fate::Muted("silenced".into())), (1, Fate::Told)]);
    assert_eq!(said(&life.turn(330, &[], &[])), [("a1", "firing"), ("b1", "firing")]);
    // Told, then muted, then ended: the end is told when the mute is over.
    let ended = life.turn(630, &[event("a", "a1", 0, Some(400))], &["a"]);
    assert_eq!(said(&ended), []);
    assert_eq!(ended.fates, [(2, Fate::Muted("silenced".into()))]);
    assert_eq!(said(&life.turn(930, &[], &[])), [("a1", "resolved"), ("b1", "firing")]);
    // Came and went while muted: nobody hears of it.
    let events = [event("c", "c1", 1_000, None), event("c", "c1", 1_000, Some(1_100))];
    let gone = life.turn(1_230, &events, &["c"]);
    assert_eq!((said(&gone), gone.group.members.len()), (vec![], 1));
    assert_eq!(said(&life.turn(1_530, &[], &[])), []);
}

#[test]
fn an_alert_that_ended_under_another_route_ends_here_too() {
    let mut life = Life::new();
    life.turn(30, &[event("a", "a1", 0, None)], &[]);
    life.active.clear();
    let healed = life.turn(330, &[], &[]);
    assert_eq!(said(&healed), [("a1", "resolved")]);
    assert_eq!(healed.told[0].alert.ends_at, Some(at(330)));
    let stranger = life.turn(360, &[event("z", "z1", 0, Some(340))], &[]);
    assert_eq!(said(&stranger), []);
    assert_eq!(stranger.fates, [(1, Fate::Unsent("its beginning was not told here".into()))]);
    assert_eq!(stranger.due_at, None);
}

#[test]
fn a_group_whose_route_is_gone_says_what_it_owes_and_ends() {
    let mut life = Life::new();
    life.turn(30, &[event("a", "a1", 0, None), event("b", "b1", 0, None)], &[]);
    life.active.remove("b1");
    let last = flush(
        life.group.clone(),
        &Turn {
            events: &[(9, event("c", "c1", 40, None))],
            active: &life.active,
            muted: &|_, _| None,
            timings: timings(),
            retired: true,
            now: at(9_999),
        },
    );
    assert_eq!((last.due_at, last.group.members.len()), (None, 0));
    assert_eq!(said(&last), [("a1", "firing"), ("b1", "resolved"), ("c1", "firing")]);
    let silent = flush(
        life.group,
        &Turn {
            events: &[],
            active: &["a1".to_owned(), "b1".to_owned()].into(),
            muted: &|_, _| None,
            timings: timings(),
            retired: true,
            now: at(9_999),
        },
    );
    assert_eq!((said(&silent), silent.due_at), (vec![], None));
}

#[test]
fn a_full_group_says_so_instead_of_growing() {
    let mut life = Life::new();
    let events: Vec<Event> = (0..=MEMBERS_MAX).map(|n| event("a", &format!("e{n}"), 0, None)).collect();
    let flushed = life.turn(30, &events, &[]);
    assert_eq!(flushed.told.len(), MEMBERS_MAX);
    let dead: Vec<_> = flushed.fates.iter().filter(|(_, fate)| matches!(fate, Fate::Dead(_))).collect();
    assert_eq!(dead.len(), 1);
}
