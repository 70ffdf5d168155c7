//! Every bound of the core: unit, default, range, and what happens at the edge.

use std::time::Duration;

use crate::router::ShareStrategy;

/// The bounds and the few choices that MQTT leaves to a server. The defaults suit an edge gateway.
///
/// Memory at worst: `sessions_max` times `queue_bytes_max`, plus `retained_bytes_max`, plus `connections_max` times
/// (`maximum_packet_bytes` and what the transport buffers).
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Connections at a time. Default 100,000. Range 1 to `u32::MAX`. At the edge: closed before CONNECT is read.
    pub connections_max: u32,
    /// How long a connection may take from its opening to CONNACK, authentication included. Default 10 s. Range
    /// 1 ms and up. At the edge: closed.
    pub connect_timeout: Duration,
    /// Packets kept of one client while its authentication is under way. Default 64. Range 0 and up. At the edge:
    /// closed with Quota exceeded. The flow is paused meanwhile, so only what was on its way already comes.
    pub early_packets_max: u32,
    /// Whether MQTT 3.1 (`MQIsdp`) is served, as 3.1.1 with its own rule on client identifiers. Default yes. If not:
    /// refused with Unsupported Protocol Version.
    pub allow_v3_1: bool,

    /// Largest packet taken, fixed header included, in bytes. Default 1 MiB. Range 1 KiB to 268,435,460. Enforced by
    /// the decoder; told to 5.0 clients in CONNACK.
    pub maximum_packet_bytes: u32,
    /// QoS 1 and 2 messages that a client may have unacknowledged towards us (4.9). Default 1,024. Range 1 to 65,535.
    /// At the edge: disconnected with Receive Maximum exceeded. 3.1.1 clients cannot be told, and are not held to it.
    pub receive_maximum: u16,
    /// QoS 1 and 2 messages sent to one client and not acknowledged; a lower receive maximum of the client wins.
    /// Default 128. Range 1 to 65,535. At the edge: messages wait in the queue.
    pub inflight_max: u16,
    /// Topic aliases that a client may define (3.3.2.3.4). Default 32. Range 0 to 65,535. At the edge: disconnected
    /// with Topic Alias invalid.
    pub topic_alias_maximum: u16,
    /// Topic aliases that we define towards one client; a lower maximum of the client wins. Default 32. Range 0 to
    /// 65,535. At the edge: further topics are sent by name.
    pub outbound_topic_alias_max: u16,
    /// Longest keep alive in seconds. Default 0: no bound. Range 0 to 65,535. At the edge: a 5.0 client is given this
    /// period (3.2.2.3.14); 3.1.1 clients keep their own.
    pub keep_alive_max_secs: u16,

    /// Sessions, connected or not. Default 200,000. Range 1 and up. At the edge: CONNECT is refused with Quota
    /// exceeded.
    pub sessions_max: u32,
    /// Longest session expiry interval in seconds. Default 7 days. Range 0 to `u32::MAX`, which means no bound. At the
    /// edge: shortened, and told in CONNACK (3.2.2.3.2).
    pub session_expiry_max_secs: u32,
    /// How long the session of a 3.1.1 client with Clean Session 0 outlives its connection, in seconds. Default 7 days.
    /// Range 1 to `u32::MAX`, which means for ever.
    pub session_expiry_v3_secs: u32,
    /// Subscriptions of one session. Default 1,000. Range 1 and up. At the edge: SUBACK with Quota exceeded.
    pub subscriptions_max: u32,
    /// Levels of a topic name or filter. Default 64. Range 1 to 65,536. At the edge: Topic Name invalid or Topic Filter
    /// invalid in the acknowledgement.
    pub topic_levels_max: u32,
    /// Which member of a shared subscription gets a message. Default round robin.
    pub share_strategy: ShareStrategy,

    /// Messages that wait for one client, those in flight not counted. Default 1,000. Range 1 and up. At the edge:
    /// QoS 0 is dropped, QoS 1 and 2 follow `on_full_queue`; each drop is an event.
    pub queue_messages_max: u32,
    /// Bytes of topics and payloads that wait for one client. Default 8 MiB. Range `maximum_packet_bytes` and up. At
    /// the edge: as for `queue_messages_max`.
    pub queue_bytes_max: u64,
    /// What happens to QoS 1 and 2 when a queue is full. Default: the oldest makes room.
    pub on_full_queue: OnFullQueue,
    /// Retained messages. Default 100,000. Range 0 and up. At the edge: Quota exceeded, the message is not published.
    pub retained_messages_max: u32,
    /// Bytes of topics and payloads of retained messages. Default 256 MiB. Range 0 and up. At the edge: as for
    /// `retained_messages_max`.
    pub retained_bytes_max: u64,
    /// Whether a payload that says that it is UTF-8 is checked to be (3.3.2.3.2). Default yes. If it is not: refused
    /// with Payload format invalid.
    pub check_payload_format: bool,

    /// Packets of a flow's credit that deliveries leave for answers. Default 16. Range 1 and up. At the edge:
    /// deliveries wait in the queue; answers still go.
    pub answer_reserve_packets: u32,
    /// Deliveries made for one input. Default 1,000. Range 1 and up. At the edge: the rest is a timer that is due, so
    /// that a publish to 100,000 sessions cannot starve a PINGREQ.
    pub deliveries_per_step: u32,
    /// Deliveries to one session before it is the next one's turn. Default 32. Range 1 and up.
    pub deliveries_per_turn: u32,
    /// Timers handled for one input. Default 1,000. Range 1 and up. At the edge: the rest stays due.
    pub timers_per_step: u32,
    /// Where 5.0 clients that ask may expect responses (3.2.2.3.15): told as this, a slash and the client identifier.
    /// Default none: nothing is told.
    pub response_topic_prefix: Option<String>,
}

/// What gives way when a session's queue is full (4.9 leaves it to the server).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnFullQueue {
    /// The message that has waited longest is dropped.
    #[default]
    DropOldest,
    /// The message that comes is dropped.
    DropNewest,
    /// The message is dropped, and a connected client is disconnected with Quota exceeded.
    Disconnect,
}

const SEVEN_DAYS_SECS: u32 = 7 * 24 * 60 * 60;
const MIB: u32 = 1 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 100_000,
            connect_timeout: Duration::from_secs(10),
            early_packets_max: 64,
            allow_v3_1: true,
            maximum_packet_bytes: MIB,
            receive_maximum: 1024,
            inflight_max: 128,
            topic_alias_maximum: 32,
            outbound_topic_alias_max: 32,
            keep_alive_max_secs: 0,
            sessions_max: 200_000,
            session_expiry_max_secs: SEVEN_DAYS_SECS,
            session_expiry_v3_secs: SEVEN_DAYS_SECS,
            subscriptions_max: 1000,
            topic_levels_max: 64,
            share_strategy: ShareStrategy::default(),
            queue_messages_max: 1000,
            queue_bytes_max: 8 * u64::from(MIB),
            on_full_queue: OnFullQueue::default(),
            retained_messages_max: 100_000,
            retained_bytes_max: 256 * u64::from(MIB),
            check_payload_format: true,
            answer_reserve_packets: 16,
            deliveries_per_step: 1000,
            deliveries_per_turn: 32,
            timers_per_step: 1000,
            response_topic_prefix: None,
        }
    }
}
