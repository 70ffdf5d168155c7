//! `[limits]`, `[quic]` and `[sys]`: every bound, with default and range.

use std::num::NonZeroU32;
use std::time::Duration;

use rivulet_core::Limits;
use rivulet_core::limits::OnFullQueue;
use rivulet_core::router::ShareStrategy;

use super::schema::Section;
use super::value::parse_duration;
use crate::rate::{ConnectionRates, PublishRates, Rate};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// The core keeps a part of the credit for answers; below this nothing would be left for messages.
const FLOW_CREDIT_MIN: u32 = 32;

/// A rate above which there is none: 1,000,000,000 per second is one per nanosecond.
const RATE_MAX: u32 = 1_000_000_000;

/// How often the topics of `$SYS` are published.
const SYS_INTERVAL: Duration = Duration::from_secs(10);

/// The word for a session expiry without bound.
const NEVER: &str = "never";

/// The bounds around the core: connections, their beginning, and their buffers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LinkLimits {
    /// QUIC handshakes in progress at one time. Default 256. At half: the address must be proven by a Retry first; at the
    /// edge: refused.
    pub handshakes: u32,
    /// How long a handshake may take. Default 10 s. At the edge: closed.
    pub handshake_timeout: Duration,
    /// How long a peer may take no byte of what waits for it. Default 30 s. At the edge: the connection is lost.
    pub write_timeout: Duration,
    /// Packets of one flow between the core and the socket. Default 256. At the edge: messages wait in the session's
    /// queue.
    pub flow_credit: u32,
    /// How many connections may come per second, all together and from one address (IPv6: one network of 64 bits), with
    /// a burst of one second. Default: as fast as they come. At the edge: refused and counted; over QUIC an address that
    /// is not proven must be first.
    pub connection_rates: ConnectionRates,
    /// How fast each client may publish: messages, and bytes of payloads, per second. Default: as fast as it likes; with
    /// a rate, what it has not used for `publish_burst` (1 s) is saved up. At the edge: it is not read until it may go on, and
    /// counted as held back.
    pub publish_rates: PublishRates,
    /// Who connects too often.
    pub flapping: FlappingLimits,
}

impl Default for LinkLimits {
    fn default() -> Self {
        Self {
            handshakes: 256,
            handshake_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            flow_credit: 256,
            connection_rates: ConnectionRates::default(),
            publish_rates: PublishRates::default(),
            flapping: FlappingLimits::default(),
        }
    }
}

/// What counts as flapping, and what comes of it: clients that connect too often are refused with Banned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FlappingLimits {
    /// Connections of one client identifier within the window. Default: as many as it likes. At the edge: banned.
    pub connects: Option<NonZeroU32>,
    /// Connections from one address within the window. Default: as many as come. At the edge: banned.
    pub connects_per_address: Option<NonZeroU32>,
    /// How long connections are counted, from the first on. Default 1 min.
    pub window: Duration,
    /// How long a ban lasts. Default 5 min.
    pub ban: Duration,
}

impl Default for FlappingLimits {
    fn default() -> Self {
        Self {
            connects: None,
            connects_per_address: None,
            window: Duration::from_secs(60),
            ban: Duration::from_secs(300),
        }
    }
}

/// What QUIC does between packets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QuicConfig {
    /// A connection on which nothing at all arrives for so long is lost; the client may ask for less. Default 5 min.
    /// Fixed at the handshake, so it is generous: MQTT's keep alive is what finds a silent client.
    pub idle_timeout: Duration,
    /// How often the broker asks whether the peer's transport is there. Default 20 s: less than the 30 s after which
    /// many QUIC stacks give up by themselves.
    pub keep_alive: Duration,
}

impl Default for QuicConfig {
    fn default() -> Self {
        Self { idle_timeout: Duration::from_secs(300), keep_alive: Duration::from_secs(20) }
    }
}

/// Reads `[limits]`.
pub(super) fn read(mut section: Section<'_>) -> (Limits, LinkLimits) {
    let core = read_core(&mut section);
    let default = LinkLimits::default();
    let link = LinkLimits {
        handshakes: section.number("handshakes", 1..=100_000, default.handshakes),
        handshake_timeout: section.duration("handshake_timeout", SECOND..=HOUR, default.handshake_timeout),
        write_timeout: section.duration("write_timeout", SECOND..=HOUR, default.write_timeout),
        flow_credit: section.number("flow_credit", FLOW_CREDIT_MIN..=65_535, default.flow_credit),
        connection_rates: read_connection_rates(&mut section),
        publish_rates: read_publish_rates(&mut section),
        flapping: read_flapping(&mut section),
    };
    section.finish();
    (core, link)
}

fn read_connection_rates(section: &mut Section<'_>) -> ConnectionRates {
    let mut rate = |key| {
        let per_second = NonZeroU32::new(section.number(key, 0..=RATE_MAX, 0))?;
        Some(Rate { per_second, burst: SECOND })
    };
    ConnectionRates { all: rate("connections_rate"), per_address: rate("connections_rate_per_address") }
}

fn read_flapping(section: &mut Section<'_>) -> FlappingLimits {
    let default = FlappingLimits::default();
    let mut connects = |key| NonZeroU32::new(section.number(key, 0..=1_000_000, 0));
    FlappingLimits {
        connects: connects("flapping_connects"),
        connects_per_address: connects("flapping_connects_per_address"),
        window: section.duration("flapping_window", SECOND..=HOUR, default.window),
        ban: section.duration("flapping_ban", SECOND..=24 * HOUR, default.ban),
    }
}

