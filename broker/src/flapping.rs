//! Clients that connect again and again: after so many connections within a while they are banned for another. The
//! connection that fills the number stands; the next one is refused.
//!
//! Two devices with one client identifier take the session over from each other without end, and a device that crashes on
//! what it is sent comes back for more. A client identifier counts when its client was let in, so that nobody can have
//! another's banned; an address counts with each CONNECT. Of both, those that came last are remembered.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;

use quick_cache::unsync::Cache;
use rivulet_core::Instant;
use rivulet_protocol::ClientId;

use crate::config::FlappingLimits;

/// Client identifiers, and addresses, that are remembered.
const REMEMBERED_MAX: usize = 100_000;

/// Who has connected how often, and who is banned.
#[derive(Debug)]
pub(crate) struct Flapping {
    limits: FlappingLimits,
    clients: Visits<ClientId>,
    addresses: Visits<IpAddr>,
}

impl Flapping {
    /// Nobody has come yet.
    pub(crate) fn new(limits: FlappingLimits) -> Self {
        let room = |max: Option<NonZeroU32>| max.map_or(0, |_| REMEMBERED_MAX);
        let clients = Visits(Cache::new(room(limits.connects)));
        let addresses = Visits(Cache::new(room(limits.connects_per_address)));
        Self { limits, clients, addresses }
    }

    /// Whether a client that sends CONNECT is banned.
    pub(crate) fn is_banned(
        &self,
        now: Instant,
        client_id: Option<&ClientId>,
        address: Option<IpAddr>,
    ) -> bool {
        client_id.is_some_and(|client_id| self.clients.is_banned(now, client_id))
            || address.is_some_and(|address| self.addresses.is_banned(now, &address.to_canonical()))
    }

    /// Counts a CONNECT from an address. `true`: the address is banned from here on.
    pub(crate) fn on_connect(&mut self, now: Instant, address: IpAddr) -> bool {
        let Some(max) = self.limits.connects_per_address else { return false };
        self.addresses.count(now, address.to_canonical(), max, &self.limits)
    }

    /// Counts a client that was let in. `true`: it is banned from here on.
    pub(crate) fn on_connected(&mut self, now: Instant, client_id: &ClientId) -> bool {
        let Some(max) = self.limits.connects else { return false };
        self.clients.count(now, client_id.clone(), max, &self.limits)
    }
}

#[derive(Debug)]
struct Visits<K>(Cache<K, Visit>);

#[derive(Clone, Copy, Debug)]
struct Visit {
    count: u32,
    first: Instant,
    banned_until: Option<Instant>,
}

impl<K: Clone + Eq + Hash> Visits<K> {
    fn is_banned(&self, now: Instant, who: &K) -> bool {
        self.0.peek(who).and_then(|visit| visit.banned_until).is_some_and(|until| until > now)
    }

    fn count(&mut self, now: Instant, who: K, max: NonZeroU32, limits: &FlappingLimits) -> bool {
        let begun = Visit { count: 0, first: now, banned_until: None };
        let mut visit = match self.0.get(&who) {
            Some(visit) if now - visit.first < limits.window => *visit,
            Some(_) | None => begun,
        };
        visit.count = visit.count.saturating_add(1);
        let is_too_often = visit.count >= max.get();
        if is_too_often {
            visit = Visit { banned_until: Some(now + limits.ban), ..begun };
        }
        self.0.insert(who, visit);
        is_too_often
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);
    const BAN: Duration = Duration::from_secs(300);

    fn flapping(connects: u32, connects_per_address: u32) -> Flapping {
        let (connects, connects_per_address) =
            (NonZeroU32::new(connects), NonZeroU32::new(connects_per_address));
        Flapping::new(FlappingLimits { connects, connects_per_address, window: WINDOW, ban: BAN })
    }

    fn id(name: &str) -> ClientId {
        ClientId::parse(name.to_owned()).unwrap()
    }

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    #[test]
    fn a_client_that_connects_too_often_is_banned_for_a_while_and_others_are_not() {
        let mut flapping = flapping(3, 0);
        for second in 0..3 {
            assert!(!flapping.is_banned(at(second), Some(&id("a")), None));
            assert_eq!(flapping.on_connected(at(second), &id("a")), second == 2, "told once, as it begins");
        }
        assert!(flapping.is_banned(at(2), Some(&id("a")), None));
        assert!(!flapping.is_banned(at(2), Some(&id("b")), None) && !flapping.is_banned(at(2), None, None));
        assert!(flapping.is_banned(at(301), Some(&id("a")), None));
        assert!(!flapping.is_banned(at(302), Some(&id("a")), None));
        assert!(!flapping.on_connected(at(302), &id("a")), "it begins anew");
    }

    #[test]
    fn connections_that_are_far_apart_do_not_add_up() {
        let mut flapping = flapping(3, 0);
        for minute in 0..100 {
            assert!(!flapping.on_connected(at(60 * minute), &id("a")));
            assert!(!flapping.on_connected(at(60 * minute + 59), &id("a")));
        }
    }

    #[test]
    fn an_address_counts_on_its_own() {
        let mut flapping = flapping(0, 2);
        let (address, mapped) = ("192.0.2.1".parse().unwrap(), "::ffff:192.0.2.1".parse().unwrap());
        assert!(!flapping.on_connect(at(0), address) && flapping.on_connect(at(0), mapped));
        assert!(flapping.is_banned(at(0), Some(&id("a")), Some(address)));
        assert!(!flapping.is_banned(at(0), Some(&id("a")), "192.0.2.2".parse().ok()));
    }

    #[test]
    fn without_limits_nobody_is_banned() {
        let mut flapping = flapping(0, 0);
        let address = "192.0.2.1".parse().unwrap();
        for _ in 0..1_000 {
            assert!(!flapping.on_connect(at(0), address) && !flapping.on_connected(at(0), &id("a")));
        }
        assert!(!flapping.is_banned(at(0), Some(&id("a")), Some(address)));
    }
}
