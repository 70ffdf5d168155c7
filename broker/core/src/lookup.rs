//! A map for keys that are counters: found in constant time, and in no order that could leak into a run.

#[expect(
    clippy::disallowed_types,
    reason = "the one wrapper: iteration is in the order of the keys alone"
)]
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// From counter keys to values. The keys are ours, so nobody can choose them to collide.
#[derive(Debug)]
#[expect(clippy::disallowed_types, reason = "the one wrapper: iteration is in the order of the keys alone")]
pub(crate) struct LookupMap<K, V>(HashMap<K, V, BuildHasherDefault<CounterHasher>>);

impl<K: Copy + Eq + Hash + Ord, V> LookupMap<K, V> {
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    pub(crate) fn get(&self, key: K) -> Option<&V> {
        self.0.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.0.get_mut(&key)
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        self.0.remove(&key)
    }

    pub(crate) fn contains(&self, key: K) -> bool {
        self.0.contains_key(&key)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All keys in their order. Costs a sort: for the rare walks over everything.
    pub(crate) fn keys(&self) -> Vec<K> {
        let mut keys: Vec<K> = self.0.keys().copied().collect();
        keys.sort_unstable();
        keys
    }
}

impl<K, V> Default for LookupMap<K, V> {
    fn default() -> Self {
        Self(Default::default())
    }
}

/// Spreads a counter over 64 bits by one multiplication with 2^64 divided by the golden ratio.
#[derive(Debug, Default)]
struct CounterHasher(u64);

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Hasher for CounterHasher {
    fn finish(&self) -> u64 {
        // The map takes its buckets from the low bits, which the product has mixed least.
        self.0.rotate_right(32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(GOLDEN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_in_their_order() {
        let mut map = LookupMap::default();
        for key in [5_u64, 1, 9, 3] {
            map.insert(key, key * 2);
        }
        map.remove(9);
        assert_eq!(map.keys(), [1, 3, 5]);
        assert_eq!(map.get(5), Some(&10));
        assert_eq!(map.len(), 3);
    }
}
