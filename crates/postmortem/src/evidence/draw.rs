use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::Evidence;
use crate::chart::{
    Band, DiagramEdge, DiagramNode, EventLine, LineChart, NodeState, Series, ServiceDiagram, Threshold, Unit,
    line_chart, service_diagram, stylesheet,
};

/// How an answer is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChartKind {
    /// Lines over time.
    Line,
    /// Services and their calls: columns `caller`, `callee`, `calls`, `failed`.
    Services,
}

/// How an answer is drawn, in words that outlive this program: which columns, which unit, what happened when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChartSpec {
    /// Which drawing.
    pub kind: ChartKind,
    /// Unit of the values.
    #[serde(default)]
    pub unit: Unit,
    /// Column with the time.
    #[serde(default)]
    pub time: String,
    /// Columns with the values; with more than one, each column is a line.
    #[serde(default)]
    pub values: Vec<String>,
    /// Columns that name the line.
    #[serde(default)]
    pub series: Vec<String>,
    /// Seconds between points; a longer way is a gap.
    #[serde(default)]
    pub step_s: i64,
    /// What happened when.
    #[serde(default)]
    pub events: Vec<EventLine>,
    /// What was normal.
    #[serde(default)]
    pub baseline: Option<Band>,
    /// Dashed lines.
    #[serde(default)]
    pub thresholds: Vec<Threshold>,
    /// Whether the axis starts at zero.
    #[serde(default)]
    pub zero_based: bool,
    /// Services that were hurt (for [`ChartKind::Services`]).
    #[serde(default)]
    pub affected: Vec<String>,
    /// The service the evidence points to first (for [`ChartKind::Services`]).
    #[serde(default)]
    pub suspect: Option<String>,
}

impl ChartSpec {
    /// A line chart of one value column from zero, one point a minute.
    pub fn line(time: &str, values: &[&str], unit: Unit) -> Self {
        Self {
            kind: ChartKind::Line,
            unit,
            time: time.to_owned(),
            values: values.iter().map(|&v| v.to_owned()).collect(),
            series: Vec::new(),
            step_s: 60,
            events: Vec::new(),
            baseline: None,
            thresholds: Vec::new(),
            zero_based: true,
            affected: Vec::new(),
            suspect: None,
        }
    }

    /// A diagram of services.
    pub fn services(affected: Vec<String>, suspect: Option<String>) -> Self {
        Self { kind: ChartKind::Services, affected, suspect, ..Self::line("", &[], Unit::None) }
    }
}

impl Evidence {
    /// The figure as HTML with inline SVG, if the evidence is a chart.
    pub fn figure(&self, zone: &TimeZone) -> Option<String> {
        let spec = self.chart.as_ref()?;
        Some(match spec.kind {
            ChartKind::Line => line_chart(&self.line_chart(spec, zone)),
            ChartKind::Services => service_diagram(&self.diagram(spec)),
        })
    }

    /// The lines of the answer, one for each combination of the series columns and value column.
    pub fn series(&self) -> Vec<Series> {
        let Some(spec) = &self.chart else { return Vec::new() };
        let mut lines: BTreeMap<String, Vec<(Timestamp, Option<f64>)>> = BTreeMap::new();
        for row in 0..self.rows.len() {
            let Some(at) = self.time(row, &spec.time) else { continue };
            for value in &spec.values {
                let point = (at, self.number(row, value));
                lines.entry(self.line_name(row, spec, value)).or_default().push(point);
            }
        }
        lines
            .into_iter()
            .map(|(name, mut points)| {
                points.sort_by_key(|point| point.0);
                Series { name, points: with_gaps(&points, spec.step_s) }
            })
            .collect()
    }

    fn line_name(&self, row: usize, spec: &ChartSpec, value: &str) -> String {
        let mut parts: Vec<String> = spec.series.iter().filter_map(|column| self.text(row, column)).collect();
        if spec.values.len() > 1 || parts.is_empty() {
            parts.push(value.to_owned());
        }
        parts.join(" ")
    }

    fn line_chart(&self, spec: &ChartSpec, zone: &TimeZone) -> LineChart {
        LineChart {
            caption: self.caption.clone(),
            series: self.series(),
            events: spec.events.clone(),
            baseline: spec.baseline.clone(),
            thresholds: spec.thresholds.clone(),
            zero_based: spec.zero_based,
            timezone: zone.clone(),
            links: vec![(format!("{} as SQL", self.id), format!("#{}", self.id))],
            ..LineChart::new(format!("chart-{}", self.id), self.title.clone(), spec.unit, self.from, self.to)
        }
    }

    fn diagram(&self, spec: &ChartSpec) -> ServiceDiagram {
        let state = |name: &str| {
            if spec.suspect.as_deref() == Some(name) {
                NodeState::Suspect
            } else if spec.affected.iter().any(|affected| affected == name) {
                NodeState::Affected
            } else {
                NodeState::Normal
            }
        };
        let mut nodes: Vec<DiagramNode> = Vec::new();
        let mut edges = Vec::new();
        for row in 0..self.rows.len() {
            let (Some(from), Some(to)) = (self.text(row, "caller"), self.text(row, "callee")) else {
                continue;
            };
            for name in [&from, &to] {
                if !nodes.iter().any(|node| node.name == *name) {
                    nodes.push(DiagramNode { name: name.clone(), state: state(name), note: String::new() });
                }
            }
            let calls = self.number(row, "calls").unwrap_or(0.0);
            let failed = self.number(row, "failed").unwrap_or(0.0);
            let share = if calls > 0.0 { failed / calls } else { 0.0 };
            let hurt = |name: &str| state(name) != NodeState::Normal;
            edges.push(DiagramEdge {
                affected: share >= 0.01 && (hurt(&from) || hurt(&to)),
                label: format!("{} calls, {} failed", Unit::Count.format(calls), Unit::Percent.format(share)),
                from,
                to,
            });
        }
        ServiceDiagram {
            id: format!("chart-{}", self.id),
            title: self.title.clone(),
            caption: self.caption.clone(),
            nodes,
            edges,
        }
    }
}

/// A missing point between two that are further apart than the step is a gap, not a straight line.
fn with_gaps(points: &[(Timestamp, Option<f64>)], step_s: i64) -> Vec<(Timestamp, Option<f64>)> {
    let mut out = Vec::with_capacity(points.len());
    for (index, point) in points.iter().enumerate() {
        if let Some(before) = index.checked_sub(1).and_then(|before| points.get(before))
            && step_s > 0
            && point.0.as_second() - before.0.as_second() > step_s + step_s / 2
            && let Ok(missing) = Timestamp::from_second(before.0.as_second() + step_s)
        {
            out.push((missing, None));
        }
        out.push(*point);
    }
    out
}

/// The figure's drawing as an SVG file of its own, with its styles inside and nothing remote.
pub fn standalone_svg(figure: &str) -> Option<String> {
    let start = figure.find("<svg xmlns=")?;
    let end = start + figure[start..].find("</svg>")? + "</svg>".len();
    let svg = &figure[start..end];
    let head = svg.find('>')? + 1;
    let class = if svg[..head].contains("class=\"graph\"") { "plot graph" } else { "plot" };
    let style = stylesheet().replace("</", "<\\/").replace('&', "&amp;").replace('<', "&lt;");
    Some(format!(
        "{}<style>{style} svg {{ background: var(--paper); }} text {{ font: 11px system-ui, sans-serif; fill: var(--ink); }}</style><g class=\"{class}\">{}</g></svg>\n",
        &svg[..head],
        &svg[head..svg.len() - "</svg>".len()]
    ))
}
