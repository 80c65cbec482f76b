use std::fmt::Write as _;

use jiff::tz::TimeZone;
use serde_json::Value as Json;

use crate::chart::{escape, html_id, shorten};
use crate::evidence::{Evidence, EvidenceSet, Verdict, verify};

/// Rows of one result shown in the report; the rest is in the evidence file.
const MAX_SHOWN_ROWS: usize = 60;
/// Characters of one cell shown.
const MAX_CELL: usize = 300;

/// Every piece of evidence with its question, its answer and what its checksum says; missing ones too.
pub(super) fn appendix(evidence: &EvidenceSet, missing: &[String], zone: &TimeZone) -> String {
    let mut out = String::new();
    for item in &evidence.items {
        piece(&mut out, item, zone);
    }
    for id in missing {
        let reason = evidence.trouble(id).unwrap_or_default();
        let id = html_id(id);
        let _ = write!(
            out,
            "<section class=\"evidence\" id=\"{id}\" aria-labelledby=\"{id}-h\"><h3 id=\"{id}-h\">{id}</h3><p class=\"state bad\">{}</p></section>",
            escape(&reason)
        );
    }
    out
}

fn piece(out: &mut String, item: &Evidence, zone: &TimeZone) {
    let id = html_id(&item.id);
    let moment = |at: jiff::Timestamp| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string();
    let watermark = item.watermark.map_or_else(|| "not known".to_owned(), moment);
    let _ = write!(
        out,
        "<section class=\"evidence\" id=\"{id}\" aria-labelledby=\"{id}-h\"><h3 id=\"{id}-h\"><a class=\"number\" href=\"#{id}\">{id}</a> <bdi>{}</bdi></h3><p>{}</p>{}",
        escape(&shorten(&item.title, 200)),
        escape(&shorten(&item.caption, 600)),
        verdict(item)
    );
    let _ = write!(
        out,
        "<details><summary>SQL and where it ran</summary><pre tabindex=\"0\"><code>{}</code></pre><dl class=\"meta\"><dt>Parameters</dt><dd>{}</dd><dt>Range</dt><dd>{} to {}</dd><dt>Data known to</dt><dd>{}</dd><dt>Engine</dt><dd>{}</dd><dt>Frozen</dt><dd>{}</dd></dl></details>",
        escape(&item.sql),
        params(item),
        escape(&moment(item.from)),
        escape(&moment(item.to)),
        escape(&watermark),
        escape(&item.engine),
        escape(&moment(item.frozen_at)),
    );
    result(out, item);
    out.push_str("</section>");
}

fn verdict(item: &Evidence) -> String {
    match verify(item) {
        Verdict::Intact => format!(
            "<p class=\"checksum\"><span class=\"state ok\">checksum holds</span> <code title=\"SHA-256 of question and answer\">{}</code></p>",
            escape(&item.sha256)
        ),
        Verdict::Altered { stated, found } => format!(
            "<p class=\"checksum\"><span class=\"state bad\">altered after it was frozen</span> the file states <code>{}</code>, its content gives <code>{}</code></p>",
            escape(&shorten(&stated, 80)),
            escape(&found)
        ),
    }
}

fn params(item: &Evidence) -> String {
    if item.params.is_empty() {
        return "none".to_owned();
    }
    let one = |(name, value): (&String, &Json)| {
        format!("<code>${} = {}</code>", escape(name), escape(&cell(value)))
    };
    item.params.iter().map(one).collect::<Vec<_>>().join("<br>")
}

fn result(out: &mut String, item: &Evidence) {
    let _ = write!(
        out,
        "<details><summary>Result: {} rows</summary><div class=\"scroll\" role=\"group\" tabindex=\"0\" aria-label=\"Table, scrollable when narrow\"><table><caption>Result of {}</caption><thead><tr>",
        item.rows.len(),
        escape(&item.id)
    );
    let numeric: Vec<bool> = (0..item.columns.len())
        .map(|column| item.rows.iter().any(|row| row.get(column).is_some_and(Json::is_number)))
        .collect();
    for (column, numeric) in item.columns.iter().zip(&numeric) {
        let class = if *numeric { " class=\"num\"" } else { "" };
        let _ = write!(out, "<th scope=\"col\"{class}>{}</th>", escape(&shorten(&column.name, 80)));
    }
    out.push_str("</tr></thead><tbody>");
    for row in item.rows.iter().take(MAX_SHOWN_ROWS) {
        out.push_str("<tr>");
        for (value, numeric) in row.iter().zip(numeric.iter().chain(std::iter::repeat(&false))) {
            let class = if *numeric { " class=\"num\"" } else { "" };
            let _ = write!(out, "<td{class}><bdi>{}</bdi></td>", escape(&shorten(&cell(value), MAX_CELL)));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    if item.rows.len() > MAX_SHOWN_ROWS {
        let more = item.rows.len() - MAX_SHOWN_ROWS;
        let _ =
            write!(out, "<p>{more} more rows are in <code>evidence/{}.json</code>.</p>", escape(&item.id));
    }
    out.push_str("</details>");
}

fn cell(value: &Json) -> String {
    match value {
        Json::Null => "–".to_owned(),
        Json::String(text) => text.clone(),
        Json::Number(number) => number
            .as_f64()
            .filter(|_| number.is_f64())
            .map_or_else(|| number.to_string(), |double| format!("{}", (double * 1e6).round() / 1e6)),
        other => other.to_string(),
    }
}
