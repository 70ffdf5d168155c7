//! What it costs to find the subscribers of a topic among 1, 1,000 and 100,000 subscriptions.
//!
//! `cargo bench -p rivulet-core --bench router`

use divan::Bencher;
use rivulet_core::router::{Load, Router, ShareStrategy, Subscribed};
use rivulet_core::{FlowKey, SessionKey};
use rivulet_protocol::packet::SubscriptionOptions;
use rivulet_protocol::{Topic, TopicFilter};

const SIZES: [u64; 3] = [1, 1_000, 100_000];

fn main() {
    divan::main();
}

/// One session for each filter that `text` makes of the numbers up to `count`.
fn router(count: u64, text: impl Fn(u64) -> String) -> Router {
    let mut router = Router::new(ShareStrategy::default());
    let terms =
        Subscribed { options: SubscriptionOptions::default(), subscription_id: None, flow: FlowKey::CONTROL };
    for number in 0..count {
        let filter = TopicFilter::parse(text(number)).expect("a filter of plain levels");
        router.subscribe(SessionKey(number), &filter, terms);
    }
    router
}

fn bench_matches(bencher: Bencher<'_, '_>, mut router: Router, topic: &str) {
    let topic = Topic::parse(topic.to_owned()).expect("a topic of plain levels");
    let mut recipients = Vec::new();
    bencher.bench_local(|| {
        router.matches(&topic, None, |_| Load::Connected { inflight: 0 }, &mut recipients);
        recipients.len()
    });
}

/// Each subscriber has a topic of its own; one of them is hit.
#[divan::bench(args = SIZES)]
fn exact_topics(bencher: Bencher<'_, '_>, count: u64) {
    bench_matches(
        bencher,
        router(count, |number| format!("site/{number}/temperature")),
        "site/0/temperature",
    );
}

/// Each subscriber has a wildcard in a branch of its own; one of them is hit.
#[divan::bench(args = SIZES)]
fn branches_with_wildcards(bencher: Bencher<'_, '_>, count: u64) {
    let text = |number| if number % 2 == 0 { format!("site/{number}/+") } else { format!("site/{number}/#") };
    bench_matches(bencher, router(count, text), "site/0/temperature");
}

/// Wildcards at the front, as dashboards have them; one of them is hit.
#[divan::bench(args = SIZES)]
fn wildcards_at_the_front(bencher: Bencher<'_, '_>, count: u64) {
    bench_matches(
        bencher,
        router(count, |number| format!("+/+/quantity-{number}/#")),
        "site/7/quantity-0/raw",
    );
}

/// Nobody wants it.
#[divan::bench(args = SIZES)]
fn no_match(bencher: Bencher<'_, '_>, count: u64) {
    bench_matches(bencher, router(count, |number| format!("site/{number}/temperature")), "site/0/humidity");
}

/// Everybody wants it: the cost of the whole list of recipients.
#[divan::bench(args = SIZES)]
fn fan_out(bencher: Bencher<'_, '_>, count: u64) {
    bench_matches(bencher, router(count, |_| "site/+/temperature".to_owned()), "site/7/temperature");
}
