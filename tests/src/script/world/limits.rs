//! Limits by name, as scripts change them: `limits receive-maximum=2 on-full-queue=drop-newest`.

use std::str::FromStr;
use std::time::Duration;

use rivulet_core::Limits;
use rivulet_core::limits::OnFullQueue;
use rivulet_core::router::ShareStrategy;

use crate::notation::Line;

/// Applies all limits that a line names.
pub(super) fn change(limits: &mut Limits, line: &mut Line) -> Result<(), String> {
    take(line, "receive-maximum", &mut limits.receive_maximum)?;
    take(line, "inflight-max", &mut limits.inflight_max)?;
    take(line, "topic-alias-maximum", &mut limits.topic_alias_maximum)?;
    take(line, "outbound-topic-alias-max", &mut limits.outbound_topic_alias_max)?;
    take(line, "maximum-packet", &mut limits.maximum_packet_bytes)?;
    take(line, "keep-alive-max", &mut limits.keep_alive_max_secs)?;
    take(line, "connections-max", &mut limits.connections_max)?;
    take(line, "sessions-max", &mut limits.sessions_max)?;
    take(line, "session-expiry-max", &mut limits.session_expiry_max_secs)?;
    take(line, "session-expiry-v3", &mut limits.session_expiry_v3_secs)?;
    take(line, "subscriptions-max", &mut limits.subscriptions_max)?;
    take(line, "topic-levels-max", &mut limits.topic_levels_max)?;
    take(line, "queue-messages-max", &mut limits.queue_messages_max)?;
    take(line, "queue-bytes-max", &mut limits.queue_bytes_max)?;
    take(line, "retained-messages-max", &mut limits.retained_messages_max)?;
    take(line, "retained-bytes-max", &mut limits.retained_bytes_max)?;
    take(line, "answer-reserve", &mut limits.answer_reserve_packets)?;
    take(line, "deliveries-per-step", &mut limits.deliveries_per_step)?;
    take(line, "early-packets-max", &mut limits.early_packets_max)?;
    take(line, "allow-v3.1", &mut limits.allow_v3_1)?;
    if let Some(seconds) = line.number("connect-timeout")? {
        limits.connect_timeout = Duration::from_secs(seconds);
    }
    if let Some(prefix) = line.value_text("response-topic-prefix")? {
        limits.response_topic_prefix = Some(prefix);
    }
    if let Some(policy) = line.number::<String>("on-full-queue")? {
        limits.on_full_queue = match policy.as_str() {
            "drop-oldest" => OnFullQueue::DropOldest,
            "drop-newest" => OnFullQueue::DropNewest,
            "disconnect" => OnFullQueue::Disconnect,
            other => return Err(format!("{other} is no policy")),
        };
    }
    if let Some(strategy) = line.number::<String>("share-strategy")? {
        limits.share_strategy = match strategy.as_str() {
            "round-robin" => ShareStrategy::RoundRobin,
            "least-inflight" => ShareStrategy::LeastInflight,
            "sticky" => ShareStrategy::Sticky,
            other => return Err(format!("{other} is no strategy")),
        };
    }
    Ok(())
}

fn take<T: FromStr>(line: &mut Line, name: &str, limit: &mut T) -> Result<(), String> {
    if let Some(value) = line.number(name)? {
        *limit = value;
    }
    Ok(())
}
