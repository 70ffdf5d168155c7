//! Who wants what: subscriptions by session and flow, found by topic name (3.8.4, 4.7); and retained messages.
//!
//! ```text
//!  topic -> [ tree ] -> subscriptions of sessions --> one recipient per session and flow
//!                   \-> share groups, one member --> one recipient per group
//! ```
//!
//! A subscription belongs to the flow that made it: the same filter on two flows is two subscriptions, and two
//! deliveries. Whole sessions are the unit of forgetting.
//!
//! Not here: what a session may read (`access`), who is connected (the caller says), queues (`session`).

mod retained;
mod share;
mod tree;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rivulet_protocol::packet::SubscriptionOptions;
use rivulet_protocol::{QoS, SubscriptionId, Topic, TopicFilter};

pub use self::retained::{Retained, RetainedMessage};
use self::share::Group;
pub use self::share::{Share, ShareStrategy};
use self::tree::{Slot, TopicTree};
use crate::{FlowKey, SessionKey};

/// The terms of one subscription.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Subscribed {
    /// 3.8.3.1.
    pub options: SubscriptionOptions,
    /// What the client wants to be reminded of (3.8.2.1.2).
    pub subscription_id: Option<SubscriptionId>,
    /// Where its messages go.
    pub flow: FlowKey,
}

impl Default for Subscribed {
    fn default() -> Self {
        Self { options: SubscriptionOptions::default(), subscription_id: None, flow: FlowKey::CONTROL }
    }
}

/// One copy of a message that is to be delivered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recipient {
    /// Whose.
    pub session: SessionKey,
    /// Where it is to go.
    pub flow: FlowKey,
    /// The highest level of all its matching subscriptions [MQTT-3.3.4-2].
    pub maximum_qos: QoS,
    /// Whether one of them keeps the RETAIN flag of the publisher (3.8.3.1).
    pub retain_as_published: bool,
    /// The identifiers of all of them that have one, repetitions included [MQTT-3.3.4-4].
    pub subscription_ids: Vec<SubscriptionId>,
    /// The shared subscription that it comes from: then it is the only copy of its group (4.8.2).
    pub share: Option<Share>,
}

/// How busy a session is, in order of preference.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Load {
    /// Its client is there.
    Connected {
        /// Messages that were sent and not yet acknowledged.
        inflight: usize,
    },
    /// Its client is away.
    Offline,
}

/// Who a subscription belongs to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Subscriber {
    session: SessionKey,
    flow: FlowKey,
}

/// All subscriptions to one pattern.
#[derive(Debug, Default)]
struct Subscribers {
    own: BTreeMap<Subscriber, Subscribed>,
    /// By the whole filter: its share name tells those of one pattern apart.
    groups: BTreeMap<Arc<TopicFilter>, Group>,
}

impl Slot for Subscribers {
    fn is_empty(&self) -> bool {
        self.own.is_empty() && self.groups.is_empty()
    }
}

impl Subscribers {
    fn insert(&mut self, filter: &TopicFilter, of: Subscriber, terms: Subscribed) -> Option<Subscribed> {
        if filter.share_name().is_none() {
            return self.own.insert(of, terms);
        }
        match self.groups.get_mut(filter) {
            Some(group) => group.insert(of, terms),
            None => self.groups.entry(Arc::new(filter.detach())).or_default().insert(of, terms),
        }
    }

    fn remove(&mut self, filter: &TopicFilter, of: Subscriber) -> Option<Subscribed> {
        if filter.share_name().is_none() {
            return self.own.remove(&of);
        }
        let group = self.groups.get_mut(filter)?;
        let removed = group.remove(of);
        if group.is_empty() {
            self.groups.remove(filter);
        }
        removed
    }

    fn terms(&self, filter: &TopicFilter, of: Subscriber) -> Option<&Subscribed> {
        match filter.share_name() {
            None => self.own.get(&of),
            Some(_) => self.groups.get(filter)?.member(of),
        }
    }

