//! Ends of connections and streams as QUIC sees them: the one table of our codes, and how a close waits.

use std::time::Duration;

use quinn::{Connection, SendStream, VarInt};
use rivulet_core::CloseCause;

/// CONNECTION_CLOSE: nothing went wrong, or MQTT has already said what did.
const NO_ERROR: u32 = 0x00;

/// CONNECTION_CLOSE: the broker gave up on the connection and MQTT could not say so.
const UNSPECIFIED: u32 = 0xB2;

/// CONNECTION_CLOSE: the peer broke MQTT's rules.
const PROTOCOL_ERROR: u32 = 0xB4;

/// STOP_SENDING and RESET_STREAM: a stream that is not served.
const FLOW_REFUSED: u32 = 0xBE;

/// How long a peer that was told everything has to close first, in round trips and within bounds.
const LEAVE_ROUND_TRIPS: u32 = 4;
const LEAVE_MIN: Duration = Duration::from_millis(100);
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// How long the last bytes may take to be acknowledged.
const ACKNOWLEDGE_MAX: Duration = Duration::from_secs(2);

/// The code of CONNECTION_CLOSE.
///
/// It never decides about a will: a DISCONNECT does, or its absence.
const fn code(cause: &CloseCause) -> u32 {
    match cause {
        CloseCause::Client(_)
        | CloseCause::Refused(_)
        | CloseCause::TakenOver
        | CloseCause::CredentialsExpired
        | CloseCause::Operator(_)
        | CloseCause::Drain => NO_ERROR,
        CloseCause::Malformed(_) | CloseCause::Violation(_) => PROTOCOL_ERROR,
        CloseCause::KeepAlive { .. }
        | CloseCause::ConnectTimeout { .. }
        | CloseCause::Network(_)
        | CloseCause::Store(_)
        | CloseCause::Overload(_) => UNSPECIFIED,
    }
}

/// The code for a stream that is not served.
pub(super) fn flow_refused() -> VarInt {
    VarInt::from_u32(FLOW_REFUSED)
}

/// Closes a connection on which nothing waits to be sent.
pub(super) fn close_now(connection: &Connection, cause: &CloseCause) {
    connection.close(VarInt::from_u32(code(cause)), b"");
}

/// Closes a connection so that what was written last arrives.
///
/// QUIC throws away what is unsent when a connection is closed, and some clients throw away bytes that come together
/// with FIN. So the last packet is left alone on its stream first: most clients close as soon as they have read it.
/// The stream is finished for those that do not, and its acknowledgement waited for, which tells that all has arrived.
/// Both waits are bounded.
pub(super) async fn close_after_last_bytes(
    connection: &Connection,
    stream: &mut SendStream,
    cause: &CloseCause,
) {
    let leave = (connection.rtt() * LEAVE_ROUND_TRIPS).clamp(LEAVE_MIN, LEAVE_MAX);
    let has_left = tokio::time::timeout(leave, connection.closed()).await.is_ok();
    if !has_left && stream.finish().is_ok() {
        // Acknowledged, refused or too late: the connection is closed next in any case.
        drop(tokio::time::timeout(ACKNOWLEDGE_MAX, stream.stopped()).await);
    }
    close_now(connection, cause);
}
