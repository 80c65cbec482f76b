use std::fmt::Write as _;

use super::events::{self, seconds};
use super::labels::spread;
use super::scale::{Scale, time_ticks, value_ticks, zone_name};
use super::{LineChart, MAX_POINTS, MAX_SERIES, Series, escape, html_id, palette, shorten, strip, table};
use crate::chart::escape::is_safe_href;

const WIDTH: f64 = 720.0;
const PLOT_HEIGHT: f64 = 176.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 124.0;
const BOTTOM: f64 = 34.0;
const LABEL_GAP: f64 = 13.0;
const MAX_LABEL: usize = 19;

/// The whole figure: caption, drawing with title and description, legend of events, data table.
///
/// Values outside `from..=to` are not drawn; non-finite values are gaps. All text is escaped.
pub fn line_chart(chart: &LineChart) -> String {
    let id = html_id(&chart.id);
    let mut out = format!(
        r#"<figure class="chart" id="{id}"><figcaption><b>{}</b>{}{}</figcaption>"#,
        escape(&shorten(&chart.title, 200)),
        caption(&chart.caption),
        links(chart),
    );
    let drawing = Drawing::new(chart);
    out.push_str(
        r#"<div class="plot" role="group" tabindex="0" aria-label="Chart, scrollable when narrow">"#,
    );
    drawing.svg(&id, &mut out);
    out.push_str("</div>");
    out.push_str(&strip::legend(&chart.strips));
    out.push_str(&drawing.events.legend(&chart.timezone));
    out.push_str(&table::data_table(chart));
    out.push_str("</figure>");
    out
}

fn caption(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" <span>{}</span>", escape(&shorten(text, 1_000))) }
}

fn links(chart: &LineChart) -> String {
    let mut out = String::new();
    for (text, href) in chart.links.iter().filter(|(_, href)| is_safe_href(href)) {
        let _ = write!(out, r#" <a href="{}">{}</a>"#, escape(href), escape(&shorten(text, 40)));
    }
    out
}

/// Where everything stands.
struct Drawing<'a> {
    chart: &'a LineChart,
    events: events::Placed<'a>,
    named: Vec<&'a Series>,
    others: Vec<&'a Series>,
    ticks: Vec<f64>,
    x: Scale,
    y: Scale,
    top: f64,
    bottom: f64,
    /// Where the time axis is written: below the strips.
    axis: f64,
}

impl<'a> Drawing<'a> {
    fn new(chart: &'a LineChart) -> Self {
        let x = Scale::new((seconds(chart.from), seconds(chart.to)), (LEFT, WIDTH - RIGHT));
        let events = events::place(&chart.events, chart.from, chart.to, &x);
        let top = events.height();
        let bottom = top + PLOT_HEIGHT;
        let (low, high) = extent(chart);
        let ticks = value_ticks(low, high, chart.unit);
        let ends = (*ticks.first().unwrap_or(&0.0), *ticks.last().unwrap_or(&1.0));
        let (named, others) = largest_first(chart);
        let y = Scale::new(ends, (bottom, top));
        let axis = bottom + strip::height(&chart.strips);
        Self { chart, events, named, others, ticks, x, y, top, bottom, axis }
    }

