use hindsight_model::{NewSilence, SilenceId, Tenant};

use super::*;
use crate::matcher::parse_matcher;
use crate::mute_time::MuteTimeConfig;
use crate::testing::{at, labels};

fn matchers(texts: &[&str]) -> Matchers {
    Matchers::new(&texts.iter().map(|text| parse_matcher(text).unwrap()).collect::<Vec<_>>()).unwrap()
}

fn page(name: &str, service: &str, severity: &str) -> Labels {
    labels(&[("alertname", name), ("service_name", service), ("severity", severity)])
}

#[test]
fn a_source_mutes_targets_that_share_the_equal_labels_and_never_itself() {
    let rules = [Inhibition {
        source: matchers(&["severity=~\"page|both\""]),
        target: matchers(&["severity=~\"ticket|both\""]),
        equal: vec!["service_name".into(), "region".into()],
    }];
    let reason =
        |firing: &[Labels], alert: &Labels| Mutes::new(vec![], &rules, firing).reason(alert, at(0), &[]);
    let (down, slow) = (page("Down", "cart", "page"), page("Slow", "cart", "ticket"));
    assert_eq!(reason(&[down.clone(), slow.clone()], &slow).as_deref(), Some("inhibited while Down fires"));
    assert_eq!(reason(&[down.clone(), slow.clone()], &down), None);
    assert_eq!(reason(std::slice::from_ref(&down), &page("Slow", "shop", "ticket")), None);
    let mut elsewhere = slow.clone();
    elsewhere.insert("region".into(), "eu".into());
    assert_eq!(reason(std::slice::from_ref(&down), &elsewhere), None);
    assert_eq!(reason(std::slice::from_ref(&slow), &slow), None);
    let (one, two) = (page("One", "cart", "both"), page("Two", "cart", "both"));
    assert_eq!(reason(&[one.clone(), two.clone()], &one), None, "two that are both do not mute each other");
    assert!(reason(&[one.clone(), down], &one).is_some());
    assert!(reason(&[one], &slow).is_some());
}

#[test]
fn silences_and_mute_times_hold_from_their_beginning_to_before_their_end() {
    let silence = Silence {
        id: SilenceId(7),
        asked: NewSilence {
            tenant: Tenant::default(),
            matchers: vec![parse_matcher("service_name=cart").unwrap()],
            starts_at: at(10),
            ends_at: at(20),
            author: "ana".into(),
            comment: "disks".into(),
        },
        created_at: at(0),
        expired: None,
    };
    let mutes = Mutes::new(vec![silence], &[], &[]);
    let cart = page("Down", "cart", "page");
    let silent: Vec<bool> =
        [9, 10, 19, 20].iter().map(|s| mutes.reason(&cart, at(*s), &[]).is_some()).collect();
    assert_eq!(silent, [false, true, true, false]);
    assert_eq!(mutes.reason(&page("Down", "shop", "page"), at(15), &[]), None);
    let told = mutes.reason(&cart, at(10), &[]).unwrap();
    assert!(told.contains("SIL-7 of ana: disks"), "{told}");
    let config: MuteTimeConfig =
        toml::from_str("name = \"x\"\ntimes = [{start = \"14:30\", end = \"14:31\"}]").unwrap();
    let time = MuteTime::new(&config).unwrap();
    let muted = |s| mutes.reason(&page("Down", "shop", "page"), at(s), &[("lunch", &time)]);
    assert_eq!(muted(0).as_deref(), Some("in the mute time `lunch` of its route"));
    assert_eq!(muted(60), None);
}
