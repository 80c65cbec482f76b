//! Whatever happens between two steps: no page is lost, told under two keys, out of order, too often or while muted.
//!
//! The store is modelled as what its transactions leave behind; a crash is a step whose result is thrown away, or
//! whose end never comes.

use std::collections::{BTreeMap, BTreeSet};

use hindsight_model::Tenant;
use proptest::prelude::*;

use super::*;
use crate::delivery::{Speaker, deliveries};
use crate::receiver::ReceiverKind;
use crate::testing::{at, event};

const ALERTS: usize = 4;
const WAIT: u64 = 30;
const INTERVAL: u64 = 300;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// An alert fires, or ends.
    Turn(usize),
    /// It is silenced, or no longer.
    Silence(usize),
    Pass(i64),
    /// The receiver goes down, or up.
    Receiver,
    /// A round of the worker that dies at this point.
    Round(Crash),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crash {
    BeforeTurnIsWritten,
    AfterTurnIsWritten,
    AfterClaim,
    AfterSend,
    Never,
}

fn step() -> impl Strategy<Value = Step> {
    use Crash::{AfterClaim, AfterSend, AfterTurnIsWritten, BeforeTurnIsWritten, Never};
    let crash = prop_oneof![
        Just(BeforeTurnIsWritten),
        Just(AfterTurnIsWritten),
        Just(AfterClaim),
        Just(AfterSend),
        Just(Never)
    ];
    prop_oneof![
        3 => (0..ALERTS).prop_map(Step::Turn),
        1 => (0..ALERTS).prop_map(Step::Silence),
        3 => (1_i64..400).prop_map(Step::Pass),
        1 => Just(Step::Receiver),
        6 => crash.prop_map(Step::Round),
    ]
}

#[derive(Clone, Debug)]
struct Row {
    key: String,
    told: Vec<Told>,
    sent: bool,
}

#[derive(Debug, Default)]
struct Episode {
    name: String,
    /// Whether it was silenced at any moment of its life.
    silenced: bool,
    began: i64,
    ended: Option<i64>,
}

#[derive(Debug, Default)]
struct World {
    now: i64,
    receiver_down: bool,
    /// Each alert's episodes; the last one fires unless it has ended.
    episodes: [Vec<Episode>; ALERTS],
    /// When each alert was silenced, from and until.
    silences: [Vec<(i64, Option<i64>)>; ALERTS],
    // What is on disk.
    waiting: Vec<(i64, Event)>,
    group: Option<(Group, Timestamp)>,
    outbox: Vec<Row>,
    next_event: i64,
    // What the receiver heard, and when the group spoke in each of its lives.
    heard: Vec<(String, Vec<Told>)>,
    spoke: Vec<Vec<Timestamp>>,
}

fn name(alert: usize) -> String {
    format!("s{alert}")
}

impl World {
    fn firing(&self, alert: usize) -> bool {
        self.episodes[alert].last().is_some_and(|last| last.ended.is_none())
    }

    fn silent_at(&self, alert: usize, s: i64) -> bool {
        self.silences[alert].iter().any(|&(from, until)| from <= s && until.is_none_or(|until| s < until))
    }

    fn add(&mut self, event: Event) {
        self.waiting.push((self.next_event, event));
        self.next_event += 1;
        if self.group.is_none() {
            self.group = Some((Group::default(), later(at(self.now), Duration::from_secs(WAIT))));
            self.spoke.push(Vec::new());
        }
    }

