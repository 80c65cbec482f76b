use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{escape, html_id, shorten};

/// Services drawn; further ones are counted in the caption.
const MAX_NODES: usize = 40;
const NODE_WIDTH: f64 = 132.0;
const NODE_HEIGHT: f64 = 40.0;
const COLUMN_GAP: f64 = 64.0;
const ROW_GAP: f64 = 16.0;
const PAD: f64 = 8.0;

/// How a service stands in an incident; a word and a border style say it beside the colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodeState {
    /// Nothing unusual.
    #[default]
    Normal,
    /// It was hurt.
    Affected,
    /// It is where the evidence points first.
    Suspect,
    /// There is no telemetry from it.
    Unknown,
}

impl NodeState {
    fn class(self) -> &'static str {
        match self {
            Self::Normal => "n-normal",
            Self::Affected => "n-affected",
            Self::Suspect => "n-suspect",
            Self::Unknown => "n-unknown",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Normal => "",
            Self::Affected => "affected",
            Self::Suspect => "suspect",
            Self::Unknown => "no telemetry",
        }
    }
}

/// One service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DiagramNode {
    /// Its name; edges refer to it.
    pub name: String,
    /// How it stands.
    pub state: NodeState,
    /// A short second line (`14 % errors`); the state's word when empty.
    pub note: String,
}

/// Calls from one service to another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DiagramEdge {
    /// Caller.
    pub from: String,
    /// Callee.
    pub to: String,
    /// Whether the failure travelled along it.
    pub affected: bool,
    /// Shown on hover (`120 calls/s, 14 % failed`).
    pub label: String,
}

/// A left-to-right graph of services.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceDiagram {
    /// Unique on its page.
    pub id: String,
    /// What is drawn.
    pub title: String,
    /// What it shows and why it matters.
    pub caption: String,
    /// The services.
    pub nodes: Vec<DiagramNode>,
    /// Their calls; ends that are not among the nodes are added as normal services.
    pub edges: Vec<DiagramEdge>,
}

/// The graph as a figure: callers left, callees right, the affected path emphasised, with a table of the calls.
pub fn service_diagram(diagram: &ServiceDiagram) -> String {
    let nodes = all_nodes(diagram);
    let hidden = nodes.len().saturating_sub(MAX_NODES);
    let nodes = &nodes[..nodes.len() - hidden];
    let edges: Vec<(usize, usize, &DiagramEdge)> = diagram
        .edges
        .iter()
        .filter_map(|edge| {
            let find = |name: &str| nodes.iter().position(|node| node.name == name);
            Some((find(&edge.from)?, find(&edge.to)?, edge)).filter(|(from, to, _)| from != to)
        })
        .collect();
    let places = places(nodes.len(), &edges);
    let id = html_id(&diagram.id);
    let mut out = format!(
        r#"<figure class="chart diagram" id="{id}"><figcaption><b>{}</b> <span>{}</span></figcaption>"#,
        escape(&shorten(&diagram.title, 200)),
        escape(&shorten(&diagram.caption, 1_000)),
    );
    draw(&mut out, &id, diagram, nodes, &edges, &places);
    if hidden > 0 {
        let _ = write!(out, "<p>{hidden} more services are not drawn.</p>");
    }
    out.push_str(&edge_table(&diagram.title, &edges));
    out.push_str("</figure>");
    out
}

fn all_nodes(diagram: &ServiceDiagram) -> Vec<DiagramNode> {
    let mut nodes = Vec::new();
    let mut seen = BTreeSet::new();
    for node in &diagram.nodes {
        if seen.insert(node.name.clone()) {
            nodes.push(node.clone());
        }
    }
    for name in diagram.edges.iter().flat_map(|edge| [&edge.from, &edge.to]) {
        if seen.insert(name.clone()) {
            nodes.push(DiagramNode { name: name.clone(), ..DiagramNode::default() });
        }
    }
    nodes
}

