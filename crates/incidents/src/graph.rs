use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::Edge;

/// Who calls whom, as sets of names. Cycles and self-calls are allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceGraph {
    callees: BTreeMap<String, BTreeSet<String>>,
    callers: BTreeMap<String, BTreeSet<String>>,
    unresolved: BTreeSet<String>,
}

impl ServiceGraph {
    /// The graph of these edges; a callee is unresolved when no edge resolved it.
    pub fn from_edges(edges: &[Edge]) -> Self {
        let mut graph = Self::default();
        for edge in edges {
            graph.add(&edge.caller, &edge.callee);
        }
        let resolved: BTreeSet<&str> = edges
            .iter()
            .filter(|e| e.resolved)
            .flat_map(|e| [e.caller.as_str(), e.callee.as_str()])
            .collect();
        let callers: BTreeSet<&str> = edges.iter().map(|e| e.caller.as_str()).collect();
        graph.unresolved = edges
            .iter()
            .map(|e| e.callee.as_str())
            .filter(|name| !resolved.contains(name) && !callers.contains(name))
            .map(str::to_owned)
            .collect();
        graph
    }

    /// Adds one call.
    pub fn add(&mut self, caller: &str, callee: &str) {
        if caller == callee {
            return;
        }
        self.callees.entry(caller.to_owned()).or_default().insert(callee.to_owned());
        self.callers.entry(callee.to_owned()).or_default().insert(caller.to_owned());
    }

    /// The services and peers that `service` calls.
    pub fn callees(&self, service: &str) -> impl Iterator<Item = &str> {
        self.callees.get(service).into_iter().flatten().map(String::as_str)
    }

    /// The services that call `service`.
    pub fn callers(&self, service: &str) -> impl Iterator<Item = &str> {
        self.callers.get(service).into_iter().flatten().map(String::as_str)
    }

    /// Whether the name is a peer without spans of its own.
    pub fn is_unresolved(&self, name: &str) -> bool {
        self.unresolved.contains(name)
    }

    /// Every name reachable from `entries` along calls, with the number of hops; the entries have 0.
    pub fn reachable<'a>(&self, entries: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, usize> {
        self.walk(entries, usize::MAX, |name| self.callees(name).collect())
    }

    /// Hops between two names with the direction of calls ignored, when there are at most `max`.
    pub fn distance(&self, a: &str, b: &str, max: usize) -> Option<usize> {
        self.walk([a], max, |name| self.callees(name).chain(self.callers(name)).collect()).get(b).copied()
    }

    fn walk<'a, 'g>(
        &'g self,
        start: impl IntoIterator<Item = &'a str>,
        max: usize,
        next: impl Fn(&str) -> Vec<&'g str>,
    ) -> BTreeMap<String, usize> {
        let mut hops: BTreeMap<String, usize> = start.into_iter().map(|name| (name.to_owned(), 0)).collect();
        let mut queue: VecDeque<(String, usize)> =
            hops.iter().map(|(name, at)| (name.clone(), *at)).collect();
        while let Some((name, at)) = queue.pop_front() {
            if at == max {
                continue;
            }
            for neighbour in next(&name) {
                if !hops.contains_key(neighbour) {
                    hops.insert(neighbour.to_owned(), at + 1);
                    queue.push_back((neighbour.to_owned(), at + 1));
                }
            }
        }
        hops
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_ignores_direction_and_survives_cycles() {
        let mut graph = ServiceGraph::default();
        for (caller, callee) in [("a", "b"), ("b", "c"), ("c", "a"), ("d", "c"), ("x", "x")] {
            graph.add(caller, callee);
        }
        assert_eq!(graph.distance("a", "d", 2), Some(2));
        assert_eq!(graph.distance("a", "d", 1), None);
        assert_eq!(graph.distance("a", "x", 9), None);
        assert_eq!(graph.reachable(["a"]).get("c"), Some(&2));
        assert!(!graph.reachable(["a"]).contains_key("d"));
    }
}
