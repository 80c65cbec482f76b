use hindsight_model::AlertState;

use super::*;
use crate::testing::{at, labels, transition};

fn of(transition: &Transition, kind: Kind) -> Alert {
    Alert::of(transition, kind, "http://localhost:4320/")
}

#[test]
fn an_end_keeps_start_labels_and_fingerprint() {
    let firing = of(&transition(120, AlertState::Pending, AlertState::Firing), Kind::Firing);
    let resolved = of(&transition(900, AlertState::Recovering, AlertState::Inactive), Kind::Resolved);
    assert_eq!((firing.starts_at, firing.ends_at), (at(0), None));
    assert_eq!(resolved, Alert { ends_at: Some(at(900)), ..firing.clone() });
    assert_eq!(firing.generator_url, "http://localhost:4320/alerts?rule=checkout-db%2FDbPoolSaturated");
    let print = &firing.fingerprint;
    assert!(print.len() == 16 && print.bytes().all(|b| b.is_ascii_hexdigit()), "{print}");
}

#[test]
fn hostile_text_is_cleaned_and_cut_at_a_character() {
    let mut wild = transition(0, AlertState::Inactive, AlertState::Firing);
    wild.annotations = labels(&[("quotes", "\"</script>\\\n\u{0}\u{1b}[31m"), ("long", &"ü".repeat(5_000))]);
    wild.labels = labels(&[("alertname", "forged"), ("long", &"x".repeat(LABEL_BYTES_MAX + 1))]);
    let alert = of(&wild, Kind::Firing);
    assert_eq!(alert.labels["alertname"], "DbPoolSaturated");
    assert_eq!(alert.annotations["quotes"], "\"</script>\\\n\u{fffd}\u{fffd}[31m");
    let long = &alert.annotations["long"];
    assert!(
        long.ends_with('…') && long.len() <= ANNOTATION_BYTES_MAX && long.len() > ANNOTATION_BYTES_MAX - 4
    );
    let label = &alert.labels["long"];
    assert!(label.ends_with("x…") && label.len() == LABEL_BYTES_MAX);
    assert_eq!(alert.annotations[SHORTENED], "labels or annotations were too long or too many");
    assert_eq!(one_line("a\r\nBcc: b@c\t!", 100), "a  Bcc: b@c !");
}

#[test]
fn instances_whose_shortened_labels_agree_have_different_fingerprints() {
    let mut one = transition(0, AlertState::Inactive, AlertState::Firing);
    let mut other = one.clone();
    one.labels.insert("path".into(), "x".repeat(2_000) + "1");
    other.labels.insert("path".into(), "x".repeat(2_000) + "2");
    let (one, other) = (of(&one, Kind::Firing), of(&other, Kind::Firing));
    assert_eq!(one.labels, other.labels);
    assert_ne!(one.fingerprint, other.fingerprint);
}
