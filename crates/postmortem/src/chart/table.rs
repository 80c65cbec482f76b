use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;

use super::scale::zone_name;
use super::{LineChart, MAX_SERIES, MAX_TABLE_ROWS, escape, exact, shorten, strip};

/// The chart as a table inside a `<details>`: one row per instant, one column per series, exact values as titles.
pub(super) fn data_table(chart: &LineChart) -> String {
    let names = chart.series.iter().take(2 * MAX_SERIES);
    let mut rows: BTreeMap<Timestamp, BTreeMap<usize, f64>> = BTreeMap::new();
    for (column, series) in names.clone().enumerate() {
        for (at, value) in series.points.iter().filter(|p| p.0 >= chart.from && p.0 <= chart.to) {
            let row = rows.entry(*at).or_default();
            if let Some(value) = value {
                row.insert(column, *value);
            }
        }
    }
    let title = escape(&shorten(&chart.title, 200));
    let zone = escape(&zone_name(chart.from, &chart.timezone));
    let mut out = format!(
        r#"<details class="data"><summary>Data as a table</summary><div class="scroll" role="group" tabindex="0" aria-label="Table, scrollable when narrow"><table><caption>{title}</caption><thead><tr><th scope="col">Time ({zone})</th>"#
    );
    for series in names.clone() {
        let _ = write!(
            out,
            r#"<th scope="col" class="num"><bdi>{}</bdi></th>"#,
            escape(&shorten(&series.name, 100))
        );
    }
    out.push_str("</tr></thead><tbody>");
    for (at, row) in rows.iter().take(MAX_TABLE_ROWS) {
        let local = at.to_zoned(chart.timezone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        let _ = write!(out, r#"<tr><th scope="row"><time datetime="{at}">{local}</time></th>"#);
        for column in 0..names.len() {
            let cell = row.get(&column).map_or_else(
                || "<td class=\"num\"><span aria-label=\"no data\">–</span></td>".to_owned(),
                |value| {
                    format!(
                        r#"<td class="num" title="{}">{}</td>"#,
                        exact(*value),
                        escape(&chart.unit.format(*value))
                    )
                },
            );
            out.push_str(&cell);
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    let (hidden_rows, hidden_series) =
        (rows.len().saturating_sub(MAX_TABLE_ROWS), chart.series.len() - names.len());
    if hidden_rows > 0 || hidden_series > 0 {
        let _ = write!(
            out,
            "<p>{hidden_rows} more rows and {hidden_series} more series: run the SQL to see them.</p>"
        );
    }
    out.push_str(&strip::table(chart));
    out.push_str("</details>");
    out
}
