use std::fmt::Write as _;

use super::escape::is_safe_href;
use super::{escape, html_id, people_duration, shorten};

const WIDTH: f64 = 720.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const ROW: f64 = 34.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 28.0;
/// Points drawn of one row; the table under the drawing names how many there are.
const MAX_DOTS: usize = 500;
/// Round durations that an axis may be marked at, in seconds.
const TICKS: [f64; 13] = [
    1.0,
    10.0,
    60.0,
    300.0,
    900.0,
    3_600.0,
    14_400.0,
    86_400.0,
    259_200.0,
    604_800.0,
    2_592_000.0,
    7_776_000.0,
    31_536_000.0,
];

/// A row of durations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DotRow {
    /// `TTD`.
    pub name: String,
    /// What it is.
    pub meaning: String,
    /// What each point is, its seconds and where it leads.
    pub points: Vec<(String, f64, String)>,
    /// Seconds; `None` without points.
    pub median: Option<f64>,
    /// Seconds; `None` without points.
    pub p90: Option<f64>,
}

/// Durations as points on one logarithmic axis, a row each, with median and p90 marked and a table under it. Every
/// text is escaped; a row without points says so.
pub fn duration_dots(id: &str, title: &str, rows: &[DotRow]) -> String {
    let id = html_id(id);
    let seconds = rows.iter().flat_map(|row| row.points.iter().map(|(_, seconds, _)| seconds.max(1.0)));
    let (low, high) = seconds.fold((f64::INFINITY, 1.0_f64), |(low, high), s| (low.min(s), high.max(s)));
    let low = TICKS.iter().copied().rfind(|tick| *tick <= low).unwrap_or(1.0);
    let high = TICKS.iter().copied().find(|tick| *tick >= high && *tick > low).unwrap_or(high.max(low * 2.0));
    let x = |seconds: f64| {
        let share = (seconds.clamp(low, high).ln() - low.ln()) / (high.ln() - low.ln());
        LEFT + share * (WIDTH - LEFT - RIGHT)
    };
    let mut out = format!(
        r#"<figure class="chart" id="{id}"><figcaption><b>{title}</b></figcaption><div class="plot">"#,
        title = escape(title)
    );
    #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
    let bottom = TOP + ROW * rows.len() as f64;
    let _ = write!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" class="dots" viewBox="0 0 {WIDTH} {:.0}" role="group" aria-labelledby="{id}-title {id}-desc"><title id="{id}-title">{}</title><desc id="{id}-desc">One point an incident on a logarithmic axis; the long mark is the median, the dashed one p90. The table below has the numbers.</desc><g class="axis">"#,
        bottom + BOTTOM,
        escape(title),
    );
    for tick in TICKS.iter().filter(|tick| (low..=high).contains(*tick)) {
        let _ = write!(
            out,
            r#"<line x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{bottom:.1}"/><text x="{x:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            bottom + 16.0,
            people_duration(*tick),
            x = x(*tick),
        );
    }
    out.push_str("</g>");
    let mut y = TOP + ROW / 2.0;
    for row in rows {
        let _ = write!(
            out,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            LEFT - 10.0,
            y + 4.0,
            escape(&shorten(&row.name, 10))
        );
        if row.points.is_empty() {
            let _ = write!(
                out,
                r#"<text class="empty" x="{:.1}" y="{:.1}">not known of any</text>"#,
                LEFT + 6.0,
                y + 4.0
            );
        }
        for (what, seconds, href) in row.points.iter().take(MAX_DOTS) {
            let dot = format!(
                r#"<circle cx="{:.1}" cy="{y:.1}" r="4"><title>{}: {}</title></circle>"#,
                x(*seconds),
                escape(&shorten(what, 80)),
                people_duration(*seconds)
            );
            if is_safe_href(href) {
                let _ = write!(out, r#"<a href="{}">{dot}</a>"#, escape(href));
            } else {
                out.push_str(&dot);
            }
        }
        for (class, value) in [("median", row.median), ("p90", row.p90)] {
            if let Some(value) = value {
                let _ = write!(
                    out,
                    r#"<line class="{class}" x1="{x:.1}" x2="{x:.1}" y1="{:.1}" y2="{:.1}"/>"#,
                    y - 12.0,
                    y + 12.0,
                    x = x(value)
                );
            }
        }
        y += ROW;
    }
    out.push_str("</svg></div>");
    table(&mut out, rows);
    out.push_str("</figure>");
    out
}

fn table(out: &mut String, rows: &[DotRow]) {
    out.push_str(
        r#"<div class="scroll" role="group" tabindex="0" aria-label="Table, scrollable when narrow"><table><caption>Points, not means: a mean hides the long ones</caption><thead><tr><th scope="col">Phase</th><th scope="col">What it is</th><th scope="col" class="num">Incidents</th><th scope="col" class="num">Median</th><th scope="col" class="num">p90</th></tr></thead><tbody>"#,
    );
    let value = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), people_duration);
    for row in rows {
        let _ = write!(
            out,
            r#"<tr><th scope="row">{}</th><td>{}</td><td class="num">{}</td><td class="num">{}</td><td class="num">{}</td></tr>"#,
            escape(&row.name),
            escape(&row.meaning),
            row.points.len(),
            value(row.median),
            value(row.p90),
        );
    }
    out.push_str("</tbody></table></div>");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, seconds: &[f64]) -> DotRow {
        let point = |(at, seconds): (usize, &f64)| {
            (format!("INC-{at} <b>"), *seconds, format!("/incidents/INC-{at}"))
        };
        DotRow {
            name: name.to_owned(),
            meaning: "from a & b".to_owned(),
            points: seconds.iter().enumerate().map(point).collect(),
            median: seconds.first().copied(),
            p90: seconds.last().copied(),
        }
    }

    #[test]
    fn every_point_is_a_door_and_every_text_is_escaped() {
        let svg =
            duration_dots("took", "How <long>", &[row("TTD", &[60.0, 61.0, 90_000.0]), row("TTA", &[])]);
        assert_eq!(svg.matches("<circle").count(), 3);
        assert_eq!(svg.matches(r#"<a href="/incidents/INC-"#).count(), 3);
        assert_eq!((svg.matches(r#"class="median""#).count(), svg.matches(r#"class="p90""#).count()), (1, 1));
        assert!(
            svg.contains("not known of any") && svg.contains("How &lt;long&gt;") && !svg.contains("<b>\"")
        );
        assert!(svg.contains("INC-0 &lt;b&gt;") && svg.contains("from a &amp; b"));
    }

    #[test]
    fn points_lie_in_the_drawing_in_the_order_of_their_length() {
        for seconds in [&[0.0, 0.5][..], &[59.0, 61.0], &[1.0, 40_000_000.0], &[7.0]] {
            let svg = duration_dots("took", "took", &[row("TTD", seconds)]);
            let places: Vec<f64> = svg
                .split(r#"<circle cx=""#)
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
                .collect();
            assert!(places.is_sorted(), "{places:?}");
            assert!(places.iter().all(|x| (LEFT..=WIDTH - RIGHT).contains(x)), "{seconds:?} {places:?}");
        }
    }

    #[test]
    fn an_address_that_is_no_page_is_no_door() {
        let mut hostile = row("TTD", &[60.0]);
        hostile.points[0].2 = "javascript:alert(1)".to_owned();
        assert!(!duration_dots("took", "took", &[hostile]).contains("<a "));
    }
}
