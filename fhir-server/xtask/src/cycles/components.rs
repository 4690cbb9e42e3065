//! Strongly connected components of a graph, by two walks (Kosaraju).

use std::collections::{BTreeMap, BTreeSet};

type Graph = BTreeMap<String, BTreeSet<String>>;

/// The components of more than one node, each sorted.
pub(super) fn circles(graph: &Graph) -> Vec<Vec<String>> {
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for node in graph.keys() {
        walk(graph, node, &mut seen, &mut order);
    }
    let mut reversed = Graph::new();
    for (from, to) in graph.iter().flat_map(|(from, all)| all.iter().map(move |to| (from, to))) {
        reversed.entry(to.clone()).or_default().insert(from.clone());
    }
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for node in order.iter().rev() {
        let mut component = Vec::new();
        walk(&reversed, node, &mut seen, &mut component);
        if component.len() > 1 {
            component.sort();
            circles.push(component);
        }
    }
    circles
}

/// Adds to `order` what can be reached and was not seen, each node after all it leads to.
fn walk(graph: &Graph, node: &str, seen: &mut BTreeSet<String>, order: &mut Vec<String>) {
    if !seen.insert(node.to_owned()) {
        return;
    }
    for next in graph.get(node).into_iter().flatten() {
        walk(graph, next, seen, order);
    }
    order.push(node.to_owned());
}
