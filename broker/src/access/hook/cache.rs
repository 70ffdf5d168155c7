//! Answers that are remembered for a while, under a digest of the question.
//!
//! The digest is keyed with chance of this process: who reads the memory finds no password, and no hash that could be
//! compared with a list of passwords elsewhere.

use quick_cache::sync;
use ring::hmac;
use ring::rand::SystemRandom;
use rivulet_core::Instant;

use super::HookAnswer;

const DIGEST_BYTES: usize = 32;

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Digest([u8; DIGEST_BYTES]);

pub(super) struct Cache {
    key: hmac::Key,
    answers: sync::Cache<Digest, Remembered>,
}

#[derive(Clone)]
struct Remembered {
    answer: HookAnswer,
    until: Instant,
}

impl Cache {
    /// Room for so many answers.
    pub(super) fn new(entries: usize) -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .expect("the machine gives randomness: TLS is built on it as well");
        Self { key, answers: sync::Cache::new(entries) }
    }

    pub(super) fn digest(&self, question: &[u8]) -> Digest {
        let tag = hmac::sign(&self.key, question);
        let mut digest = [0; DIGEST_BYTES];
        digest.copy_from_slice(tag.as_ref());
        Digest(digest)
    }

    pub(super) fn answer(&self, digest: &Digest, now: Instant) -> Option<HookAnswer> {
        let remembered = self.answers.get(digest)?;
        if remembered.until > now {
            return Some(remembered.answer);
        }
        self.answers.remove(digest);
        None
    }

    pub(super) fn remember(&self, digest: Digest, answer: HookAnswer, until: Instant) {
        self.answers.insert(digest, Remembered { answer, until });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_answer_is_remembered_until_its_time_is_over() {
        let cache = Cache::new(4);
        let digest = cache.digest(b"question");
        let now = Instant(1_000);
        assert_eq!(cache.answer(&digest, now), None);
        cache.remember(digest, HookAnswer::Deny, now + Duration::from_micros(10));
        assert_eq!(cache.answer(&digest, Instant(1_009)), Some(HookAnswer::Deny));
        assert_eq!(cache.answer(&digest, Instant(1_010)), None);
        assert_eq!(cache.answer(&digest, Instant(1_000)), None, "forgotten, and not merely passed over");
    }

    #[test]
    fn memory_is_bounded_by_the_number_of_answers() {
        let cache = Cache::new(8);
        for n in 0..1_000_u32 {
            cache.remember(cache.digest(&n.to_be_bytes()), HookAnswer::Ignore, Instant(1));
        }
        assert!(cache.answers.len() <= 8, "{}", cache.answers.len());
    }

    #[test]
    fn another_process_digests_the_same_question_otherwise() {
        assert_ne!(Cache::new(1).digest(b"question"), Cache::new(1).digest(b"question"));
        let cache = Cache::new(1);
        assert_eq!(cache.digest(b"question"), cache.digest(b"question"));
        assert_ne!(cache.digest(b"question"), cache.digest(b"questions"));
    }
}
