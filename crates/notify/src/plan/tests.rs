use hindsight_model::AlertState;

use super::*;
use crate::Receiver;
use crate::testing::{at, routing, transition, webhook};
use AlertState::{Firing, Inactive, Pending, Recovering};

const ALL: [AlertState; 4] = [Inactive, Pending, Firing, Recovering];

fn receivers() -> Vec<Receiver> {
    vec![webhook("ops", "http://127.0.0.1:1/"), webhook("boss", "http://127.0.0.1:2/")]
}

fn one() -> Routing {
    routing("", &receivers()[..1])
}

#[test]
fn of_all_sixteen_steps_only_four_are_told() {
    let mut told = Vec::new();
    for from in ALL {
        for to in ALL {
            let entries = plan(&[transition(60, from, to)], &one(), at(60), &PlanSettings::default());
            told.extend(entries.iter().map(|entry| (from, to, entry.dedup_key.clone())));
        }
    }
    let (firing, resolved) = ("default/ep1/firing".to_owned(), "default/ep1/resolved".to_owned());
    assert_eq!(
        told,
        [
            (Inactive, Firing, firing.clone()),
            (Pending, Firing, firing),
            (Firing, Inactive, resolved.clone()),
            (Recovering, Inactive, resolved),
        ]
    );
}

#[test]
fn without_routes_every_receiver_gets_its_own_event_in_a_group_of_rule_and_service() {
    let routing = routing("", &receivers());
    let entries = plan(&[transition(60, Pending, Firing)], &routing, at(60), &PlanSettings::default());
    assert_eq!(entries.iter().map(|e| e.receiver.as_str()).collect::<Vec<_>>(), ["ops", "boss"]);
    assert_eq!(entries[0].dedup_key, entries[1].dedup_key);
    let key = "{}:{alertname=\"DbPoolSaturated\", service_name=\"checkout\"}";
    assert_eq!((entries[0].group_key.as_str(), entries[1].group_key.as_str()), (key, key));
    assert_eq!((entries[0].created_at, entries[0].flush_at), (at(60), at(90)));
    let event: Event = serde_json::from_str(&entries[0].payload).unwrap();
    assert_eq!((event.kind, event.episode.as_str()), (Kind::Firing, "ep1"));
}

#[test]
fn a_tick_that_is_too_old_is_recorded_and_not_sent() {
    let settings = PlanSettings { notify_max_age: Duration::from_secs(600), ..PlanSettings::default() };
    let transitions = [transition(60, Pending, Firing)];
    for (now, unsent) in [
        (at(60), None),
        (at(660), None),
        (at(0), None),
        (at(661), Some("evaluated 601 s after its time, more than notify_max_age of 600 s")),
    ] {
        let entries = plan(&transitions, &one(), now, &settings);
        assert_eq!(entries[0].unsent.as_deref(), unsent, "{now}");
    }
}

#[test]
fn keys_stay_the_same_for_one_episode() {
    for episode in ["checkout-db/Db Pool ü", &"e".repeat(500), "a\nb"] {
        let mut transition = transition(60, Pending, Firing);
        transition.episode = episode.to_owned();
        let firing = dedup_key(&transition, Kind::Firing);
        assert_eq!(firing, dedup_key(&transition, Kind::Firing));
        let (subject, kind) = firing.rsplit_once('/').unwrap();
        assert_eq!(kind, "firing");
        assert_eq!(dedup_key(&transition, Kind::Resolved), format!("{subject}/resolved"));
        assert!(firing.len() <= 255 && firing.bytes().all(|b| b.is_ascii_graphic()), "{firing}");
    }
}