fn read_publish_rates(section: &mut Section<'_>) -> PublishRates {
    let messages = section.number("publish_rate", 0..=RATE_MAX, 0);
    let bytes = section.size("publish_bytes_rate", 0..=u64::from(RATE_MAX), 0);
    let burst = section.duration("publish_burst", SECOND..=HOUR, SECOND);
    let rate = |per_second| NonZeroU32::new(per_second).map(|per_second| Rate { per_second, burst });
    PublishRates { messages: rate(messages), bytes: rate(u32::try_from(bytes).unwrap_or(RATE_MAX)) }
}

/// Reads `[quic]`.
pub(super) fn read_quic(mut section: Section<'_>) -> QuicConfig {
    let default = QuicConfig::default();
    let quic = QuicConfig {
        idle_timeout: section.duration("idle_timeout", SECOND..=HOUR, default.idle_timeout),
        keep_alive: section.duration("keep_alive", SECOND..=HOUR, default.keep_alive),
    };
    if quic.keep_alive >= quic.idle_timeout {
        section.fault("keep_alive", "must be shorter than quic.idle_timeout");
    }
    section.finish();
    quic
}

/// Reads `[sys]`: how often, and `None` for never.
pub(super) fn read_sys(mut section: Section<'_>) -> Option<Duration> {
    let interval = section.duration("interval", Duration::ZERO..=HOUR, SYS_INTERVAL);
    if !interval.is_zero() && interval < SECOND {
        section.fault("interval", "must be 0s for never, or at least 1s");
    }
    section.finish();
    Some(interval).filter(|interval| !interval.is_zero())
}

fn read_core(section: &mut Section<'_>) -> Limits {
    let mut limits = Limits::default();
    limits.connections_max = section.number("connections", 1..=1_000_000, limits.connections_max);
    limits.connect_timeout = section.duration("connect_timeout", SECOND..=HOUR, limits.connect_timeout);
    limits.allow_v3_1 = section.boolean("allow_v3_1", limits.allow_v3_1);
    let packet = section.size("maximum_packet", 1_024..=268_435_460, u64::from(limits.maximum_packet_bytes));
    limits.maximum_packet_bytes = u32::try_from(packet).unwrap_or(limits.maximum_packet_bytes);
    limits.receive_maximum = section.number("receive_maximum", 1..=65_535, limits.receive_maximum);
    limits.inflight_max = section.number("inflight", 1..=65_535, limits.inflight_max);
    limits.topic_alias_maximum =
        section.number("topic_alias_maximum", 0..=65_535, limits.topic_alias_maximum);
    limits.outbound_topic_alias_max =
        section.number("outbound_topic_aliases", 0..=65_535, limits.outbound_topic_alias_max);
    let keep_alive = Duration::from_secs(u64::from(limits.keep_alive_max_secs));
    let keep_alive =
        section.duration("keep_alive_max", Duration::ZERO..=seconds(u32::from(u16::MAX)), keep_alive);
    limits.keep_alive_max_secs = u16::try_from(keep_alive.as_secs()).unwrap_or(limits.keep_alive_max_secs);
    read_sessions(section, &mut limits);
    limits.queue_messages_max = section.number("queue_messages", 1..=1_000_000, limits.queue_messages_max);
    limits.queue_bytes_max = section.size("queue_bytes", 1_024..=1 << 40, limits.queue_bytes_max);
    let choices = [
        ("drop_oldest", OnFullQueue::DropOldest),
        ("drop_newest", OnFullQueue::DropNewest),
        ("disconnect", OnFullQueue::Disconnect),
    ];
    limits.on_full_queue = section.choice("on_full_queue", &choices).unwrap_or(limits.on_full_queue);
    limits.retained_messages_max =
        section.number("retained_messages", 0..=100_000_000, limits.retained_messages_max);
    limits.retained_bytes_max = section.size("retained_bytes", 0..=1 << 40, limits.retained_bytes_max);
    limits.check_payload_format = section.boolean("check_payload_format", limits.check_payload_format);
    limits.response_topic_prefix = section.text("response_topic_prefix").map(str::to_owned);
    if limits.queue_bytes_max < u64::from(limits.maximum_packet_bytes) {
        section.fault("queue_bytes", "must be at least limits.maximum_packet");
    }
    limits
}

fn read_sessions(section: &mut Section<'_>, limits: &mut Limits) {
    limits.sessions_max = section.number("sessions", 1..=100_000_000, limits.sessions_max);
    limits.session_expiry_max_secs = expiry(section, "session_expiry_max", limits.session_expiry_max_secs);
    limits.session_expiry_v3_secs = expiry(section, "session_expiry_v3", limits.session_expiry_v3_secs);
    limits.subscriptions_max = section.number("subscriptions", 1..=10_000_000, limits.subscriptions_max);
    limits.topic_levels_max = section.number("topic_levels", 1..=65_536, limits.topic_levels_max);
    let choices = [
        ("round_robin", ShareStrategy::RoundRobin),
        ("least_inflight", ShareStrategy::LeastInflight),
        ("sticky", ShareStrategy::Sticky),
    ];
    limits.share_strategy = section.choice("share_strategy", &choices).unwrap_or(limits.share_strategy);
}

/// Seconds up to what four bytes hold, whose largest value means without end.
fn expiry(section: &mut Section<'_>, key: &'static str, default: u32) -> u32 {
    let parse = |text: &str| match text {
        NEVER => Some(u32::MAX),
        text => parse_duration(text).and_then(|duration| u32::try_from(duration.as_secs()).ok()),
    };
    section.parsed(key, "a duration such as \"7d\", or \"never\"", parse).unwrap_or(default)
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(u64::from(count))
}
