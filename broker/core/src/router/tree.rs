//! The topic tree: values under topic filters, found by topic names (4.7).
//!
//! One node per level; `+` and `#` are children of their own, so a topic name follows at most three ways out of each
//! node, and no node is visited twice. The nodes live in one arena: neither matching nor dropping recurses, however
//! many levels a filter has.
//!
//! Not here: what the values mean (`router`), shared subscriptions (`share`).

use std::collections::BTreeMap;

/// A value that a node of the tree holds.
pub(super) trait Slot: Default {
    /// Whether it holds nothing, so that its node may go.
    fn is_empty(&self) -> bool;
}

/// A place in the arena.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct NodeIndex(usize);

const ROOT: NodeIndex = NodeIndex(0);

#[derive(Debug, Default)]
struct Node<T> {
    exact: BTreeMap<Box<str>, NodeIndex>,
    /// Under `+`: any one level.
    single: Option<NodeIndex>,
    /// Under `#`: this level and all below it [MQTT-4.7.1-2].
    multi: Option<NodeIndex>,
    slot: T,
}

impl<T: Slot> Node<T> {
    fn child(&self, level: &str) -> Option<NodeIndex> {
        match level {
            "+" => self.single,
            "#" => self.multi,
            exact => self.exact.get(exact).copied(),
        }
    }

    fn link(&mut self, level: &str, child: NodeIndex) {
        match level {
            "+" => self.single = Some(child),
            "#" => self.multi = Some(child),
            exact => {
                self.exact.insert(exact.into(), child);
            }
        }
    }

    fn unlink(&mut self, level: &str) {
        match level {
            "+" => self.single = None,
            "#" => self.multi = None,
            exact => {
                self.exact.remove(exact);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.slot.is_empty() && self.exact.is_empty() && self.single.is_none() && self.multi.is_none()
    }
}

/// Values under topic filters.
#[derive(Debug)]
pub(super) struct TopicTree<T> {
    nodes: Vec<Node<T>>,
    free: Vec<NodeIndex>,
    /// Kept between visits for its memory: nodes to look at, each with where its next level begins in the topic.
    ahead: Vec<(NodeIndex, Option<usize>)>,
}

impl<T: Slot> TopicTree<T> {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::default()], free: Vec::new(), ahead: Vec::new() }
    }

    /// The value under a filter, made if there is none.
    pub(super) fn entry(&mut self, pattern: &str) -> &mut T {
        let mut at = ROOT;
        for level in pattern.split('/') {
            at = match self.nodes[at.0].child(level) {
                Some(child) => child,
                None => self.grow(at, level),
            };
        }
        &mut self.nodes[at.0].slot
    }

    /// The value under a filter.
    pub(super) fn find(&self, pattern: &str) -> Option<&T> {
        let mut at = ROOT;
        for level in pattern.split('/') {
            at = self.nodes[at.0].child(level)?;
        }
        Some(&self.nodes[at.0].slot)
    }

    /// Changes the value under a filter, and drops the nodes that this leaves without purpose.
    pub(super) fn change<R>(&mut self, pattern: &str, change: impl FnOnce(&mut T) -> Option<R>) -> Option<R> {
        let mut path = vec![ROOT];
        let mut at = ROOT;
        for level in pattern.split('/') {
            at = self.nodes[at.0].child(level)?;
            path.push(at);
        }
        let result = change(&mut self.nodes[at.0].slot);
        for (level, pair) in pattern.rsplit('/').zip(path.windows(2).rev()) {
            let (parent, child) = (pair[0], pair[1]);
            if !self.nodes[child.0].is_empty() {
                break;
            }
            self.nodes[parent.0].unlink(level);
            self.free.push(child);
        }
        result
    }

    /// Calls `on_match` for the value of each filter that a topic name matches, in an order that depends on the
    /// tree and the name alone. Filters that begin with a wildcard do not reach names that begin with `$`
    /// [MQTT-4.7.2-1].
    pub(super) fn visit(&mut self, topic: &str, mut on_match: impl FnMut(&mut T)) {
        let is_reserved = topic.starts_with('$');
        self.ahead.push((ROOT, Some(0)));
        while let Some((at, start)) = self.ahead.pop() {
            let node = &self.nodes[at.0];
            let (single, multi) =
                if is_reserved && at == ROOT { (None, None) } else { (node.single, node.multi) };
            if let Some(start) = start {
                let (level, next) = split_level(topic, start);
                let exact = node.exact.get(level).copied();
                self.ahead.extend(single.into_iter().chain(exact).map(|child| (child, next)));
            } else {
                on_match(&mut self.nodes[at.0].slot);
            }
            if let Some(multi) = multi {
                on_match(&mut self.nodes[multi.0].slot);
            }
        }
    }

    /// All values.
    pub(super) fn slots(&self) -> impl Iterator<Item = &T> {
        self.nodes.iter().map(|node| &node.slot)
    }

    /// How many nodes are in use, the root aside.
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.free.len() - 1
    }

    /// Panics if a node is in use that leads to nothing.
    pub(super) fn check(&self) {
        let mut reached = 0;
        let mut ahead = vec![ROOT];
        while let Some(at) = ahead.pop() {
            let node = &self.nodes[at.0];
            assert!(at == ROOT || !node.is_empty(), "topic tree keeps an empty node");
            reached += 1;
            ahead.extend(node.exact.values().copied().chain(node.single).chain(node.multi));
        }
        assert_eq!(reached, self.len() + 1, "topic tree has nodes that no filter leads to");
    }

    fn grow(&mut self, parent: NodeIndex, level: &str) -> NodeIndex {
        let child = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Node::default());
            NodeIndex(self.nodes.len() - 1)
        });
        self.nodes[parent.0].link(level, child);
        child
    }
}