/// Each node's column and row: column is the longest way from a node nobody calls, rows by the mean of the callers.
fn places(count: usize, edges: &[(usize, usize, &DiagramEdge)]) -> Vec<(usize, usize)> {
    let forward = without_cycles(count, edges);
    let mut column = vec![0_usize; count];
    for _ in 0..count {
        for (from, to) in &forward {
            column[*to] = column[*to].max(column[*from] + 1);
        }
    }
    let mut columns: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (node, column) in column.iter().enumerate() {
        columns.entry(*column).or_default().push(node);
    }
    let mut row = vec![0_usize; count];
    for members in columns.values_mut() {
        let wish = |node: usize| {
            let callers: Vec<usize> = forward.iter().filter(|e| e.1 == node).map(|e| row[e.0]).collect();
            let sum: usize = callers.iter().sum();
            if callers.is_empty() { node as f64 } else { sum as f64 / callers.len() as f64 }
        };
        members.sort_by(|a, b| wish(*a).total_cmp(&wish(*b)));
        for (index, node) in members.iter().enumerate() {
            row[*node] = index;
        }
    }
    column.into_iter().zip(row).collect()
}

/// The edges that do not close a circle, in the order given.
fn without_cycles(count: usize, edges: &[(usize, usize, &DiagramEdge)]) -> Vec<(usize, usize)> {
    let mut kept: Vec<(usize, usize)> = Vec::new();
    for (from, to, _) in edges {
        if !reaches(count, &kept, *to, *from) {
            kept.push((*from, *to));
        }
    }
    kept
}

fn reaches(count: usize, edges: &[(usize, usize)], start: usize, goal: usize) -> bool {
    let mut seen = vec![false; count];
    let mut open = vec![start];
    while let Some(node) = open.pop() {
        if node == goal {
            return true;
        }
        if !std::mem::replace(&mut seen[node], true) {
            open.extend(edges.iter().filter(|edge| edge.0 == node).map(|edge| edge.1));
        }
    }
    false
}

fn draw(
    out: &mut String,
    id: &str,
    diagram: &ServiceDiagram,
    nodes: &[DiagramNode],
    edges: &[(usize, usize, &DiagramEdge)],
    places: &[(usize, usize)],
) {
    let columns = places.iter().map(|p| p.0 + 1).max().unwrap_or(1);
    let rows = places.iter().map(|p| p.1 + 1).max().unwrap_or(1);
    let width = 2.0 * PAD + columns as f64 * (NODE_WIDTH + COLUMN_GAP) - COLUMN_GAP;
    let height = 2.0 * PAD + rows as f64 * (NODE_HEIGHT + ROW_GAP) - ROW_GAP;
    let corner = |place: (usize, usize)| {
        let in_column = places.iter().filter(|p| p.0 == place.0).count();
        let shift = (rows - in_column) as f64 * (NODE_HEIGHT + ROW_GAP) / 2.0;
        (
            PAD + place.0 as f64 * (NODE_WIDTH + COLUMN_GAP),
            PAD + shift + place.1 as f64 * (NODE_HEIGHT + ROW_GAP),
        )
    };
    let _ = write!(
        out,
        r#"<div class="plot" role="group" tabindex="0" aria-label="Diagram, scrollable when narrow"><svg xmlns="http://www.w3.org/2000/svg" class="graph" viewBox="0 0 {width:.0} {height:.0}" style="max-width:{width:.0}px" role="img" aria-labelledby="{id}-title {id}-desc"><title id="{id}-title">{}</title><desc id="{id}-desc">{}</desc>"#,
        escape(&shorten(&diagram.title, 200)),
        escape(&describe(nodes, edges.len())),
    );
    for (from, to, edge) in edges {
        let (start, end) = (corner(places[*from]), corner(places[*to]));
        let class = if edge.affected { "edge affected" } else { "edge" };
        let _ = write!(
            out,
            r#"<g class="{class}"><title>{}</title>{}</g>"#,
            escape(&shorten(&edge_text(edge), 200)),
            curve(start, end)
        );
    }
    for (node, place) in nodes.iter().zip(places) {
        draw_node(out, node, corner(*place));
    }
    out.push_str("</svg></div>");
}

