//! The will: what is published if a connection ends without a goodbye (3.1.2.5, 3.1.3.2).

use std::time::Duration;

use rivulet_protocol::Message;
use rivulet_protocol::packet::{Will, WillProperties};

use crate::broker::Broker;
use crate::durable::Record;
use crate::publication::Publisher;
use crate::{ConnectionKey, Event, Now, SessionKey, Timer};

/// From the end of the connection to the publication (3.1.3.2.2).
pub(crate) fn delay(will: &Will) -> Duration {
    Duration::from_secs(u64::from(will.properties.delay_secs.unwrap_or(0)))
}

/// The message of a will. Its lifetime begins when it is published.
pub(crate) fn message(will: Will) -> Message {
    Message {
        topic: will.topic,
        qos: will.qos,
        retain: will.retain,
        payload: will.payload,
        properties: will.properties.message,
    }
}

/// A will that shares no memory with the receive buffer: it is kept for as long as the connection.
pub(crate) fn detach(will: Will) -> Will {
    let properties = will.properties.clone();
    let kept = message(will).detach();
    let properties = WillProperties { message: kept.properties, ..properties };
    Will { topic: kept.topic, payload: kept.payload, qos: kept.qos, retain: kept.retain, properties }
}

impl Broker {
    /// Keeps the will of a connection with its session, in place of a former one.
    pub(crate) fn bind_will(&mut self, connection: ConnectionKey, key: SessionKey, will: Option<Will>) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let will = will.map(Box::new);
        if session.is_stored {
            match (&session.will, &will) {
                (_, Some(will)) => self.durable.write(Record::WillSet { session: key, will: will.clone() }),
                (Some(_), None) => self.durable.write(Record::WillCleared { session: key }),
                (None, None) => return,
            }
            self.durable.hold(connection);
        }
        session.will = will;
    }

    /// Publishes the will of a session, if it has one, and takes it away.
    pub(crate) fn publish_will(&mut self, now: Now, key: SessionKey) {
        self.timers.disarm(Timer::Will(key));
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(will) = session.will.take() else { return };
        let client_id = session.client_id.clone();
        if session.is_stored {
            self.durable.write(Record::WillCleared { session: key });
        }
        let reach = self.publish(now, Publisher::Will(key), message(*will));
        self.outbox.event(Event::WillPublished { client_id, recipients: reach.taken });
    }
}

#[cfg(test)]
mod tests;
