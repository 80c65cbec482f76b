use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::Context;
use crate::chart::Unit;
use crate::document::cited_evidence;
use crate::evidence::{ChartKind, ChartSpec, Evidence};

const MAX_CHARTS: usize = 8;
/// A caption shorter than this says nothing.
const MIN_CAPTION_WORDS: usize = 6;

static REMOTE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?i)!\[[^\]]*\]\(\s*(?:https?:)?//|<(?:img|iframe|script|video|embed|object)\b[^>]*(?:https?:)?//"#)
        .expect("the pattern is constant")
});
static ERRORS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)error|fail|availab|success").expect("the pattern is constant"));
static RESOURCE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)metric_name|metric_histograms|\b(?:pool|connections?|cpu|memory|heap|disk|queue|threads?|saturation|utili[sz]ation|usage|backlog|lag|limit)\b")
        .expect("the pattern is constant")
});
static BUSINESS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)request|traffic|order|checkout|revenue|sale|session|login|sign-?up|payment|message|deliver|booking|customer|user")
        .expect("the pattern is constant")
});

pub(super) fn check(context: &mut Context<'_>) {
    let evidence = context.evidence;
    let charts: Vec<_> =
        evidence.items.iter().filter_map(|item| Some((item, item.chart.as_ref()?))).collect();
    let lines: Vec<_> = charts.iter().copied().filter(|(_, chart)| chart.kind == ChartKind::Line).collect();
    if charts.len() > MAX_CHARTS {
        context.report("M2", 1, format!("{} charts are more than {MAX_CHARTS}", charts.len()));
    }
    for (item, chart) in &lines {
        let line = citing_line(context, &item.id);
        if lines.first().is_some_and(|(first, _)| (first.from, first.to) != (item.from, item.to)) {
            context.report("M3", line, format!("{} has another time range than the first chart", item.id));
        }
        if chart.events.is_empty() {
            context.report("M3", line, format!("{} has no event lines", item.id));
        }
        let is_ratio = chart.values.iter().any(|value| value.contains("rate") || value.contains("share"));
        if chart.unit == Unit::None && is_ratio {
            context.report("M3", line, format!("{} has no unit", item.id));
        }
    }
    shown(context, &lines);
    for (item, _) in &charts {
        if item.caption.split_whitespace().count() < MIN_CAPTION_WORDS {
            let line = citing_line(context, &item.id);
            context.report("M4", line, format!("{} has no caption that says why it matters", item.id));
        }
    }
    embedded(context);
    let several = context.document.front.services.len() >= 2;
    if several && !charts.iter().any(|(_, chart)| chart.kind == ChartKind::Services) {
        context.report("G2", 1, "several services were hurt and there is no diagram of them");
    }
}

/// M1: the four things a reader needs to judge the incident.
fn shown(context: &mut Context<'_>, lines: &[(&Evidence, &ChartSpec)]) {
    let words = |item: &Evidence, chart: &ChartSpec| format!("{} {}", item.title, chart.values.join(" "));
    let of_errors =
        |item: &Evidence, chart: &ChartSpec| ERRORS.is_match(&words(item, chart).replace('_', " "));
    let of_resource = |item: &Evidence, chart: &ChartSpec| {
        RESOURCE.is_match(&item.sql) || RESOURCE.is_match(&words(item, chart).replace(['_', '.'], " "))
    };
    let of_business = |item: &Evidence, chart: &ChartSpec| {
        !of_errors(item, chart) && BUSINESS.is_match(&words(item, chart).replace('_', " "))
    };
    let line = context.line_of_section("Impact");
    for (shown, what) in [
        (lines.iter().any(|(item, chart)| of_errors(item, chart)), "of the error rate"),
        (lines.iter().any(|(item, chart)| of_resource(item, chart)), "of the resource that failed"),
        (lines.iter().any(|(item, chart)| of_business(item, chart)), "of the business impact"),
        (lines.iter().any(|(_, chart)| chart.baseline.is_some()), "with a baseline"),
    ] {
        if !shown {
            context.report("M1", line, format!("there is no chart {what}"));
        }
    }
}

/// Evidence cited is there and intact, and no image comes from elsewhere.
fn embedded(context: &mut Context<'_>) {
    let (document, evidence) = (context.document, context.evidence);
    // A checksum is reckoned once, however often its evidence is cited.
    let mut known: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut trouble_of =
        |id: &str| known.entry(id.to_owned()).or_insert_with(|| evidence.trouble(id)).clone();
    for (line, text) in document.lines() {
        for trouble in cited_evidence(text).iter().filter_map(|id| trouble_of(id)) {
            context.report("M5", line, trouble);
        }
        if REMOTE.is_match(text) {
            context.report("M5", line, "an image is linked from elsewhere");
        }
    }
    for (key, id) in document
        .front
        .impact
        .iter()
        .map(|impact| ("impact", &impact.evidence))
        .chain(document.front.slo.iter().map(|slo| ("slo", &slo.evidence)))
    {
        if let Some(trouble) = id.as_ref().and_then(|id| trouble_of(id)) {
            context.report("M5", document.front_line(key), trouble);
        }
    }
}

fn citing_line(context: &Context<'_>, id: &str) -> usize {
    let mark = format!("[{id}]");
    context.document.lines().find(|(_, text)| text.contains(&mark)).map_or(1, |(line, _)| line)
}
