//! The spans of one trace as a tree, and its critical path. Pure.
//!
//! Spans come in any order, with parents that never arrived, ids that came twice and parents that go round in a
//! circle; each span is in the tree exactly once, and nothing recurses.

use std::collections::HashMap;

/// Levels that a path tells, counted from the span upwards: a chain of a hundred thousand spans must not make paths
/// of a hundred thousand parts.
const PATH_PARTS_MAX: usize = 64;

/// What the tree needs to know of a span.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<'a> {
    pub(super) id: &'a str,
    pub(super) parent: Option<&'a str>,
    pub(super) start_nano: i64,
    pub(super) duration_nano: i64,
}

impl Span<'_> {
    fn end(&self) -> i64 {
        self.start_nano.saturating_add(self.duration_nano.max(0))
    }
}

/// One span's place. Nodes are in the order in which one reads a tree: parents first, children by start.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// Which span.
    pub(super) span: usize,
    pub(super) depth: usize,
    /// `1.2.1`: the first child of the second child of the first root.
    pub(super) path: String,
    /// It names a parent that is not above it.
    pub(super) is_orphan: bool,
    /// Its duration less the time during which a child of it ran.
    pub(super) self_nano: i64,
    /// How much of the trace's time nothing but this span explains.
    pub(super) critical_nano: i64,
}