/// From the right side of one box to the left side of another, with an arrow head.
fn curve(start: (f64, f64), end: (f64, f64)) -> String {
    let (x1, y1) = (start.0 + NODE_WIDTH, start.1 + NODE_HEIGHT / 2.0);
    let (x2, y2) = (end.0 - 1.0, end.1 + NODE_HEIGHT / 2.0);
    let middle = if x2 > x1 { (x1 + x2) / 2.0 } else { x1 + COLUMN_GAP / 2.0 };
    let back = if x2 > x1 { middle } else { x2 - COLUMN_GAP / 2.0 };
    format!(
        r#"<path d="M{x1:.1} {y1:.1}C{middle:.1} {y1:.1} {back:.1} {y2:.1} {:.1} {y2:.1}"/><path class="head" d="M{x2:.1} {y2:.1}l-7-4v8z"/>"#,
        x2 - 6.0
    )
}

fn draw_node(out: &mut String, node: &DiagramNode, (x, y): (f64, f64)) {
    let note = if node.note.is_empty() { node.state.word() } else { &node.note };
    let middle = x + NODE_WIDTH / 2.0;
    let name_y = if note.is_empty() { y + 24.0 } else { y + 17.0 };
    let _ = write!(
        out,
        r#"<g class="node {}"><title>{}</title><rect x="{x:.1}" y="{y:.1}" width="{NODE_WIDTH}" height="{NODE_HEIGHT}" rx="4"/><text x="{middle:.1}" y="{name_y:.1}" text-anchor="middle">{}</text>"#,
        node.state.class(),
        escape(&shorten(&format!("{} {note}", node.name), 200)),
        escape(&shorten(&node.name, 18)),
    );
    if !note.is_empty() {
        let _ = write!(
            out,
            r#"<text class="note" x="{middle:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            y + 32.0,
            escape(&shorten(note, 22))
        );
    }
    out.push_str("</g>");
}

fn describe(nodes: &[DiagramNode], edges: usize) -> String {
    let named = |state: NodeState| {
        let names: Vec<String> =
            nodes.iter().filter(|n| n.state == state).map(|n| shorten(&n.name, 40)).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    format!(
        "{} services and {edges} calls between them. Suspect: {}. Affected: {}.",
        nodes.len(),
        named(NodeState::Suspect),
        named(NodeState::Affected)
    )
}

fn edge_text(edge: &DiagramEdge) -> String {
    if edge.label.is_empty() {
        format!("{} calls {}", edge.from, edge.to)
    } else {
        format!("{} calls {}: {}", edge.from, edge.to, edge.label)
    }
}

fn edge_table(title: &str, edges: &[(usize, usize, &DiagramEdge)]) -> String {
    let mut out = format!(
        r#"<details class="data"><summary>Calls as a table</summary><div class="scroll" role="group" tabindex="0" aria-label="Table, scrollable when narrow"><table><caption>{}</caption><thead><tr><th scope="col">Caller</th><th scope="col">Callee</th><th scope="col">Calls</th><th scope="col">Failure travelled here</th></tr></thead><tbody>"#,
        escape(&shorten(title, 200))
    );
    for (_, _, edge) in edges {
        let _ = write!(
            out,
            r#"<tr><th scope="row"><bdi>{}</bdi></th><td><bdi>{}</bdi></td><td>{}</td><td>{}</td></tr>"#,
            escape(&shorten(&edge.from, 100)),
            escape(&shorten(&edge.to, 100)),
            escape(&shorten(&edge.label, 200)),
            if edge.affected { "yes" } else { "no" },
        );
    }
    out.push_str("</tbody></table></div></details>");
    out
}
