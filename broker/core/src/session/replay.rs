//! Retained messages on their way to a new subscription (3.3.1.3): a cursor, never a list.

use rivulet_protocol::{Topic, TopicFilter};

use crate::router::Subscribed;

/// One subscription that is shown the retained messages.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) filter: TopicFilter,
    pub(crate) terms: Subscribed,
    /// The last topic that was shown.
    pub(crate) after: Option<Topic>,
}
