//! Does one topic filter reach at least as far as another?
//!
//! Not here: whether a filter matches one topic ([`TopicFilter::matches`]).

use rivulet_protocol::TopicFilter;

const ONE_LEVEL: &str = "+";
const ALL_LEVELS: &str = "#";

/// Whether every topic that `inner` matches is matched by `outer` (4.7.1, 4.7.2). A share name plays no part: shared
/// subscriptions match by their pattern alone (4.8.2).
pub(in crate::access) fn covers(outer: &TopicFilter, inner: &TopicFilter) -> bool {
    let first = inner.levels().next().unwrap_or_default();
    let outer_first = outer.levels().next().unwrap_or_default();
    // A wildcard in the first place does not reach topics that begin with `$` [MQTT-4.7.2-1].
    if first.starts_with('$') && is_wildcard(outer_first) {
        return false;
    }
    // There is no empty topic, so that these two match no less than one level, or one more than the empty first.
    match inner.pattern() {
        "#" => levels_cover(outer.levels(), [ONE_LEVEL, ALL_LEVELS].into_iter()),
        "/#" => levels_cover(outer.levels(), ["", ONE_LEVEL, ALL_LEVELS].into_iter()),
        _ => levels_cover(outer.levels(), inner.levels()),
    }
}

/// Whether some topic may be matched by both filters.
pub(super) fn overlaps(one: &TopicFilter, other: &TopicFilter) -> bool {
    let firsts = (one.levels().next().unwrap_or_default(), other.levels().next().unwrap_or_default());
    let apart = |a: &str, b: &str| a.starts_with('$') && is_wildcard(b);
    if apart(firsts.0, firsts.1) || apart(firsts.1, firsts.0) {
        return false;
    }
    let (mut ones, mut others) = (one.levels(), other.levels());
    loop {
        match (ones.next(), others.next()) {
            (None, None) | (Some(ALL_LEVELS), _) | (_, Some(ALL_LEVELS)) => return true,
            (None, Some(_)) | (Some(_), None) => return false,
            (Some(a), Some(b)) if is_wildcard(a) || is_wildcard(b) || a == b => {}
            (Some(_), Some(_)) => return false,
        }
    }
}

fn levels_cover<'a>(
    mut outer: impl Iterator<Item = &'a str>,
    mut inner: impl Iterator<Item = &'a str>,
) -> bool {
    loop {
        match (outer.next(), inner.next()) {
            // `a/#` matches `a` as well (4.7.1.2), so that it covers an end as it covers anything else.
            (Some(ALL_LEVELS), _) | (None, None) => return true,
            (None, Some(_)) | (Some(_), None | Some(ALL_LEVELS)) => return false,
            (Some(ONE_LEVEL), Some(_)) => {}
            (Some(a), Some(b)) if a == b => {}
            (Some(_), Some(_)) => return false,
        }
    }
}

fn is_wildcard(level: &str) -> bool {
    level == ONE_LEVEL || level == ALL_LEVELS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rivulet_protocol::Topic;

    use super::*;

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn a_filter_covers_what_it_matches_and_no_more() {
        for (outer, inner, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a/c", false),
            ("a/b", "a", false),
            ("a", "a/b", false),
            ("a/+", "a/b", true),
            ("a/+", "a/+", true),
            ("a/b", "a/+", false),
            ("a/+", "a/#", false),
            ("a/#", "a/#", true),
            ("a/#", "a", true),
            ("a/#", "a/+/c", true),
            ("a/#", "#", false),
            ("a/+/#", "a/#", false), // not `a`
            ("a/+/#", "a/+", true),
            ("+/#", "#", true),
            ("+/+/#", "#", false),
            ("+/+/#", "/#", true),
            ("#", "#", true),
            ("#", "+/+", true),
            ("+", "+/+", false),
            ("a//b", "a/+/b", false),
            ("a/+/b", "a//b", true),
            ("/+", "/x", true),
            ("+", "/x", false),
        ] {
            assert_eq!(covers(&filter(outer), &filter(inner)), expected, "{outer} over {inner}");
        }
    }

    #[test]
    fn wildcards_in_the_first_place_do_not_cover_dollar_topics() {
        for (outer, inner, expected) in [
            ("#", "$SYS/#", false),
            ("+/#", "$SYS/broker/uptime", false),
            ("#", "$SYS", false),
            ("$SYS/#", "$SYS/broker/+", true),
            ("$SYS/#", "#", false),
            ("$SYS/+", "+/uptime", false),
        ] {
            assert_eq!(covers(&filter(outer), &filter(inner)), expected, "{outer} over {inner}");
        }
    }

    #[test]
    fn a_shared_subscription_is_judged_by_its_pattern() {
        for (outer, inner, expected) in [
            ("a/#", "$share/g/a/b", true),
            ("a/#", "$share/g/b", false),
            ("#", "$share/g/#", true),
            ("#", "$share/g/$SYS/#", false),
            ("a/+", "$share/a/a/#", false),
        ] {
            assert_eq!(covers(&filter(outer), &filter(inner)), expected, "{outer} over {inner}");
        }
    }

    /// Levels for random filters and topics. `z` is in no filter: it stands for all names that a filter does not spell.
    fn filters() -> impl Strategy<Value = String> {
        let level = prop::sample::select(vec!["", "a", "b", "$x", "+"]);
        (prop::collection::vec(level, 0..4), any::<bool>()).prop_filter_map("empty", |(levels, rest)| {
            let mut levels = levels;
            if rest {
                levels.push("#");
            }
            let text = levels.join("/");
            (!text.is_empty()).then_some(text)
        })
    }

    fn every_topic_of_up_to_five_levels() -> Vec<Topic> {
        let mut texts = vec![String::new()];
        let mut topics = Vec::new();
        for depth in 0..5 {
            let join = |text: &String, level: &str| {
                if depth == 0 { level.to_owned() } else { format!("{text}/{level}") }
            };
            texts =
                texts.iter().flat_map(|t| ["", "a", "b", "$x", "z"].map(|level| join(t, level))).collect();
            topics.extend(texts.iter().filter_map(|text| Topic::parse(text.clone()).ok()));
        }
        topics
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn covering_and_overlapping_agree_with_matching_every_topic(outer in filters(), inner in filters()) {
            let (outer, inner) = (filter(&outer), filter(&inner));
            let topics = every_topic_of_up_to_five_levels();
            let both = topics.iter().any(|topic| outer.matches(topic) && inner.matches(topic));
            let only_inner = topics.iter().any(|topic| inner.matches(topic) && !outer.matches(topic));
            prop_assert_eq!(covers(&outer, &inner), !only_inner, "{} over {}", &outer, &inner);
            // `/#` reaches its parent level as well, which would be an empty topic: there is none.
            let reaches_empty = [&outer, &inner].into_iter().any(|filter| filter.as_str() == "/#");
            prop_assert!(overlaps(&outer, &inner) == both || reaches_empty, "{} and {}", &outer, &inner);
        }
    }
}