    fn step(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Turn(alert) if self.firing(alert) => {
                let episode = self.episodes[alert].last_mut().unwrap();
                episode.ended = Some(now);
                let ended = event(&name(alert), &episode.name, episode.began, Some(now));
                self.add(ended);
            }
            Step::Turn(alert) => {
                let episode = format!("e{alert}.{}", self.episodes[alert].len());
                let silenced = self.silent_at(alert, now);
                self.add(event(&name(alert), &episode, now, None));
                self.episodes[alert].push(Episode { name: episode, silenced, began: now, ended: None });
            }
            Step::Silence(alert) => match self.silences[alert].last_mut() {
                Some((_, until @ None)) => *until = Some(now),
                _ => {
                    self.silences[alert].push((now, None));
                    // One that ended and was not told yet is hit as well when both are in the same second.
                    for episode in &mut self.episodes[alert] {
                        episode.silenced |= episode.ended.is_none_or(|ended| ended == now);
                    }
                }
            },
            Step::Pass(seconds) => self.now += seconds,
            Step::Receiver => self.receiver_down = !self.receiver_down,
            Step::Round(crash) => self.round(crash),
        }
    }

    fn round(&mut self, crash: Crash) {
        if self.outbox.iter().all(|row| row.sent) {
            self.turn(crash);
        }
        if matches!(crash, Crash::BeforeTurnIsWritten | Crash::AfterTurnIsWritten | Crash::AfterClaim) {
            return;
        }
        let down = self.receiver_down;
        let Some(row) = self.outbox.iter_mut().find(|row| !row.sent) else { return };
        if !down {
            self.heard.push((row.key.clone(), row.told.clone()));
            row.sent = crash == Crash::Never;
        }
    }

    fn turn(&mut self, crash: Crash) {
        let now = at(self.now);
        let Some((group, due_at)) = self.group.clone() else { return };
        if due_at > now {
            return;
        }
        let active: BTreeSet<String> = (0..ALERTS)
            .filter(|alert| self.firing(*alert))
            .map(|alert| self.episodes[alert].last().unwrap().name.clone())
            .collect();
        let alert_of = |labels: &Labels| labels["service_name"][1..].parse::<usize>().unwrap();
        let muted = |labels: &Labels, when: Timestamp| {
            let s = when.duration_since(at(0)).as_secs();
            self.silent_at(alert_of(labels), s).then(|| "silenced".to_owned())
        };
        let seconds = Duration::from_secs;
        let timings = Timings {
            group_wait: seconds(WAIT),
            group_interval: seconds(INTERVAL),
            repeat_interval: seconds(2_000),
        };
        let turn =
            Turn { events: &self.waiting, active: &active, muted: &muted, timings, retired: false, now };
        let flushed = flush(group, &turn);
        let handled: BTreeSet<i64> = flushed.fates.iter().map(|(id, _)| *id).collect();
        assert!(self.waiting.iter().all(|(id, _)| handled.contains(id)), "an event without a fate");
        for told in &flushed.told {
            let heard_at = told.alert.ends_at.filter(|_| told.unheard).unwrap_or(now);
            assert_eq!(muted(&told.alert.labels, heard_at), None, "told while silenced");
        }
        if !flushed.told.is_empty() && flushed.told.iter().all(|told| !told.news) {
            let before = *self.spoke.last().unwrap().last().unwrap();
            assert!(now >= later(before, timings.repeat_interval), "nothing new, and no repeat due");
        }
        if crash == Crash::BeforeTurnIsWritten {
            return;
        }
        let tenant = Tenant::default();
        let speaker = Speaker {
            tenant: &tenant,
            receiver: "ops",
            kind: Some(ReceiverKind::Webhook),
            subject: "default/group",
            group_key: "{}:{}",
            group_labels: &flushed.group.labels,
            external_url: "http://localhost",
            count: flushed.group.told_count,
            now,
        };
        let written = deliveries(&speaker, &flushed.told);
        assert!(written.len() <= 1, "a few alerts fit into one");
        self.waiting.clear();
        for delivery in written {
            self.spoke.last_mut().unwrap().push(now);
            self.outbox.push(Row { key: delivery.dedup_key, told: flushed.told.clone(), sent: false });
        }
        self.group = flushed.due_at.map(|due_at| (flushed.group, due_at));
    }

    /// Everything works from now on, for long enough.
    fn calm_down(&mut self) {
        self.receiver_down = false;
        for alert in 0..ALERTS {
            if let Some((_, until @ None)) = self.silences[alert].last_mut() {
                *until = Some(self.now);
            }
        }
        for _ in 0..6 {
            self.step(Step::Pass(400));
            self.round(Crash::Never);
            self.round(Crash::Never);
        }
    }

    fn check(&self) {
        let mut contents: BTreeMap<&str, &Vec<Told>> = BTreeMap::new();
        let mut order: Vec<&str> = Vec::new();
        for (key, told) in &self.heard {
            match contents.insert(key, told) {
                Some(before) => assert_eq!(before, told, "one key, two contents"),
                None => order.push(key),
            }
        }
        let planned: Vec<&str> = self.outbox.iter().map(|row| row.key.as_str()).collect();
        assert_eq!(order, planned, "delivered out of order, or not at all");
        let distinct: BTreeSet<&str> = planned.iter().copied().collect();
        assert_eq!(distinct.len(), planned.len(), "two notifications, one key");
        for life in &self.spoke {
            for pair in life.windows(2) {
                assert!(pair[1] >= later(pair[0], Duration::from_secs(INTERVAL)), "told too soon");
            }
        }
        for episode in self.episodes.iter().flatten() {
            self.check_episode(episode);
        }
    }

    fn check_episode(&self, episode: &Episode) {
        let kinds: Vec<Kind> = self
            .outbox
            .iter()
            .flat_map(|row| &row.told)
            .filter(|told| told.episode == episode.name)
            .map(|told| told.kind)
            .collect();
        if episode.ended.is_none() || !episode.silenced {
            assert!(!kinds.is_empty(), "{episode:?} was never told");
        }
        let ends = kinds.iter().filter(|kind| **kind == Kind::Resolved).count();
        assert!(ends <= 1, "{episode:?} ended {ends} times");
        assert!(kinds.is_sorted(), "{episode:?} fired after its end: {kinds:?}");
        if !kinds.is_empty() {
            assert_eq!(ends == 1, episode.ended.is_some(), "{episode:?}: {kinds:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_page_is_lost_doubled_reordered_or_told_while_silenced(steps in prop::collection::vec(step(), 1..150)) {
        let mut world = World::default();
        for step in steps {
            world.step(step);
        }
        world.calm_down();
        world.check();
    }

    #[test]
    fn the_order_of_alerts_in_a_tick_does_not_matter(
        (events, shuffled) in prop::collection::btree_set(0_u8..40, 1..12).prop_flat_map(|alerts| {
            let events: Vec<Event> = alerts
                .into_iter()
                .map(|n| event(&format!("s{}", n % 8), &format!("e{n}"), i64::from(n % 3), None))
                .collect();
            (Just(events.clone()), Just(events).prop_shuffle())
        }),
        muted in prop::collection::btree_set(0_u8..8, 0..4),
    ) {
        let turn = |events: Vec<Event>| {
            let events: Vec<(i64, Event)> = (0..).zip(events).collect();
            let muted = |labels: &Labels, _| {
                muted.contains(&labels["service_name"][1..].parse().unwrap()).then(String::new)
            };
            let active = events.iter().map(|(_, event)| event.episode.clone()).collect();
            let timings = Timings {
                group_wait: Duration::ZERO,
                group_interval: Duration::ZERO,
                repeat_interval: Duration::from_secs(60),
            };
            let turn =
                Turn { events: &events, active: &active, muted: &muted, timings, retired: false, now: at(9) };
            let flushed = flush(Group::default(), &turn);
            let fates: BTreeMap<String, Fate> = flushed
                .fates
                .into_iter()
                .map(|(id, fate)| (events[usize::try_from(id).unwrap()].1.episode.clone(), fate))
                .collect();
            (flushed.group, flushed.told, fates, flushed.due_at)
        };
        prop_assert_eq!(turn(events), turn(shuffled));
    }
}
