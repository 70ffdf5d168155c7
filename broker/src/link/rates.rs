//! How fast connections may come: all together, and from one address.
//!
//! An address is charged for what it has proven to be its own: a datagram with a forged sender must not lock out whom it
//! names. Of the addresses, those that came last are remembered.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use quick_cache::unsync::Cache;
use tokio::time::Instant;

use crate::rate::{Bucket, ConnectionRates, Rate};

/// Addresses that are remembered. One that is forgotten has its whole burst again.
const ADDRESSES_MAX: usize = 100_000;

/// The least time between two lines that say that connections are refused: there are as many as somebody likes to open.
const TOLD_PAUSE: Duration = Duration::from_secs(10);

/// What is left of the rates.
#[derive(Debug)]
pub(crate) struct ArrivalRates {
    limits: ConnectionRates,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    all: Bucket,
    addresses: Cache<IpAddr, Bucket>,
    told: Option<Instant>,
}

impl ArrivalRates {
    /// With all that can be saved up.
    pub(crate) fn new(limits: ConnectionRates, now: Instant) -> Self {
        let addresses = Cache::new(limits.per_address.map_or(0, |_| ADDRESSES_MAX));
        let state = State { all: Bucket::full(now), addresses, told: None };
        Self { limits, state: Mutex::new(state) }
    }

    /// Whether one more may come from this address.
    pub(crate) fn has_room(&self, address: IpAddr, now: Instant) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let has_one =
            |bucket: Bucket, rate: Option<Rate>| rate.is_none_or(|rate| bucket.wait(rate, now).is_zero());
        let of_address = state.addresses.peek(&network_of(address)).copied().unwrap_or(Bucket::full(now));
        has_one(of_address, self.limits.per_address) && has_one(state.all, self.limits.all)
    }

    /// Counts one that comes, from wherever.
    pub(crate) fn take(&self, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rate) = self.limits.all {
            state.all.take(rate, 1, now);
        }
    }

    /// Counts one that has come from this address.
    pub(crate) fn take_from(&self, address: IpAddr, now: Instant) {
        let Some(rate) = self.limits.per_address else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let key = network_of(address);
        let mut bucket = state.addresses.get(&key).copied().unwrap_or(Bucket::full(now));
        bucket.take(rate, 1, now);
        state.addresses.insert(key, bucket);
    }

    /// Whether it is time to say that connections are refused; counts as said.
    pub(crate) fn is_to_be_told(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = state.told.is_none_or(|told| now.saturating_duration_since(told) >= TOLD_PAUSE);
        if is_due {
            state.told = Some(now);
        }
        is_due
    }
}

/// What counts as one address: of IPv6 the network of 64 bits, which one household or host has for itself.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn per_second(number: u32) -> Option<Rate> {
        Some(Rate { per_second: NonZeroU32::new(number).unwrap(), burst: Duration::from_secs(1) })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn come(rates: &ArrivalRates, address: &str, now: Instant) -> bool {
        let has_room = rates.has_room(ip(address), now);
        if has_room {
            rates.take(now);
            rates.take_from(ip(address), now);
        }
        has_room
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_comes_too_often_does_not_keep_others_out() {
        let now = Instant::now();
        let rates =
            ArrivalRates::new(ConnectionRates { all: per_second(10), per_address: per_second(2) }, now);
        let came = (0..100).filter(|_| come(&rates, "192.0.2.1", now)).count();
        assert_eq!(came, 2);
        assert!(come(&rates, "192.0.2.2", now));
        assert!(come(&rates, "192.0.2.1", now + Duration::from_millis(500)));
    }

    #[tokio::test(start_paused = true)]
    async fn all_together_have_a_rate_of_their_own() {
        let now = Instant::now();
        let rates = ArrivalRates::new(ConnectionRates { all: per_second(10), per_address: None }, now);
        let came = (0..100).filter(|last| come(&rates, &format!("192.0.2.{last}"), now)).count();
        assert_eq!(came, 10);
        assert!(come(&rates, "192.0.2.1", now + Duration::from_millis(100)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_of_64_bits_is_one_address_and_ipv4_in_ipv6_is_ipv4() {
        let now = Instant::now();
        let rates = ArrivalRates::new(ConnectionRates { all: None, per_address: per_second(1) }, now);
        assert!(come(&rates, "2001:db8::1", now) && !come(&rates, "2001:db8::ffff:2", now));
        assert!(come(&rates, "2001:db8:0:1::1", now));
        assert!(come(&rates, "::ffff:192.0.2.1", now) && !come(&rates, "192.0.2.1", now));
    }

    #[tokio::test(start_paused = true)]
    async fn without_rates_all_may_come() {
        let now = Instant::now();
        let rates = ArrivalRates::new(ConnectionRates::default(), now);
        assert!((0..1_000).all(|_| come(&rates, "192.0.2.1", now)));
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_are_told_now_and_then() {
        let now = Instant::now();
        let rates = ArrivalRates::new(ConnectionRates::default(), now);
        let told: Vec<_> =
            [0, 9, 10, 19, 20].map(|second| rates.is_to_be_told(now + Duration::from_secs(second))).into();
        assert_eq!(told, [true, false, true, false, true]);
    }
}
