use super::Context;
use crate::chart::Unit;
use crate::document::cited_evidence;
use crate::evidence::ChartKind;

const MAX_CHARTS: usize = 8;
/// A caption shorter than this says nothing.
const MIN_CAPTION_WORDS: usize = 6;

pub(super) fn check(context: &mut Context<'_>) {
    let evidence = context.evidence;
    let charts: Vec<_> =
        evidence.items.iter().filter_map(|item| Some((item, item.chart.as_ref()?))).collect();
    let lines: Vec<_> = charts.iter().filter(|(_, chart)| chart.kind == ChartKind::Line).collect();
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

/// Evidence cited is there and intact, and no image comes from elsewhere.
fn embedded(context: &mut Context<'_>) {
    let document = context.document;
    for (line, text) in document.lines() {
        for id in cited_evidence(text) {
            if let Some(trouble) = context.evidence.trouble(&id) {
                context.report("M5", line, trouble);
            }
        }
        if text.contains("](http") && text.contains("![") {
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
        if let Some(trouble) = id.as_ref().and_then(|id| context.evidence.trouble(id)) {
            context.report("M5", document.front_line(key), trouble);
        }
    }
}

fn citing_line(context: &Context<'_>, id: &str) -> usize {
    let mark = format!("[{id}]");
    context.document.lines().find(|(_, text)| text.contains(&mark)).map_or(1, |(line, _)| line)
}
