use super::*;
use crate::testing::{labels, routing, webhook};

fn receivers() -> Vec<Receiver> {
    ["ops", "pager", "boss"].map(|name| webhook(name, "http://127.0.0.1:1/")).into()
}

const ROUTES: &str = r#"
receiver = "ops"
group_interval = "1m"
[[routes]]
match = { severity = "page" }
receiver = "pager"
continue = true
group_wait = "10s"
[[routes]]
matchers = ['service_name=~"check.*"', 'team!="x"']
receiver = "boss"
group_by = ["..."]
[[routes]]
match = { severity = "page" }
receiver = "ops"
group_by = []
"#;

#[test]
fn the_first_route_that_matches_takes_an_alert_unless_it_goes_on() {
    let routing = routing(ROUTES, &receivers());
    let takers = |pairs: &[(&str, &str)]| -> Vec<String> {
        routing
            .takers(&labels(pairs))
            .iter()
            .map(|route| format!("{} {}", route.receiver, route.id))
            .collect()
    };
    assert_eq!(takers(&[("severity", "ticket")]), ["ops {}"]);
    assert_eq!(takers(&[("severity", "page")]), [r#"pager {severity="page"}"#, r#"ops {severity="page"}#2"#]);
    let boss = r#"boss {service_name=~"check.*",team!="x"}"#;
    assert_eq!(takers(&[("service_name", "checkout")]), [boss]);
    assert_eq!(takers(&[("service_name", "checkout"), ("team", "x")]), ["ops {}"]);
    assert_eq!(
        takers(&[("service_name", "checkout"), ("severity", "page")]),
        [r#"pager {severity="page"}"#, boss]
    );
    let route = routing.route("{severity=\"page\"}", "pager").unwrap();
    assert_eq!(route.timings.group_wait, Duration::from_secs(10));
    assert_eq!(route.timings.group_interval, Duration::from_secs(60));
    assert_eq!(route.timings.repeat_interval, REPEAT_INTERVAL_DEFAULT);
    assert!(routing.route("{severity=\"page\"}", "boss").is_none());
}

#[test]
fn groups_are_made_by_the_labels_that_a_route_names() {
    let routing = routing(ROUTES, &receivers());
    let alert = crate::testing::alert("checkout", 0, None);
    let key = |id: &str, receiver: &str| {
        let route = routing.route(id, receiver).unwrap();
        let group_labels = route.group_labels(&alert);
        assert!(route.groups_as(&group_labels));
        route.group_key(&group_labels)
    };
    assert_eq!(key("{}", "ops"), r#"{}:{alertname="DbPoolSaturated", service_name="checkout"}"#);
    assert_eq!(key(r#"{severity="page"}#2"#, "ops"), r#"{severity="page"}#2:{}"#);
    assert_eq!(
        key(r#"{service_name=~"check.*",team!="x"}"#, "boss"),
        r#"{service_name=~"check.*",team!="x"}:{alertname="DbPoolSaturated", service_name="checkout", severity="page"}"#
    );
    let plain = routing.route("{}", "ops").unwrap();
    assert!(!plain.groups_as(&labels(&[("alertname", "x")])), "it was grouped by fewer labels once");
}

#[test]
fn each_mistake_is_told_with_its_place_and_what_to_write() {
    let route = "[[routes]]\nreceiver = 'ops'\n";
    for (text, says) in [
        (
            "receiver = 'opps'".to_owned(),
            "notify.receiver in hindsight.toml: there is no receiver `opps`; there are ops",
        ),
        (route.to_owned(), "notify.receiver in hindsight.toml: with [[notify.routes]] it has to name"),
        (
            format!("receiver = 'ops'\n{route}matchers = ['severity']"),
            "notify.routes, table 1 in hindsight.toml: `severity` is not a matcher",
        ),
        (format!("receiver = 'ops'\n{route}mute = ['night']"), "no mute time `night`"),
        (format!("receiver = 'ops'\n{route}group_wait = '5'"), "group_wait: `5` is not a duration"),
        ("repeat_interval = '0s'".to_owned(), "never stop telling"),
        ("group_by = ['...', 'a']".to_owned(), "alone for all"),
        (
            "[[inhibit]]\nsource = {a = 'b'}".to_owned(),
            "notify.inhibit, table 1 in hindsight.toml: target: there are 0 matchers",
        ),
        ("[[inhibit]]\ntarget_matchers = ['a=~\".*\"']\nsource = {a = 'b'}".to_owned(), "match every alert"),
        (
            "[[mute_times]]\nname = 'n'".to_owned(),
            "notify.mute_times, table 1 in hindsight.toml: it would mute always",
        ),
        ("[[mute_times]]\nname = 'n'\nmonths = ['5']\n".repeat(2), "used twice"),
    ] {
        let told = Routing::new(&toml::from_str(&text).unwrap(), &receivers()).unwrap_err().to_string();
        assert!(told.contains(says), "{text}\n→ {told}");
    }
    for unknown in
        ["group_bye = ['a']", "[[routes]]\nreceiver = 'ops'\ngroup = 'x'", "[[inhibit]]\nsources = {}"]
    {
        let told = toml::from_str::<NotifyConfig>(unknown).unwrap_err().to_string();
        assert!(told.contains("unknown field"), "{told}");
    }
}
