use jiff::Timestamp;

use super::*;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_777_903_200 + 60 * minute).unwrap()
}

fn chart() -> LineChart {
    LineChart {
        series: vec![Series {
            name: "checkout".into(),
            points: (0..=60).map(|m| (at(m), Some(m as f64))).collect(),
        }],
        ..LineChart::new("c", "Error rate", Unit::Count, at(0), at(60))
    }
}

const HOSTILE: &str = "</title><script>alert('x')</script>\" onload=\"x \u{202e}עברית 🙈\u{0}";

#[test]
fn hostile_words_stay_words_everywhere() {
    let long = "w".repeat(10_000);
    for word in [HOSTILE, long.as_str()] {
        let chart = LineChart {
            id: word.into(),
            title: word.into(),
            caption: word.into(),
            series: vec![Series { name: word.into(), points: vec![(at(1), Some(1.0)), (at(2), Some(2.0))] }],
            events: vec![EventLine { at: at(5), kind: word.into(), label: word.into() }],
            baseline: Some(Band { low: 0.0, high: 1.0, label: word.into() }),
            thresholds: vec![Threshold { value: 1.0, label: word.into() }],
            strips: vec![Strip {
                name: word.into(),
                stretches: vec![Stretch { from: at(1), to: at(2), look: StripLook::Firing }],
            }],
            links: vec![("x".into(), "javascript:alert(1)".into()), (word.into(), format!("/{word}"))],
            ..chart()
        };
        let node = DiagramNode { name: word.into(), state: NodeState::Suspect, note: word.into() };
        let edge = DiagramEdge { from: word.into(), to: "b".into(), affected: true, label: word.into() };
        let diagram = ServiceDiagram {
            id: word.into(),
            title: word.into(),
            caption: word.into(),
            nodes: vec![node],
            edges: vec![edge],
        };
        let html = line_chart(&chart) + &sparkline(word, &[Some(1.0), None]) + &service_diagram(&diagram);
        assert!(!html.contains("<script"), "{html}");
        assert!(!html.contains("\" onload"));
        assert!(!html.contains("javascript:"));
        assert!(!html.contains('\u{0}'));
        assert!(html.len() < 80_000, "a 10 kB word is cut, {} bytes came out", html.len());
    }
}

#[test]
fn a_gap_is_a_gap_and_a_lone_point_is_a_dot() {
    let points = vec![
        (at(0), Some(1.0)),
        (at(10), Some(2.0)),
        (at(20), None),
        (at(30), Some(3.0)),
        (at(40), Some(f64::NAN)),
        (at(50), Some(1.0)),
        (at(60), Some(1.0)),
    ];
    let svg = line_chart(&LineChart { series: vec![Series { name: "a".into(), points }], ..chart() });
    let series = svg.split("class=\"series").nth(1).unwrap().split("</g>").next().unwrap();
    assert_eq!(series.matches('M').count(), 2, "{series}");
    assert_eq!(series.matches("<circle").count(), 1, "{series}");
}

#[test]
fn the_ninth_series_becomes_others() {
    let series = |n: i64| Series {
        name: format!("svc-{n}"),
        points: vec![(at(0), Some(n as f64)), (at(60), Some(n as f64))],
    };
    let svg = line_chart(&LineChart { series: (0..11).map(series).collect(), ..chart() });
    assert_eq!(svg.matches("class=\"series").count(), 8);
    assert_eq!(svg.matches("class=\"other\"").count(), 3);
    assert!(svg.contains("3 others"));
    let mut classes: Vec<&str> = svg.split("class=\"series ").skip(1).map(|s| &s[..2]).collect();
    classes.sort_unstable();
    classes.dedup();
    assert_eq!(classes.len(), 8, "eight series have eight colours");
}

#[test]
fn the_same_name_has_the_same_colour_alone() {
    assert_eq!(colour_index("checkout"), colour_index("checkout"));
    let class = colour_class("checkout");
    assert!(line_chart(&chart()).contains(&format!("class=\"series {class}\"")));
    assert!(sparkline("checkout", &[Some(1.0)]).contains(&format!("spark {class}")));
}

#[test]
fn many_points_are_thinned_but_the_peak_stays() {
    let mut points: Vec<_> =
        (0..100_000).map(|n| (at(0) + jiff::Span::new().milliseconds(n * 36), Some(1.0))).collect();
    points[55_555].1 = Some(100.0);
    let svg = line_chart(&LineChart { series: vec![Series { name: "a".into(), points }], ..chart() });
    let path = svg.split("class=\"series").nth(1).unwrap().split("</g>").next().unwrap();
    assert!(path.matches('L').count() <= MAX_POINTS + 1, "{}", path.matches('L').count());
    let height = |y: &str| y.parse::<f64>().unwrap_or(f64::MAX);
    let highest =
        path.split(['L', 'M']).filter_map(|p| p.split(' ').nth(1)).map(height).fold(f64::MAX, f64::min);
    assert!(highest < 30.0, "the peak is drawn at the top: {highest}");
}