    fn svg(&self, id: &str, out: &mut String) {
        let height = self.axis + BOTTOM;
        let _ = write!(
            out,
            r#"<svg xmlns="http://www.w3.org/2000/svg" class="line" viewBox="0 0 {WIDTH} {height:.0}" role="img" aria-labelledby="{id}-title {id}-desc"><title id="{id}-title">{}</title><desc id="{id}-desc">{}</desc>"#,
            escape(&shorten(&self.chart.title, 200)),
            escape(&self.description()),
        );
        self.band(out);
        self.axes(out);
        self.thresholds(out);
        strip::draw(out, self.chart, &self.x, self.bottom, WIDTH - RIGHT + 10.0);
        self.events.draw(out, self.axis);
        for series in &self.others {
            let _ = write!(out, r#"<g class="other">{}</g>"#, self.path(series));
        }
        for (series, colour) in
            self.named.iter().zip(palette::assign(self.named.iter().map(|s| s.name.as_str())))
        {
            let _ = write!(
                out,
                r#"<g class="series s{colour}"><title>{}</title>{}</g>"#,
                escape(&shorten(&series.name, 100)),
                self.path(series)
            );
        }
        self.end_labels(out);
        if self.is_empty() {
            let _ = write!(
                out,
                r#"<text class="empty" x="{:.0}" y="{:.0}" text-anchor="middle">no data in this range</text>"#,
                (LEFT + WIDTH - RIGHT) / 2.0,
                (self.top + self.bottom) / 2.0
            );
        }
        out.push_str("</svg>");
    }

    fn is_empty(&self) -> bool {
        self.chart.series.iter().all(|s| values(self.chart, s).next().is_none())
    }

    fn description(&self) -> String {
        let unit = self.chart.unit;
        let mut text = format!(
            "{} from {} to {}.",
            unit.axis_name(),
            self.chart.from.to_zoned(self.chart.timezone.clone()).strftime("%Y-%m-%d %H:%M %Z"),
            self.chart.to.to_zoned(self.chart.timezone.clone()).strftime("%Y-%m-%d %H:%M %Z"),
        );
        for series in &self.named {
            let name = shorten(&series.name, 60);
            let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
            for value in values(self.chart, series) {
                (low, high) = (low.min(value), high.max(value));
            }
            let _ = if low <= high {
                write!(text, " {name}: lowest {}, highest {}.", unit.format(low), unit.format(high))
            } else {
                write!(text, " {name}: no data.")
            };
        }
        text
    }

    fn band(&self, out: &mut String) {
        let Some(band) = &self.chart.baseline else { return };
        if !band.low.is_finite() || !band.high.is_finite() {
            return;
        }
        let (high, low) = (self.y.at(band.high.max(band.low)), self.y.at(band.low.min(band.high)));
        let _ = write!(
            out,
            r#"<rect class="band" x="{LEFT}" y="{:.1}" width="{:.1}" height="{:.1}"><title>{}</title></rect>"#,
            high.min(low - 1.5),
            WIDTH - RIGHT - LEFT,
            (low - high).max(1.5),
            escape(&shorten(&band.label, 200)),
        );
    }

    fn axes(&self, out: &mut String) {
        let right = WIDTH - RIGHT;
        out.push_str(r#"<g class="axis">"#);
        for tick in &self.ticks {
            let y = self.y.at(*tick);
            let _ = write!(
                out,
                r#"<line x1="{LEFT}" x2="{right}" y1="{y:.1}" y2="{y:.1}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
                LEFT - 6.0,
                y + 4.0,
                escape(&self.chart.unit.format(*tick)),
            );
        }
        for (at, label) in time_ticks(self.chart.from, self.chart.to, &self.chart.timezone) {
            let x = self.x.at(seconds(at));
            let _ = write!(
                out,
                r#"<line class="tick" x1="{x:.1}" x2="{x:.1}" y1="{:.1}" y2="{:.1}"/><text x="{x:.1}" y="{:.1}" text-anchor="middle">{label}</text>"#,
                self.axis,
                self.axis + 4.0,
                self.axis + 17.0,
            );
        }
        let day = |at: jiff::Timestamp| at.to_zoned(self.chart.timezone.clone()).date();
        let (first, last) = (day(self.chart.from), day(self.chart.to));
        let dates = if first == last { first.to_string() } else { format!("{first} – {last}") };
        let _ = write!(
            out,
            r#"<text x="{right}" y="{:.1}" text-anchor="end">{dates} {}</text></g>"#,
            self.axis + 31.0,
            escape(&zone_name(self.chart.from, &self.chart.timezone)),
        );
    }

    fn thresholds(&self, out: &mut String) {
        let shown = |value: f64| value.is_finite() && self.ticks.last().is_some_and(|top| value <= *top);
        let thresholds: Vec<_> = self.chart.thresholds.iter().filter(|t| shown(t.value)).take(4).collect();
        let wishes: Vec<f64> = thresholds.iter().map(|t| self.y.at(t.value) - 4.0).collect();
        let places = spread(&wishes, LABEL_GAP, self.top + 8.0, self.bottom - 4.0);
        for (threshold, place) in thresholds.into_iter().zip(places) {
            let y = self.y.at(threshold.value);
            let _ = write!(
                out,
                r#"<g class="threshold"><line x1="{LEFT}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}"/><text x="{:.1}" y="{:.1}">{}</text></g>"#,
                WIDTH - RIGHT,
                LEFT + 6.0,
                place,
                escape(&shorten(&threshold.label, 60)),
            );
        }
    }

    /// The line with its gaps; a value alone between two gaps is a dot.
    fn path(&self, series: &Series) -> String {
        let (mut path, mut dots) = (String::new(), String::new());
        for run in runs(self.chart, series) {
            let places: Vec<(f64, f64)> = run.iter().map(|(at, v)| (self.x.at(*at), self.y.at(*v))).collect();
            if let [(x, y)] = places[..] {
                let _ = write!(dots, r#"<circle cx="{x:.1}" cy="{y:.1}" r="2"/>"#);
                continue;
            }
            for (index, (x, y)) in places.iter().enumerate() {
                let _ = write!(path, "{}{x:.1} {y:.1}", if index == 0 { "M" } else { "L" });
            }
        }
        if path.is_empty() { dots } else { format!(r#"<path d="{path}"/>{dots}"#) }
    }

    fn end_labels(&self, out: &mut String) {
        let colours = palette::assign(self.named.iter().map(|s| s.name.as_str()));
        let last = |series: &Series| runs(self.chart, series).last().and_then(|run| run.last().copied());
        let mut labels: Vec<(String, String, f64, f64)> = Vec::new();
        for (series, colour) in self.named.iter().zip(colours) {
            if let Some((at, value)) = last(series) {
                labels.push((
                    shorten(&series.name, MAX_LABEL),
                    format!("s{colour}"),
                    self.x.at(at),
                    self.y.at(value),
                ));
            }
        }
        if let Some((at, value)) = self.others.first().and_then(|series| last(series)) {
            let text = format!("{} others", self.others.len());
            labels.push((text, "other".into(), self.x.at(at), self.y.at(value)));
        }
        let wishes: Vec<f64> = labels.iter().map(|label| label.3).collect();
        let start = WIDTH - RIGHT + 10.0;
        for ((text, class, x, y), place) in
            labels.iter().zip(spread(&wishes, LABEL_GAP, self.top, self.bottom + 8.0))
        {
            let _ = write!(
                out,
                r#"<g class="end {class}"><path d="M{x:.1} {y:.1}L{start:.1} {place:.1}"/><circle cx="{start:.1}" cy="{place:.1}" r="3"/><text x="{:.1}" y="{:.1}">{}</text></g>"#,
                start + 7.0,
                place + 4.0,
                escape(text),
            );
        }
    }
}

/// The values of one series that lie on the axis.
fn values<'a>(chart: &'a LineChart, series: &'a Series) -> impl Iterator<Item = f64> + 'a {
    let inside = |at: jiff::Timestamp| at >= chart.from && at <= chart.to;
    series.points.iter().filter(move |p| inside(p.0)).filter_map(|p| p.1).filter(|v| v.is_finite())
}

/// Lowest and highest of everything that must be seen.
fn extent(chart: &LineChart) -> (f64, f64) {
    let (mut low, mut high) = if chart.zero_based { (0.0, 0.0) } else { (f64::INFINITY, f64::NEG_INFINITY) };
    let mut see = |value: f64| {
        if value.is_finite() {
            low = value.min(low);
            high = value.max(high);
        }
    };
    chart.series.iter().flat_map(|s| values(chart, s)).for_each(&mut see);
    if let Some(band) = &chart.baseline {
        see(band.low);
        see(band.high);
    }
    chart.thresholds.iter().for_each(|threshold| see(threshold.value));
    if low <= high { (low, high) } else { (0.0, 0.0) }
}

/// The eight series with the highest values in their given order, and the rest.
fn largest_first(chart: &LineChart) -> (Vec<&Series>, Vec<&Series>) {
    let peak = |series: &Series| values(chart, series).fold(f64::NEG_INFINITY, f64::max);
    let mut order: Vec<usize> = (0..chart.series.len()).collect();
    order.sort_by(|a, b| peak(&chart.series[*b]).total_cmp(&peak(&chart.series[*a])));
    let mut keep: Vec<usize> = order.iter().copied().take(MAX_SERIES).collect();
    keep.sort_unstable();
    let named = keep.iter().map(|index| &chart.series[*index]).collect();
    let others = order.iter().skip(MAX_SERIES).map(|index| &chart.series[*index]).collect();
    (named, others)
}

/// Unbroken stretches of (second, value), thinned when there are more than can be seen.
fn runs(chart: &LineChart, series: &Series) -> Vec<Vec<(f64, f64)>> {
    let mut runs: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
    for (at, value) in series.points.iter().filter(|p| p.0 >= chart.from && p.0 <= chart.to) {
        match value {
            Some(value) if value.is_finite() => {
                if let Some(run) = runs.last_mut() {
                    run.push((seconds(*at), *value));
                }
            }
            _ => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    let total: usize = runs.iter().map(Vec::len).sum();
    if total <= MAX_POINTS { runs } else { runs.iter().map(|run| thin(run, total)).collect() }
}

/// Lowest and highest of each stretch, in order, so that peaks stay.
fn thin(run: &[(f64, f64)], total: usize) -> Vec<(f64, f64)> {
    let stretch = (2 * total).div_ceil(MAX_POINTS).max(2);
    let mut out = Vec::new();
    for chunk in run.chunks(stretch) {
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let (Some(low), Some(high)) = (chunk.iter().min_by(by_value), chunk.iter().max_by(by_value)) else {
            continue;
        };
        let (first, second) = if low.0 <= high.0 { (low, high) } else { (high, low) };
        out.push(*first);
        if second.0 > first.0 {
            out.push(*second);
        }
    }
    out
}