    fn len(&self) -> usize {
        self.own.len() + self.groups.values().map(Group::len).sum::<usize>()
    }
}

/// All subscriptions of a broker.
#[derive(Debug)]
pub struct Router {
    tree: TopicTree<Subscribers>,
    by_session: BTreeMap<SessionKey, BTreeSet<(TopicFilter, FlowKey)>>,
    strategy: ShareStrategy,
    /// Kept between matches for their memory.
    found: Vec<(Subscriber, Subscribed)>,
    chosen: Vec<Recipient>,
}

impl Router {
    /// No subscriptions yet.
    pub fn new(strategy: ShareStrategy) -> Self {
        Self {
            tree: TopicTree::new(),
            by_session: BTreeMap::new(),
            strategy,
            found: Vec::new(),
            chosen: Vec::new(),
        }
    }

    /// Changes how members of shared subscriptions are chosen, from the next message on.
    pub fn set_strategy(&mut self, strategy: ShareStrategy) {
        self.strategy = strategy;
    }

    /// Makes a subscription. The one that it replaces, of the same filter on the same flow, is returned
    /// [MQTT-3.8.4-3].
    pub fn subscribe(
        &mut self,
        session: SessionKey,
        filter: &TopicFilter,
        terms: Subscribed,
    ) -> Option<Subscribed> {
        let subscriber = Subscriber { session, flow: terms.flow };
        let replaced = self.tree.entry(filter.pattern()).insert(filter, subscriber, terms);
        if replaced.is_none() {
            self.by_session.entry(session).or_default().insert((filter.detach(), terms.flow));
        }
        replaced
    }

    /// Ends a subscription: the one on the control flow, else the one on the lowest flow that has it.
    pub fn unsubscribe(&mut self, session: SessionKey, filter: &TopicFilter) -> Option<Subscribed> {
        self.unsubscribe_on(session, FlowKey::CONTROL, filter)
    }

    /// Ends a subscription: the one on this flow, else the one on the lowest flow that has it. Clients end on one
    /// flow what they began on another.
    pub fn unsubscribe_on(
        &mut self,
        session: SessionKey,
        preferred: FlowKey,
        filter: &TopicFilter,
    ) -> Option<Subscribed> {
        let index = self.by_session.get(&session)?;
        let flow = if index.contains(&(filter.clone(), preferred)) {
            preferred
        } else {
            let flows = (filter.clone(), FlowKey(0))..=(filter.clone(), FlowKey(u64::MAX));
            index.range(flows).next()?.1
        };
        self.remove(session, flow, filter)
    }

    /// Ends all subscriptions of a session.
    pub fn forget(&mut self, session: SessionKey) {
        for (filter, flow) in self.by_session.remove(&session).unwrap_or_default() {
            self.remove(session, flow, &filter);
        }
    }

    /// Ends all subscriptions that a session made on one flow.
    pub fn forget_flow(&mut self, session: SessionKey, flow: FlowKey) {
        for (filter, flow) in self.filters(session, |of| of == flow) {
            self.remove(session, flow, &filter);
        }
    }

    /// Moves all subscriptions of a session to its control flow: the others ended with their connection. Where the
    /// control flow has the same filter, its own terms stay.
    pub fn gather(&mut self, session: SessionKey) {
        for (filter, flow) in self.filters(session, |of| of != FlowKey::CONTROL) {
            let Some(terms) = self.remove(session, flow, &filter) else { continue };
            if self.terms(session, FlowKey::CONTROL, &filter).is_none() {
                self.subscribe(session, &filter, Subscribed { flow: FlowKey::CONTROL, ..terms });
            }
        }
    }