/// The level that begins at `start`, and where the one after it begins.
fn split_level(topic: &str, start: usize) -> (&str, Option<usize>) {
    let rest = &topic[start..];
    match rest.find('/') {
        Some(end) => (&rest[..end], Some(start + end + 1)),
        None => (rest, None),
    }
}

#[cfg(test)]
mod tests {
    use super::{Slot, TopicTree};

    impl Slot for Vec<&'static str> {
        fn is_empty(&self) -> bool {
            self.is_empty()
        }
    }

    fn tree(patterns: &[&'static str]) -> TopicTree<Vec<&'static str>> {
        let mut tree: TopicTree<Vec<&'static str>> = TopicTree::new();
        for pattern in patterns {
            tree.entry(pattern).push(*pattern);
        }
        tree.check();
        tree
    }

    fn matching(tree: &mut TopicTree<Vec<&'static str>>, topic: &str) -> Vec<&'static str> {
        let mut found = Vec::new();
        tree.visit(topic, |slot| found.extend(slot.iter().copied()));
        found.sort_unstable();
        found
    }

    /// 4.7.1.2.
    #[test]
    fn multi_level_wildcard_matches_its_parent_and_every_level_below() {
        let mut tree = tree(&["sport/tennis/player1/#", "sport/#", "#"]);
        let all = vec!["#", "sport/#", "sport/tennis/player1/#"];
        assert_eq!(matching(&mut tree, "sport/tennis/player1"), all);
        assert_eq!(matching(&mut tree, "sport/tennis/player1/score/wimbledon"), all);
        assert_eq!(matching(&mut tree, "sport"), ["#", "sport/#"]);
        assert_eq!(matching(&mut tree, "sports"), ["#"]);
    }

    /// 4.7.1.3.
    #[test]
    fn single_level_wildcard_matches_one_level_that_may_be_empty() {
        let mut tree = tree(&["sport/+", "+/+", "/+", "+", "+/tennis/#"]);
        assert_eq!(matching(&mut tree, "sport"), ["+"]);
        assert_eq!(matching(&mut tree, "sport/"), ["+/+", "sport/+"]);
        assert_eq!(matching(&mut tree, "/finance"), ["+/+", "/+"]);
        assert_eq!(matching(&mut tree, "sport/tennis/x"), ["+/tennis/#"]);
    }

    #[test]
    fn leading_wildcards_do_not_reach_topics_that_begin_with_a_dollar_sign() {
        let mut tree = tree(&["#", "+/monitor/Clients", "$SYS/#", "$SYS/monitor/+"]);
        assert_eq!(matching(&mut tree, "$SYS/monitor/Clients"), ["$SYS/#", "$SYS/monitor/+"]);
        assert_eq!(matching(&mut tree, "$SYS"), ["$SYS/#"]);
        assert_eq!(matching(&mut tree, "a/$SYS"), ["#"]);
    }

    #[test]
    fn an_emptied_filter_leaves_no_node_behind_and_its_neighbours_alone() {
        let mut tree = tree(&["a/b/c/+/#", "a/b"]);
        let nodes = tree.len();
        tree.entry("a/b/x/y").push("a/b/x/y");
        assert_eq!(tree.change("a/b/x/y", |slot| slot.pop()), Some("a/b/x/y"));
        tree.check();
        assert_eq!(tree.len(), nodes);
        assert_eq!(tree.change("a/b/c/+/#", |slot| slot.pop()), Some("a/b/c/+/#"));
        tree.check();
        assert_eq!(tree.len(), 2);
        assert_eq!(matching(&mut tree, "a/b"), ["a/b"]);
    }

    #[test]
    fn a_filter_of_as_many_levels_as_fit_on_the_wire_is_kept_matched_and_dropped() {
        let deepest: String = "+/".repeat(32_767) + "#";
        let mut tree: TopicTree<Vec<&'static str>> = TopicTree::new();
        tree.entry(&deepest).push("deepest");
        assert_eq!(matching(&mut tree, &"/".repeat(65_535)), ["deepest"]);
        assert_eq!(tree.change(&deepest, |slot| slot.pop()), Some("deepest"));
        tree.check();
        assert_eq!(tree.len(), 0);
    }

    #[test]
    fn a_match_visits_no_more_nodes_than_there_are() {
        let mut tree: TopicTree<Vec<&'static str>> = TopicTree::new();
        // Every filter of ten levels that are `a` or `+`: the topic below matches all of them.
        for choice in 0..1_u32 << 10 {
            let levels: Vec<_> = (0..10).map(|bit| if choice >> bit & 1 == 0 { "a" } else { "+" }).collect();
            tree.entry(&levels.join("/")).push("filter");
        }
        let mut visited = 0;
        tree.visit("a/a/a/a/a/a/a/a/a/a", |_| visited += 1);
        assert_eq!(visited, 1 << 10);
    }
}
