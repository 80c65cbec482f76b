use hindsight_model::Labels;
use proptest::prelude::*;

use super::{RENDERED_CHARS_MAX, Template};

fn labels() -> Labels {
    [("service_name", "checkout"), ("pool", "main"), ("code", "503"), ("http.route", "/pay")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn check(source: &str, value: Option<f64>, rendered: &str) {
    let template = Template::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    assert_eq!(template.render(&labels(), value), rendered, "{source}");
}

#[test]
fn holes_are_filled_and_text_stays() {
    check("no holes at all }} {", None, "no holes at all }} {");
    check("{{ labels.service_name }} pool {{labels.pool}}", None, "checkout pool main");
    check("{{ $labels.http.route }} at {{ $value }}", Some(0.95), "/pay at 0.95");
    check("{{ labels.gone }}|{{ value }}", None, "|");
    check("{{ labels.gone | default \"a | b\" }}", None, "a | b");
    check("ü {{ labels.pool | upper }} ü", None, "ü MAIN ü");
}

#[test]
fn filters_write_numbers_as_people_do() {
    for (filter, value, rendered) in [
        ("percent", 0.95, "95 %"),
        ("percent 1", 0.123_45, "12.3 %"),
        ("percent", 0.99951, "99.95 %"),
        ("round 2", 14.399_9, "14.40"),
        ("round", 2.5, "2"),
        ("duration", 5_400.0, "1h 30m"),
        ("duration", 0.25, "250ms"),
        ("duration", 90_061.0, "1d 1h"),
        ("duration", 59.9, "1m"),
        ("bytes", 1_572_864.0, "1.5 MiB"),
        ("humanize", 12_345.0, "12.35k"),
        ("humanizePercentage", 1.0, "100 %"),
        ("percent | lower", 0.5, "50 %"),
    ] {
        check(&format!("{{{{ value | {filter} }}}}"), Some(value), rendered);
    }
    check("{{ labels.code | round 1 }}", None, "503.0");
    check("{{ labels.pool | percent }}", None, "main");
    check("{{ value | duration }}", Some(f64::INFINITY), "inf");
}

#[test]
fn mistakes_name_their_column_and_the_way_out() {
    for (source, column, words) in [
        ("x {{ labels.a", 3, "no closing"),
        ("{{ }}", 4, "write `labels.NAME`"),
        ("{{ label.a }}", 4, "not known here"),
        ("{{ labels. }}", 4, "a label's name"),
        ("é {{ value | percnt }}", 14, "no filter `percnt`"),
        ("{{ value | round two }}", 12, "not `two`"),
        ("{{ value | round 99 }}", 12, "0 to 12"),
        ("{{ value | default x }}", 12, "in quotes"),
        ("{{ value | upper 3 }}", 12, "takes no argument"),
    ] {
        let error = Template::parse(source).unwrap_err();
        assert_eq!(error.column, column, "{source}: {error}");
        assert!(error.to_string().contains(words), "{source}: {error}");
    }
}

#[test]
fn what_comes_out_is_bounded() {
    let template = Template::parse(&"{{ labels.long }}".repeat(100)).unwrap();
    let labels = Labels::from([("long".to_owned(), "ä".repeat(500))]);
    let rendered = template.render(&labels, None);
    assert_eq!(rendered.chars().count(), RENDERED_CHARS_MAX);
    assert!(rendered.ends_with('…'));
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused_within_its_bounds(source in "[{}|. a-z$\"'é0-9]{0,40}", value in any::<f64>()) {
        match Template::parse(&source) {
            Ok(template) => prop_assert!(template.render(&labels(), Some(value)).chars().count() <= RENDERED_CHARS_MAX),
            Err(error) => prop_assert!(error.column >= 1 && error.column <= source.chars().count() + 1),
        }
    }
}