    /// Finds who is to get a message that was published to a topic, and replaces the content of `recipients` with
    /// it: the sessions in order, each flow once, then the chosen members of shared subscriptions.
    ///
    /// `publisher` is the session that published; its subscriptions with No Local are left out [MQTT-3.8.3-3].
    /// `load` is asked about members of shared subscriptions.
    pub fn matches(
        &mut self,
        topic: &Topic,
        publisher: Option<SessionKey>,
        load: impl Fn(SessionKey) -> Load,
        recipients: &mut Vec<Recipient>,
    ) {
        let Self { tree, by_session: _, strategy, found, chosen } = self;
        tree.visit(topic.as_str(), |subscribers| {
            let own = subscribers.own.iter().map(|(subscriber, terms)| (*subscriber, *terms));
            found
                .extend(own.filter(|(of, terms)| !(terms.options.no_local && publisher == Some(of.session))));
            let groups = subscribers.groups.iter_mut();
            chosen.extend(groups.filter_map(|(filter, group)| {
                let (member, terms) = group.choose(*strategy, publisher, &load)?;
                let share = Share { filter: Arc::clone(filter), publisher };
                Some(Recipient::new(member.session, terms, Some(share)))
            }));
        });
        found.sort_by_key(|(subscriber, _)| *subscriber);
        recipients.clear();
        for (subscriber, terms) in found.drain(..) {
            match recipients.last_mut() {
                Some(last) if last.session == subscriber.session && last.flow == subscriber.flow => {
                    last.merge(terms)
                }
                _ => recipients.push(Recipient::new(subscriber.session, terms, None)),
            }
        }
        recipients.append(chosen);
    }

    /// Whether a shared subscription has such a member.
    pub fn has_member(&self, filter: &TopicFilter, is_such: impl Fn(SessionKey) -> bool) -> bool {
        let group = self.tree.find(filter.pattern()).and_then(|subscribers| subscribers.groups.get(filter));
        group.is_some_and(|group| group.sessions().any(is_such))
    }

    /// Finds another member for a message that a member of a shared subscription leaves behind. `None`: nobody is
    /// left.
    pub fn match_share(&mut self, share: &Share, load: impl Fn(SessionKey) -> Load) -> Option<Recipient> {
        let strategy = self.strategy;
        self.tree.change(share.filter.pattern(), |subscribers| {
            let group = subscribers.groups.get_mut(&share.filter)?;
            let (member, terms) = group.choose(strategy, share.publisher, &load)?;
            Some(Recipient::new(member.session, terms, Some(share.clone())))
        })
    }

    /// The subscriptions of a session, by filter and flow.
    pub fn subscriptions(&self, session: SessionKey) -> impl Iterator<Item = (&TopicFilter, &Subscribed)> {
        self.by_session
            .get(&session)
            .into_iter()
            .flatten()
            .filter_map(move |(filter, flow)| self.terms(session, *flow, filter).map(|terms| (filter, terms)))
    }

    /// How many subscriptions a session has.
    pub fn count(&self, session: SessionKey) -> usize {
        self.by_session.get(&session).map_or(0, BTreeSet::len)
    }

    /// The terms of one subscription.
    pub fn terms(&self, session: SessionKey, flow: FlowKey, filter: &TopicFilter) -> Option<&Subscribed> {
        self.tree.find(filter.pattern())?.terms(filter, Subscriber { session, flow })
    }

    /// Panics if tree and index disagree.
    pub fn check(&self) {
        self.tree.check();
        let mut indexed = 0;
        for (session, filters) in &self.by_session {
            assert!(!filters.is_empty(), "{session:?} is in the index without a subscription");
            indexed += filters.len();
            for (filter, flow) in filters {
                let terms = self.terms(*session, *flow, filter);
                assert_eq!(terms.map(|terms| terms.flow), Some(*flow), "{session:?} {filter} on {flow:?}");
            }
        }
        let in_tree: usize = self.tree.slots().map(Subscribers::len).sum();
        assert_eq!(indexed, in_tree, "the topic tree has subscriptions that the index does not know");
    }

    fn filters(&self, session: SessionKey, is_on: impl Fn(FlowKey) -> bool) -> Vec<(TopicFilter, FlowKey)> {
        self.by_session
            .get(&session)
            .into_iter()
            .flatten()
            .filter(|(_, flow)| is_on(*flow))
            .cloned()
            .collect()
    }

