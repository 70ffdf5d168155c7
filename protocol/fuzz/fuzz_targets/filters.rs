//! Any two texts, one as a filter and one as a topic: no panic, and matching is what a naive matcher says.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rivulet_protocol::{Topic, TopicFilter};

fuzz_target!(|texts: (&str, &str)| {
    let (Ok(filter), Ok(topic)) = (TopicFilter::parse(texts.0), Topic::parse(texts.1)) else { return };
    assert_eq!(filter.as_str(), texts.0);
    assert_eq!(filter.has_wildcard(), filter.levels().any(|level| level == "#" || level == "+"));
    let levels: Vec<_> = filter.levels().collect();
    let names: Vec<_> = topic.levels().collect();
    let dollar = topic.as_str().starts_with('$') && filter.pattern().starts_with(['#', '+']);
    assert_eq!(filter.matches(&topic), !dollar && naive(&levels, &names));
});

fn naive(levels: &[&str], names: &[&str]) -> bool {
    match (levels, names) {
        (["#"], _) | ([], []) => true,
        (["+", levels @ ..], [_, names @ ..]) => naive(levels, names),
        ([level, levels @ ..], [name, names @ ..]) => level == name && naive(levels, names),
        ([], [_, ..]) | ([_, ..], []) => false,
    }
}