pub(super) fn tree(spans: &[Span<'_>]) -> Vec<Node> {
    let family = Family::of(spans);
    let mut nodes = family.walk(spans);
    let critical = family.critical(spans);
    for node in &mut nodes {
        node.self_nano = self_time(spans, node.span, &family.children[node.span]);
        node.critical_nano = critical[node.span];
    }
    nodes
}

struct Family {
    roots: Vec<usize>,
    /// Of each span, by start.
    children: Vec<Vec<usize>>,
}

impl Family {
    fn of(spans: &[Span<'_>]) -> Self {
        let mut by_start: Vec<usize> = (0..spans.len()).collect();
        by_start.sort_by_key(|span| (spans[*span].start_nano, spans[*span].id));
        let mut by_id: HashMap<&str, usize> = HashMap::with_capacity(spans.len());
        for span in &by_start {
            by_id.entry(spans[*span].id).or_insert(*span);
        }
        let above: Vec<Option<usize>> =
            spans.iter().map(|span| span.parent.and_then(|id| by_id.get(id).copied())).collect();
        let mut family = Self { roots: Vec::new(), children: vec![Vec::new(); spans.len()] };
        let mut settled = vec![false; spans.len()];
        for span in &by_start {
            match above[*span] {
                Some(parent) if parent != *span => family.children[parent].push(*span),
                _ => {
                    family.roots.push(*span);
                }
            }
        }
        for root in family.roots.clone() {
            family.settle(root, &mut settled);
        }
        // What no root leads to goes round in a circle, which is cut above its first span.
        for span in by_start {
            if !settled[span] {
                if let Some(parent) = above[span] {
                    family.children[parent].retain(|child| *child != span);
                }
                family.roots.push(span);
                family.settle(span, &mut settled);
            }
        }
        family
    }

    fn settle(&self, root: usize, settled: &mut [bool]) {
        let mut open = vec![root];
        while let Some(span) = open.pop() {
            settled[span] = true;
            open.extend(&self.children[span]);
        }
    }

    fn walk(&self, spans: &[Span<'_>]) -> Vec<Node> {
        let mut nodes = Vec::with_capacity(spans.len());
        // The places of the spans that are open, from the root down.
        let mut places: Vec<usize> = Vec::new();
        let numbered = |spans: &[usize], depth| {
            let each = spans.iter().enumerate().rev();
            each.map(|(place, span)| (*span, depth, place + 1)).collect::<Vec<_>>()
        };
        let mut open = numbered(&self.roots, 0);
        while let Some((span, depth, place)) = open.pop() {
            places.truncate(depth);
            places.push(place);
            nodes.push(Node {
                span,
                depth,
                path: path(&places),
                is_orphan: depth == 0 && spans[span].parent.is_some(),
                self_nano: 0,
                critical_nano: 0,
            });
            open.extend(numbered(&self.children[span], depth + 1));
        }
        nodes
    }

    /// Walks back from the end of the longest root: what ended last before a moment is what was waited for.
    fn critical(&self, spans: &[Span<'_>]) -> Vec<i64> {
        let mut critical = vec![0_i64; spans.len()];
        let longest = self
            .roots
            .iter()
            .copied()
            .max_by_key(|root| (spans[*root].duration_nano, std::cmp::Reverse(*root)));
        let Some(root) = longest else { return critical };
        let mut open =
            vec![Stretch::of(root, spans[root].start_nano, spans[root].end(), &self.children, spans)];
        while let Some(stretch) = open.last_mut() {
            let Some(child) = stretch.children.pop() else {
                critical[stretch.span] += stretch.to - stretch.from;
                open.pop();
                continue;
            };
            let end = spans[child].end().min(stretch.end);
            let start = spans[child].start_nano.max(stretch.from);
            if end <= start || end > stretch.to {
                continue;
            }
            critical[stretch.span] += stretch.to - end;
            stretch.to = start;
            open.push(Stretch::of(child, start, end, &self.children, spans));
        }
        critical
    }
}

/// A span between two moments; what is after `to` is explained already.
struct Stretch {
    span: usize,
    from: i64,
    to: i64,
    end: i64,
    /// The one that ended last is at the end.
    children: Vec<usize>,
}

impl Stretch {
    fn of(span: usize, from: i64, end: i64, children: &[Vec<usize>], spans: &[Span<'_>]) -> Self {
        let mut children = children[span].clone();
        children.sort_by_key(|child| spans[*child].end());
        Self { span, from, to: end, end, children }
    }
}

fn path(places: &[usize]) -> String {
    let cut = places.len().saturating_sub(PATH_PARTS_MAX);
    let parts: Vec<String> = places[cut..].iter().map(ToString::to_string).collect();
    format!("{}{}", if cut > 0 { "…" } else { "" }, parts.join("."))
}

/// Children come by start.
fn self_time(spans: &[Span<'_>], span: usize, children: &[usize]) -> i64 {
    let (start, end) = (spans[span].start_nano, spans[span].end());
    let (mut covered, mut until) = (0, start);
    for child in children {
        let from = spans[*child].start_nano.clamp(until, end);
        let to = spans[*child].end().clamp(from, end);
        covered += to - from;
        until = until.max(to);
    }
    (end - start) - covered
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span<'a>(id: &'a str, parent: Option<&'a str>, start_nano: i64, duration_nano: i64) -> Span<'a> {
        Span { id, parent, start_nano, duration_nano }
    }

    fn told(spans: &[Span<'_>]) -> Vec<(String, String, i64, i64, bool)> {
        let nodes = tree(spans).into_iter();
        nodes
            .map(|node| {
                let id = spans[node.span].id.to_owned();
                (id, node.path, node.self_nano, node.critical_nano, node.is_orphan)
            })
            .collect()
    }

    fn row(id: &str, path: &str, own: i64, critical: i64, orphan: bool) -> (String, String, i64, i64, bool) {
        (id.to_owned(), path.to_owned(), own, critical, orphan)
    }

    #[test]
    fn children_stand_under_their_parents_and_the_last_to_end_is_critical() {
        let spans = [
            span("c", Some("a"), 20, 60),
            span("a", None, 0, 100),
            span("b", Some("a"), 10, 30),
            span("d", Some("c"), 30, 20),
            span("x", Some("gone"), 200, 5),
        ];
        let expected = [
            row("a", "1", 30, 40, false),
            row("b", "1.1", 30, 0, false),
            row("c", "1.2", 40, 40, false),
            row("d", "1.2.1", 20, 20, false),
            row("x", "2", 5, 0, true),
        ];
        assert_eq!(told(&spans), expected);
    }

    #[test]
    fn circles_are_cut_and_ids_that_came_twice_are_two_spans() {
        let circle = [span("a", Some("b"), 0, 10), span("b", Some("a"), 1, 5), span("c", Some("c"), 2, 1)];
        let places: Vec<_> = told(&circle).into_iter().map(|row| (row.0, row.1, row.4)).collect();
        let expected = [("c", "1", true), ("a", "2", true), ("b", "2.1", false)];
        assert_eq!(places, expected.map(|(id, path, orphan)| (id.to_owned(), path.to_owned(), orphan)));
        let twice = [span("a", None, 0, 10), span("a", None, 0, 10), span("b", Some("a"), 1, 2)];
        assert_eq!(told(&twice).len(), 3);
    }

    #[test]
    fn a_very_deep_trace_is_no_danger() {
        let ids: Vec<String> = (0..20_000).map(|id| id.to_string()).collect();
        let at = |depth: usize| i64::try_from(depth).unwrap();
        let spans: Vec<_> = ids
            .iter()
            .enumerate()
            .map(|(depth, id)| {
                let parent = depth.checked_sub(1).map(|above| ids[above].as_str());
                span(id, parent, at(depth), 40_000 - 2 * at(depth))
            })
            .collect();
        let nodes = tree(&spans);
        assert_eq!(nodes.last().map(|node| node.depth), Some(19_999));
        assert!(nodes.iter().all(|node| node.path.len() < 200));
        assert_eq!(nodes.iter().map(|node| node.critical_nano).sum::<i64>(), 40_000);
    }

    proptest! {
        #[test]
        fn every_span_has_one_place_and_the_critical_path_explains_the_whole_root(
            family in proptest::collection::vec((0_u8..12, proptest::option::of(0_u8..14), 0_i64..100, -5_i64..100), 1..25),
        ) {
            let ids: Vec<String> = (0..14).map(|id| id.to_string()).collect();
            let spans: Vec<Span<'_>> = family
                .iter()
                .map(|(id, parent, start, long)| {
                    span(&ids[usize::from(*id)], parent.map(|parent| ids[usize::from(parent)].as_str()), *start, *long)
                })
                .collect();
            let nodes = tree(&spans);
            let mut seen: Vec<usize> = nodes.iter().map(|node| node.span).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..spans.len()).collect::<Vec<_>>());
            for node in &nodes {
                let long = spans[node.span].duration_nano.max(0);
                prop_assert!((0..=long).contains(&node.self_nano) && (0..=long).contains(&node.critical_nano));
                prop_assert_eq!(node.path.split('.').count(), node.depth + 1);
            }
            let longest = nodes.iter().filter(|node| node.depth == 0).map(|node| spans[node.span].duration_nano.max(0)).max();
            prop_assert_eq!(Some(nodes.iter().map(|node| node.critical_nano).sum::<i64>()), longest);
        }
    }
}