    fn remove(&mut self, session: SessionKey, flow: FlowKey, filter: &TopicFilter) -> Option<Subscribed> {
        if let Entry::Occupied(mut index) = self.by_session.entry(session) {
            index.get_mut().remove(&(filter.clone(), flow));
            if index.get().is_empty() {
                index.remove();
            }
        }
        let subscriber = Subscriber { session, flow };
        self.tree.change(filter.pattern(), |subscribers| subscribers.remove(filter, subscriber))
    }
}

impl Recipient {
    fn new(session: SessionKey, terms: Subscribed, share: Option<Share>) -> Self {
        Self {
            session,
            flow: terms.flow,
            maximum_qos: terms.options.maximum_qos,
            retain_as_published: terms.options.retain_as_published,
            subscription_ids: terms.subscription_id.into_iter().collect(),
            share,
        }
    }

    /// 3.3.4: subscriptions that overlap get one copy between them.
    fn merge(&mut self, terms: Subscribed) {
        self.maximum_qos = self.maximum_qos.max(terms.options.maximum_qos);
        self.retain_as_published |= terms.options.retain_as_published;
        self.subscription_ids.extend(terms.subscription_id);
    }
}

#[cfg(test)]
mod tests {
    use oorandom::Rand32;

    use super::*;

    const ANN: SessionKey = SessionKey(1);
    const BOB: SessionKey = SessionKey(2);
    const DATA: FlowKey = FlowKey(2);

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::parse(text.to_owned()).unwrap()
    }

    fn topic(text: &str) -> Topic {
        Topic::parse(text.to_owned()).unwrap()
    }

    fn terms(maximum_qos: QoS, subscription_id: u32) -> Subscribed {
        let options = SubscriptionOptions { maximum_qos, ..SubscriptionOptions::default() };
        Subscribed { options, subscription_id: SubscriptionId::new(subscription_id), flow: FlowKey::CONTROL }
    }

    fn on(flow: FlowKey) -> Subscribed {
        Subscribed { flow, ..Subscribed::default() }
    }

    fn matches(router: &mut Router, name: &str, publisher: Option<SessionKey>) -> Vec<Recipient> {
        let mut recipients = Vec::new();
        router.matches(&topic(name), publisher, |_| Load::Connected { inflight: 0 }, &mut recipients);
        router.check();
        recipients
    }

    fn places(recipients: &[Recipient]) -> Vec<(SessionKey, FlowKey)> {
        recipients.iter().map(|recipient| (recipient.session, recipient.flow)).collect()
    }

    /// [MQTT-3.3.4-2], [MQTT-3.3.4-4].
    #[test]
    fn overlapping_subscriptions_give_one_copy_at_the_highest_level_with_all_identifiers() {
        let mut router = Router::new(ShareStrategy::default());
        router.subscribe(ANN, &filter("a/#"), terms(QoS::AtLeastOnce, 7));
        router.subscribe(ANN, &filter("a/+"), terms(QoS::ExactlyOnce, 7));
        router.subscribe(ANN, &filter("a/b"), terms(QoS::AtMostOnce, 9));
        router.subscribe(ANN, &filter("other"), terms(QoS::ExactlyOnce, 1));
        let recipients = matches(&mut router, "a/b", None);
        assert_eq!(places(&recipients), [(ANN, FlowKey::CONTROL)]);
        assert_eq!(recipients[0].maximum_qos, QoS::ExactlyOnce);
        let mut ids: Vec<_> = recipients[0].subscription_ids.iter().map(|id| id.get()).collect();
        ids.sort_unstable();
        assert_eq!(ids, [7, 7, 9]);
    }

    /// [MQTT-3.8.4-3].
    #[test]
    fn a_repeated_subscription_replaces_the_terms_and_returns_the_old_ones() {
        let mut router = Router::new(ShareStrategy::default());
        assert_eq!(router.subscribe(ANN, &filter("a"), terms(QoS::AtMostOnce, 1)), None);
        let old = router.subscribe(ANN, &filter("a"), terms(QoS::AtLeastOnce, 2));
        assert_eq!(old, Some(terms(QoS::AtMostOnce, 1)));
        assert_eq!(router.count(ANN), 1);
        assert_eq!(matches(&mut router, "a", None)[0].maximum_qos, QoS::AtLeastOnce);
    }

    /// [MQTT-3.8.3-3].
    #[test]
    fn no_local_keeps_a_sessions_own_messages_away_and_no_others() {
        let mut router = Router::new(ShareStrategy::default());
        let options = SubscriptionOptions { no_local: true, ..SubscriptionOptions::default() };
        router.subscribe(ANN, &filter("a"), Subscribed { options, ..Subscribed::default() });
        assert_eq!(matches(&mut router, "a", Some(ANN)), []);
        assert_eq!(places(&matches(&mut router, "a", Some(BOB))), [(ANN, FlowKey::CONTROL)]);
        router.subscribe(ANN, &filter("+"), terms(QoS::AtLeastOnce, 0));
        assert_eq!(matches(&mut router, "a", Some(ANN))[0].maximum_qos, QoS::AtLeastOnce);
    }

    #[test]
    fn the_same_filter_on_two_flows_is_two_subscriptions_and_two_deliveries() {
        let mut router = Router::new(ShareStrategy::default());
        router.subscribe(ANN, &filter("a"), on(FlowKey::CONTROL));
        router.subscribe(ANN, &filter("a"), on(DATA));
        assert_eq!(places(&matches(&mut router, "a", None)), [(ANN, FlowKey::CONTROL), (ANN, DATA)]);
        router.forget_flow(ANN, DATA);
        assert_eq!(places(&matches(&mut router, "a", None)), [(ANN, FlowKey::CONTROL)]);
    }

    #[test]
    fn unsubscribe_takes_its_own_flow_first_and_then_any_other() {
        let mut router = Router::new(ShareStrategy::default());
        router.subscribe(ANN, &filter("a"), on(FlowKey::CONTROL));
        router.subscribe(ANN, &filter("a"), on(DATA));
        let unsubscribe =
            |router: &mut Router| router.unsubscribe_on(ANN, DATA, &filter("a")).map(|terms| terms.flow);
        assert_eq!(unsubscribe(&mut router), Some(DATA));
        assert_eq!(unsubscribe(&mut router), Some(FlowKey::CONTROL));
        assert_eq!(unsubscribe(&mut router), None);
        assert_eq!(matches(&mut router, "a", None), []);
    }

    #[test]
    fn subscriptions_of_lost_flows_gather_on_the_control_flow_where_its_own_terms_win() {
        let mut router = Router::new(ShareStrategy::default());
        router.subscribe(ANN, &filter("a"), terms(QoS::ExactlyOnce, 1));
        router.subscribe(ANN, &filter("a"), on(DATA));
        router.subscribe(ANN, &filter("b"), on(DATA));
        router.gather(ANN);
        assert_eq!(places(&matches(&mut router, "b", None)), [(ANN, FlowKey::CONTROL)]);
        let recipients = matches(&mut router, "a", None);
        assert_eq!(places(&recipients), [(ANN, FlowKey::CONTROL)]);
        assert_eq!(recipients[0].maximum_qos, QoS::ExactlyOnce);
        assert_eq!(router.count(ANN), 2);
    }

    /// 4.8.2.
    #[test]
    fn a_shared_subscription_gives_one_copy_per_group_beside_the_members_own() {
        let mut router = Router::new(ShareStrategy::default());
        for session in [ANN, BOB] {
            router.subscribe(session, &filter("$share/fleet/a/+"), terms(QoS::AtLeastOnce, 5));
            router.subscribe(session, &filter("$share/audit/a/+"), terms(QoS::AtLeastOnce, 6));
        }
        router.subscribe(BOB, &filter("a/b"), terms(QoS::AtMostOnce, 1));
        let recipients = matches(&mut router, "a/b", None);
        assert_eq!(places(&recipients), [BOB, ANN, ANN].map(|session| (session, FlowKey::CONTROL)));
        assert_eq!(
            recipients.iter().map(|recipient| recipient.share.is_some()).collect::<Vec<_>>(),
            [false, true, true]
        );
        assert!(router.unsubscribe(ANN, &filter("$share/fleet/a/+")).is_some());
        assert!(router.unsubscribe(ANN, &filter("a/+")).is_none());
        assert_eq!(places(&matches(&mut router, "a/c", None)), [BOB, BOB].map(|key| (key, FlowKey::CONTROL)));
    }

    #[test]
    fn forgetting_a_session_leaves_nothing_of_it() {
        let mut router = Router::new(ShareStrategy::default());
        for text in ["a/b", "a/#", "$share/fleet/a/b"] {
            router.subscribe(ANN, &filter(text), on(FlowKey::CONTROL));
            router.subscribe(ANN, &filter(text), on(DATA));
        }
        router.forget(ANN);
        assert_eq!(matches(&mut router, "a/b", None), []);
        assert_eq!((router.count(ANN), router.tree.len()), (0, 0));
    }

    /// The rules of 4.7, written a second time and differently: by recursion over lists of levels.
    fn naive(filter: &[&str], topic: &[&str], is_first: bool) -> bool {
        let is_reserved = is_first && topic[0].starts_with('$');
        match (filter, topic) {
            ([], []) => true,
            (["#"], _) => !is_reserved,
            (["+", filter @ ..], [_, topic @ ..]) => !is_reserved && naive(filter, topic, false),
            ([level, filter @ ..], [name, topic @ ..]) => level == name && naive(filter, topic, false),
            ([], _) | (_, []) => false,
        }
    }

    fn some_levels(chance: &mut Rand32, choice: &[&str]) -> String {
        let levels = chance.rand_range(1..5);
        let levels = (0..levels).map(|_| choice[chance.rand_range(0..choice.len() as u32) as usize]);
        levels.collect::<Vec<_>>().join("/")
    }

    #[test]
    fn whatever_is_subscribed_and_unsubscribed_matches_what_the_rules_say() {
        for seed in 0..100 {
            let mut chance = Rand32::new(seed);
            let mut router = Router::new(ShareStrategy::default());
            let mut wanted = BTreeSet::new();
            for _ in 0..200 {
                let mut text = some_levels(&mut chance, &["a", "b", "", "$x", "+"]);
                if chance.rand_range(0..4) == 0 {
                    text.push_str("/#");
                }
                let text = if text.is_empty() { "+".to_owned() } else { text };
                let session = SessionKey(u64::from(chance.rand_range(0..3)));
                if chance.rand_range(0..3) == 0 {
                    let ended = router.unsubscribe(session, &filter(&text)).is_some();
                    assert_eq!(ended, wanted.remove(&(session, text)));
                } else {
                    router.subscribe(session, &filter(&text), on(FlowKey::CONTROL));
                    wanted.insert((session, text));
                }
                let name = some_levels(&mut chance, &["a", "b", "", "$x"]);
                let name = if name.is_empty() { "a" } else { &name };
                let levels: Vec<_> = name.split('/').collect();
                let is_wanted = |text: &str| naive(&text.split('/').collect::<Vec<_>>(), &levels, true);
                let expected: BTreeSet<_> =
                    wanted.iter().filter(|(_, text)| is_wanted(text)).map(|(session, _)| *session).collect();
                let found: Vec<_> =
                    matches(&mut router, name, None).iter().map(|recipient| recipient.session).collect();
                assert_eq!(found, Vec::from_iter(expected), "seed {seed}, topic {name:?}, among {wanted:?}");
            }
        }
    }
}
