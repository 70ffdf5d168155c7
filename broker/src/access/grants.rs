//! Lists of topic filters that a token or the hook brings along. They narrow what the access rules allow and never
//! widen it: a list that is there must cover what the client asks for, and the rules must allow it as well.

use rivulet_protocol::{Topic, TopicFilter};
use serde::Deserialize;

use super::acl::covers;
use super::shown;

/// Most filters that one list may have. One more refuses the client.
pub const FILTERS_MAX: usize = 64;

/// What a token or the hook limits a client to; a list that is not there limits nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Grants {
    publish: Option<Box<[TopicFilter]>>,
    subscribe: Option<Box<[TopicFilter]>>,
}

/// The lists as they are written.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Lists {
    #[serde(default)]
    pub(super) publish: Option<Vec<String>>,
    #[serde(default)]
    pub(super) subscribe: Option<Vec<String>>,
}

/// What is wrong with a list.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum GrantFault {
    /// An element is no topic filter, or has a share name.
    #[error("list `{list}` holds `{filter}`, which is no topic filter")]
    Filter {
        /// Which list.
        list: &'static str,
        /// What stands there, shortened.
        filter: String,
    },
    /// Too long.
    #[error("list `{list}` has {count} filters, we allow {FILTERS_MAX}")]
    TooMany {
        /// Which list.
        list: &'static str,
        /// How long it is.
        count: usize,
    },
}

impl Grants {
    pub(super) fn parse(lists: Lists) -> Result<Self, GrantFault> {
        let publish = lists.publish.map(|list| filters("publish", list)).transpose()?;
        let subscribe = lists.subscribe.map(|list| filters("subscribe", list)).transpose()?;
        Ok(Self { publish, subscribe })
    }

    /// Whether the client may publish there, as far as the lists are concerned.
    pub fn may_publish(&self, topic: &Topic) -> bool {
        reaches(self.publish.as_deref(), |filter| filter.matches(topic))
    }

    /// Whether the client may subscribe to all of this, as far as the lists are concerned.
    pub fn may_subscribe(&self, wanted: &TopicFilter) -> bool {
        reaches(self.subscribe.as_deref(), |filter| covers(filter, wanted))
    }

    /// Whether the client may receive what was published there, as far as the lists are concerned.
    pub fn may_receive(&self, topic: &Topic) -> bool {
        reaches(self.subscribe.as_deref(), |filter| filter.matches(topic))
    }
}

fn filters(list: &'static str, texts: Vec<String>) -> Result<Box<[TopicFilter]>, GrantFault> {
    if texts.len() > FILTERS_MAX {
        return Err(GrantFault::TooMany { list, count: texts.len() });
    }
    let parse = |text: String| {
        let fault = GrantFault::Filter { list, filter: shown(&text) };
        TopicFilter::parse(text).ok().filter(|filter| filter.share_name().is_none()).ok_or(fault)
    };
    texts.into_iter().map(parse).collect()
}

fn reaches(list: Option<&[TopicFilter]>, applies: impl Fn(&TopicFilter) -> bool) -> bool {
    list.is_none_or(|filters| filters.iter().any(applies))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(publish: Option<&[&str]>, subscribe: Option<&[&str]>) -> Result<Grants, GrantFault> {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Grants::parse(Lists { publish: publish.map(list), subscribe: subscribe.map(list) })
    }

    fn topic(text: &str) -> Topic {
        Topic::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn a_list_that_is_there_limits_and_one_that_is_not_does_not() {
        let grants = grants(Some(&["a/+", "b"]), None).unwrap();
        assert!(grants.may_publish(&topic("a/x")) && grants.may_publish(&topic("b")));
        assert!(!grants.may_publish(&topic("c")));
        assert!(grants.may_receive(&topic("c")));
        assert!(Grants::default().may_publish(&topic("c")));
    }

    #[test]
    fn an_empty_list_allows_nothing() {
        let grants = grants(Some(&[]), Some(&[])).unwrap();
        let filter = TopicFilter::parse("a").unwrap();
        assert!(
            !grants.may_publish(&topic("a"))
                && !grants.may_receive(&topic("a"))
                && !grants.may_subscribe(&filter)
        );
    }

    #[test]
    fn a_subscription_must_be_covered_by_one_filter_of_the_list() {
        let grants = grants(None, Some(&["a/#"])).unwrap();
        for (wanted, expected) in
            [("a/+/x", true), ("#", false), ("$share/g/a/b", true), ("$share/g/#", false)]
        {
            assert_eq!(grants.may_subscribe(&TopicFilter::parse(wanted).unwrap()), expected, "{wanted}");
        }
    }

    #[test]
    fn a_list_with_something_else_than_filters_is_refused() {
        for filter in ["", "a/#/b", "$share/g/a", "a\0"] {
            assert!(matches!(grants(Some(&[filter]), None), Err(GrantFault::Filter { list: "publish", .. })));
        }
        let many = ["a"; FILTERS_MAX + 1];
        let fault = GrantFault::TooMany { list: "subscribe", count: FILTERS_MAX + 1 };
        assert_eq!(grants(None, Some(&many)), Err(fault));
    }
}