#[test]
fn an_empty_chart_says_so() {
    let svg = line_chart(&LineChart { series: Vec::new(), ..chart() });
    assert!(svg.contains("no data in this range"));
    assert!(sparkline("x", &[None, None]).contains("x: no data"));
    assert!(sparkline("x", &[]).contains("no data"));
}

#[test]
fn a_circle_of_calls_is_drawn_once() {
    let edge =
        |from: &str, to: &str| DiagramEdge { from: from.into(), to: to.into(), ..DiagramEdge::default() };
    let diagram = ServiceDiagram {
        id: "d".into(),
        edges: vec![edge("a", "b"), edge("b", "c"), edge("c", "a"), edge("a", "a")],
        ..ServiceDiagram::default()
    };
    let svg = service_diagram(&diagram);
    assert_eq!(svg.matches("class=\"node").count(), 3);
    assert_eq!(svg.matches("class=\"edge\"").count(), 3);
}

#[test]
fn a_chart_of_one_series_looks_like_this() {
    let chart = LineChart {
        caption: "Shows how many failed; they climbed.".into(),
        series: vec![Series {
            name: "checkout".into(),
            points: vec![(at(0), Some(0.0)), (at(60), Some(40.0))],
        }],
        events: vec![EventLine { at: at(30), kind: "onset".into(), label: "errors began".into() }],
        ..chart()
    };
    insta::assert_snapshot!(line_chart(&chart).replace("><", ">\n<"));
}

/// Relative luminance contrast as WCAG 2 defines it.
fn contrast(a: &str, b: &str) -> f64 {
    let luminance = |hex: &str| {
        let hex = hex.trim_start_matches('#');
        let hex = if hex.len() == 3 { hex.chars().flat_map(|c| [c, c]).collect() } else { hex.to_owned() };
        let part = |n: usize| {
            let c = f64::from(u8::from_str_radix(&hex[n..n + 2], 16).unwrap()) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn every_text_colour_has_contrast_in_every_theme() {
    let token = regex::Regex::new(r"--([a-z0-9-]+): (#[0-9a-f]{3,6});").unwrap();
    let mut themes = 0;
    for block in stylesheet().split(":root {").skip(1) {
        let block = block.split('}').next().unwrap();
        let tokens: std::collections::BTreeMap<&str, &str> =
            token.captures_iter(block).map(|c| c.extract()).map(|(_, [name, value])| (name, value)).collect();
        for paper in ["paper", "paper-2"] {
            for ink in ["ink", "ink-2", "accent", "ok", "warn", "bad", "unknown"] {
                let ratio = contrast(tokens[ink], tokens[paper]);
                assert!(ratio >= 4.5, "--{ink} on --{paper} has {ratio:.2}: {block}");
            }
        }
        for series in 0..PALETTE_SIZE {
            let ratio = contrast(tokens[format!("c{series}").as_str()], tokens["paper"]);
            assert!(ratio >= 3.0, "series {series} has {ratio:.2}");
        }
        themes += 1;
    }
    assert_eq!(themes, 3, "light, dark and print");
}

#[test]
fn a_strip_says_its_states_and_each_absence_in_its_own_way() {
    let looks = [
        (StripLook::Inactive, "inactive"),
        (StripLook::Pending, "pending"),
        (StripLook::Firing, "firing"),
        (StripLook::Recovering, "recovering"),
        (StripLook::Missing, "missing"),
        (StripLook::NoData, "no data"),
        (StripLook::Error, "error"),
        (StripLook::Unobserved, "unobserved"),
    ];
    let drawn = |look: StripLook| {
        let stretches = vec![Stretch { from: at(10), to: at(20), look }];
        let strips = vec![Strip { name: "main".into(), stretches }];
        line_chart(&LineChart { strips, ..chart() })
    };
    let mut shapes = std::collections::BTreeSet::new();
    for (look, word) in looks {
        let svg = drawn(look);
        let legend = svg.split("<ul class=\"looks\"").nth(1).unwrap();
        assert!(legend.contains(&format!("<b>{word}</b>")), "{word}: {svg}");
        assert!(svg.contains(&format!("<td>{word}</td>")), "the table says {word}");
        // Without the colour: what is left is the geometry.
        let row = svg.split("<g class=\"strip\">").nth(1).unwrap();
        let geometry = row.split("</title><rect").nth(1).unwrap().split("</g>").next().unwrap().to_owned();
        let outline = matches!(look, StripLook::Recovering | StripLook::NoData);
        assert!(shapes.insert((geometry, outline)), "{word} looks like another one");
    }
    assert!(!line_chart(&chart()).contains("looks"), "a chart without strips has no legend of them");
}

#[test]
fn thresholds_that_lie_close_keep_their_labels_apart() {
    let threshold = |value: f64, label: &str| Threshold { value, label: label.into() };
    let thresholds = vec![threshold(50.0, "fires"), threshold(49.0, "recovers")];
    let svg = line_chart(&LineChart { thresholds, ..chart() });
    let place = |label: &str| -> f64 {
        let before = svg.split(&format!(">{label}</text>")).next().unwrap();
        before.rsplit("y=\"").next().unwrap().split('"').next().unwrap().parse().unwrap()
    };
    assert!((place("fires") - place("recovers")).abs() > 12.0, "{svg}");
}
