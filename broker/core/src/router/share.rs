//! Shared subscriptions (4.8.2): a group of subscribers, one of which gets each message.
//!
//! Not here: what happens to a message whose receiver leaves before it acknowledged (`handover`).

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use rivulet_protocol::TopicFilter;

use super::{Load, Subscribed, Subscriber};
use crate::SessionKey;

/// Where the only copy of a message for a group comes from, so that another member can be found for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Share {
    /// The filter of the shared subscription, with its share name.
    pub filter: Arc<TopicFilter>,
    /// The session that published. `None`: the broker itself.
    pub publisher: Option<SessionKey>,
}

/// Which member of a shared subscription gets a message. The specification leaves the choice to the server (4.8.2).
///
/// Each strategy prefers members that are connected; a group without any gives to an absent member, whose session
/// keeps the message.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ShareStrategy {
    /// One after the other.
    #[default]
    RoundRobin,
    /// The member with the fewest unacknowledged messages; one after the other among equals.
    LeastInflight,
    /// The same member for the same publisher, for as long as that member is there: keeps a publisher's messages in
    /// order across the group.
    Sticky,
}

/// The members of one share name and filter.
#[derive(Debug, Default)]
pub(super) struct Group {
    members: BTreeMap<Subscriber, Subscribed>,
    last: Option<Subscriber>,
}

impl Group {
    pub(super) fn insert(&mut self, member: Subscriber, subscribed: Subscribed) -> Option<Subscribed> {
        self.members.insert(member, subscribed)
    }

    pub(super) fn remove(&mut self, member: Subscriber) -> Option<Subscribed> {
        self.members.remove(&member)
    }

