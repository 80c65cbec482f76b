//! One trace beside another of the same operation, span by span. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

/// Deepest level that is walked; below it a trace is a circle or a mistake.
const DEPTH_MAX: usize = 200;

/// One span of a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSpan {
    /// Its id.
    pub id: String,
    /// Id of its parent, when it has one.
    pub parent: Option<String>,
    /// Its service.
    pub service: String,
    /// Its operation.
    pub operation: String,
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds; never negative.
    pub ms: f64,
    /// Whether it failed.
    pub failed: bool,
    /// What it says about its failure; empty when it says nothing.
    pub message: String,
}

/// A span as it went in one of the two traces.
#[derive(Clone, Debug, PartialEq)]
pub struct Went {
    /// How long it took, in milliseconds.
    pub ms: f64,
    /// How much of that no child of it ran, in milliseconds.
    pub own_ms: f64,
    /// Whether it failed.
    pub failed: bool,
    /// What it says about its failure; empty when it says nothing.
    pub message: String,
}

/// The same step of both traces; one side is missing where only one of them took it.
#[derive(Clone, Debug, PartialEq)]
pub struct AlignedSpan {
    /// Levels below the entry.
    pub depth: usize,
    /// Its service.
    pub service: String,
    /// Its operation.
    pub operation: String,
    /// In the bad trace.
    pub bad: Option<Went>,
    /// In the good one.
    pub good: Option<Went>,
}

/// A step is told to be slower from so many times its own time, and so many milliseconds more.
const SLOWER_TIMES: f64 = 1.5;
const SLOWER_MS: f64 = 1.0;

impl AlignedSpan {
    /// Own time that the bad trace spent more here, in milliseconds; negative where it spent less.
    pub fn lost_ms(&self) -> f64 {
        let own = |went: &Option<Went>| went.as_ref().map_or(0.0, |went| went.own_ms);
        own(&self.bad) - own(&self.good)
    }

    /// Whether the bad trace spent so much more here that it is worth telling.
    pub fn is_slower(&self) -> bool {
        self.bad.as_ref().zip(self.good.as_ref()).is_some_and(|(bad, good)| {
            self.lost_ms() >= SLOWER_MS && bad.own_ms >= SLOWER_TIMES * good.own_ms
        })
    }

    /// Whether it failed in the bad trace and not in the good one.
    pub fn fails_anew(&self) -> bool {
        let failed = |went: &Option<Went>| went.as_ref().is_some_and(|went| went.failed);
        failed(&self.bad) && !failed(&self.good)
    }
}

/// Holds the spans below two entries against each other, in the order in which a person reads a trace: parents before
/// children, children by their start. A child's counterpart is the child of the counterpart of its parent that has the
/// same service and operation and is as many-th of them. No entry of that id gives an empty list on its side.
pub fn align(bad: (&[TraceSpan], &str), good: (&[TraceSpan], &str)) -> Vec<AlignedSpan> {
    let (bad_tree, good_tree) = (Tree::new(bad.0), Tree::new(good.0));
    let mut rows = Vec::new();
    walk(&bad_tree, &good_tree, (bad_tree.find(bad.1), good_tree.find(good.1)), 0, &mut rows);
    rows
}

/// Places of a span in the bad trace and of its counterpart in the good one.
type Pair = (Option<usize>, Option<usize>);

/// The spans of one trace by their parents.
struct Tree<'a> {
    spans: &'a [TraceSpan],
    children: Vec<Vec<usize>>,
}

impl<'a> Tree<'a> {
    fn new(spans: &'a [TraceSpan]) -> Self {
        let by_id: BTreeMap<&str, usize> =
            spans.iter().enumerate().map(|(index, span)| (span.id.as_str(), index)).collect();
        let mut children = vec![Vec::new(); spans.len()];
        for (index, span) in spans.iter().enumerate() {
            let parent = span.parent.as_deref().and_then(|parent| by_id.get(parent));
            if let Some(parent) = parent.filter(|parent| **parent != index) {
                children[*parent].push(index);
            }
        }
        for list in &mut children {
            list.sort_by(|a, b| (spans[*a].at, &spans[*a].id).cmp(&(spans[*b].at, &spans[*b].id)));
        }
        Self { spans, children }
    }

    fn find(&self, id: &str) -> Option<usize> {
        self.spans.iter().position(|span| span.id == id)
    }

    fn went(&self, index: usize) -> Went {
        let span = &self.spans[index];
        let own_ms = own_ms(span, self.children[index].iter().map(|child| &self.spans[*child]));
        Went { ms: span.ms, own_ms, failed: span.failed, message: span.message.clone() }
    }

    /// The children of a span, each by what it is called and as many-th of these it is; with its start after the
    /// parent's, in milliseconds.
    fn steps(&self, parent: Option<usize>) -> BTreeMap<(&'a str, &'a str, usize), (f64, usize)> {
        let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let mut steps = BTreeMap::new();
        let Some(parent) = parent else { return steps };
        for child in &self.children[parent] {
            let span = &self.spans[*child];
            let place = seen.entry((&span.service, &span.operation)).or_default();
            let after = span.at.duration_since(self.spans[parent].at).as_secs_f64() * 1e3;
            steps.insert((span.service.as_str(), span.operation.as_str(), *place), (after, *child));
            *place += 1;
        }
        steps
    }
}

/// Time of a span in which no child of it ran; children may overlap, and outlive it.
fn own_ms<'a>(span: &TraceSpan, children: impl Iterator<Item = &'a TraceSpan>) -> f64 {
    let mut ran: Vec<(f64, f64)> = children
        .map(|child| {
            let start = child.at.duration_since(span.at).as_secs_f64() * 1e3;
            (start.clamp(0.0, span.ms), (start + child.ms).clamp(0.0, span.ms))
        })
        .collect();
    ran.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut covered, mut until) = (0.0, 0.0_f64);
    for (start, end) in ran {
        covered += (end - start.max(until)).max(0.0);
        until = until.max(end);
    }
    (span.ms - covered).max(0.0)
}

/// Adds the row of a pair and the rows below it.
fn walk(bad: &Tree<'_>, good: &Tree<'_>, pair: Pair, depth: usize, rows: &mut Vec<AlignedSpan>) {
    let span = pair.0.map(|index| &bad.spans[index]).or_else(|| pair.1.map(|index| &good.spans[index]));
    let Some(span) = span.filter(|_| depth <= DEPTH_MAX) else { return };
    // A circle of parents ends where it comes to as many rows as there are spans.
    if rows.len() >= bad.spans.len() + good.spans.len() {
        return;
    }
    rows.push(AlignedSpan {
        depth,
        service: span.service.clone(),
        operation: span.operation.clone(),
        bad: pair.0.map(|index| bad.went(index)),
        good: pair.1.map(|index| good.went(index)),
    });
    let (of_bad, of_good) = (bad.steps(pair.0), good.steps(pair.1));
    let keys: BTreeSet<_> = of_bad.keys().chain(of_good.keys()).copied().collect();
    let mut steps: Vec<(f64, Pair)> = keys
        .into_iter()
        .map(|key| {
            let (here, there) = (of_bad.get(&key), of_good.get(&key));
            let after = here.or(there).map_or(0.0, |(after, _)| *after);
            (after, (here.map(|(_, child)| *child), there.map(|(_, child)| *child)))
        })
        .collect();
    steps.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (_, pair) in steps {
        walk(bad, good, pair, depth + 1, rows);
    }
}

#[cfg(test)]
mod tests;