    pub(super) fn member(&self, member: Subscriber) -> Option<&Subscribed> {
        self.members.get(&member)
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = SessionKey> {
        self.members.keys().map(|member| member.session)
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The member that gets the next message.
    pub(super) fn choose(
        &mut self,
        strategy: ShareStrategy,
        publisher: Option<SessionKey>,
        load: &impl Fn(SessionKey) -> Load,
    ) -> Option<(Subscriber, Subscribed)> {
        let (chosen, subscribed) = match strategy {
            ShareStrategy::RoundRobin => {
                let is_connected = |member: &Subscriber| load(member.session) != Load::Offline;
                self.in_turn().find(|(member, _)| is_connected(member)).or_else(|| self.in_turn().next())
            }
            ShareStrategy::LeastInflight => self.in_turn().min_by_key(|(member, _)| load(member.session)),
            ShareStrategy::Sticky => self.members.iter().max_by_key(|(member, _)| {
                (load(member.session) != Load::Offline, affinity(publisher, **member))
            }),
        }
        .map(|(member, subscribed)| (*member, *subscribed))?;
        self.last = Some(chosen);
        Some((chosen, subscribed))
    }

    /// All members, from the one after the last that was chosen.
    fn in_turn(&self) -> impl Iterator<Item = (&Subscriber, &Subscribed)> {
        let (after, until) = match self.last {
            Some(last) => {
                ((Bound::Excluded(last), Bound::Unbounded), Some((Bound::Unbounded, Bound::Included(last))))
            }
            None => ((Bound::Unbounded, Bound::Unbounded), None),
        };
        self.members.range(after).chain(until.into_iter().flat_map(|until| self.members.range(until)))
    }
}

/// How much a publisher belongs to a member. The member with the highest number gets its messages, so one that joins
/// or leaves moves only its own share of the publishers (rendezvous hashing).
fn affinity(publisher: Option<SessionKey>, member: Subscriber) -> u64 {
    let publisher = publisher.map_or(0, |session| session.0.wrapping_add(1));
    [publisher, member.session.0, member.flow.0].into_iter().fold(0, |hash, part| scatter(hash ^ part))
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): each bit of the input reaches each bit of the output.
const fn scatter(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::{Group, ShareStrategy};
    use crate::router::{Load, Subscribed, Subscriber};
    use crate::{FlowKey, SessionKey};

    const CONNECTED: Load = Load::Connected { inflight: 0 };

    fn group(members: u64) -> Group {
        let mut group = Group::default();
        for session in 0..members {
            let member = Subscriber { session: SessionKey(session), flow: FlowKey::CONTROL };
            group.insert(member, Subscribed::default());
        }
        group
    }

    fn chosen(
        group: &mut Group,
        strategy: ShareStrategy,
        publisher: u64,
        load: impl Fn(SessionKey) -> Load,
    ) -> u64 {
        group.choose(strategy, Some(SessionKey(publisher)), &load).unwrap().0.session.0
    }

    #[test]
    fn round_robin_goes_through_all_members_and_begins_again() {
        let mut group = group(3);
        let order: Vec<_> =
            (0..7).map(|_| chosen(&mut group, ShareStrategy::RoundRobin, 9, |_| CONNECTED)).collect();
        assert_eq!(order, [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn round_robin_goes_on_after_the_last_member_has_left() {
        let mut group = group(3);
        assert_eq!(chosen(&mut group, ShareStrategy::RoundRobin, 9, |_| CONNECTED), 0);
        assert_eq!(chosen(&mut group, ShareStrategy::RoundRobin, 9, |_| CONNECTED), 1);
        group.remove(Subscriber { session: SessionKey(1), flow: FlowKey::CONTROL });
        assert_eq!(chosen(&mut group, ShareStrategy::RoundRobin, 9, |_| CONNECTED), 2);
        assert_eq!(chosen(&mut group, ShareStrategy::RoundRobin, 9, |_| CONNECTED), 0);
    }

    #[test]
    fn every_strategy_prefers_the_one_member_that_is_connected() {
        let only_two = |session: SessionKey| match session.0 {
            2 => Load::Connected { inflight: 1_000 },
            _ => Load::Offline,
        };
        for strategy in [ShareStrategy::RoundRobin, ShareStrategy::LeastInflight, ShareStrategy::Sticky] {
            let mut group = group(5);
            for publisher in 0..20 {
                assert_eq!(chosen(&mut group, strategy, publisher, only_two), 2, "{strategy:?}");
            }
        }
    }

    #[test]
    fn every_strategy_gives_to_an_absent_member_where_nobody_is_connected() {
        for strategy in [ShareStrategy::RoundRobin, ShareStrategy::LeastInflight, ShareStrategy::Sticky] {
            assert!(group(2).choose(strategy, None, &|_| Load::Offline).is_some(), "{strategy:?}");
            assert!(Group::default().choose(strategy, None, &|_| Load::Offline).is_none());
        }
    }

    #[test]
    fn least_inflight_takes_the_idlest_and_turns_among_equals() {
        let mut group = group(3);
        let load = |session: SessionKey| Load::Connected { inflight: [4, 1, 1][session.0 as usize] };
        let order: Vec<_> =
            (0..4).map(|_| chosen(&mut group, ShareStrategy::LeastInflight, 9, load)).collect();
        assert_eq!(order, [1, 2, 1, 2]);
    }

    #[test]
    fn sticky_keeps_publishers_where_they_are_when_another_member_leaves() {
        let mut group = group(8);
        let place = |group: &mut Group| -> Vec<u64> {
            (0..100).map(|publisher| chosen(group, ShareStrategy::Sticky, publisher, |_| CONNECTED)).collect()
        };
        let before = place(&mut group);
        assert_eq!(before, place(&mut group));
        assert!((0..8).all(|member| before.contains(&member)), "some member gets nothing: {before:?}");
        group.remove(Subscriber { session: SessionKey(3), flow: FlowKey::CONTROL });
        for (before, after) in before.into_iter().zip(place(&mut group)) {
            assert!(before == after || before == 3, "moved from {before} to {after}");
        }
    }
}
