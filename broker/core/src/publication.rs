//! A message finds the sessions that want it, and waits in each (3.3.4).
//!
//! Not here: how it got here (`connection::publish`, `session::will`), when it leaves (`delivery`).

use std::sync::Arc;
use std::time::Duration;

use rivulet_protocol::{Message, QoS};

use crate::broker::Broker;
use crate::cause::{CloseCause, Overload};
use crate::durable::{DeliveryTerms, Durable, Record};
use crate::event::DropReason;
use crate::limits::OnFullQueue;
use crate::router::{Load, Recipient};
use crate::session::Session;
use crate::session::queue::{Waiting, bytes_of};
use crate::{Event, Instant, Limits, MessageKey, Now, Position, SessionKey, WallTime};

/// Who publishes a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Publisher {
    /// The client of this session.
    Client(SessionKey),
    /// The broker, for the client of this session.
    Will(SessionKey),
    /// The broker, for itself.
    Broker,
}

impl Publisher {
    /// Whose No Local subscriptions stay without the message [MQTT-3.8.3-3].
    fn session(self) -> Option<SessionKey> {
        match self {
            Self::Client(session) | Self::Will(session) => Some(session),
            Self::Broker => None,
        }
    }
}

/// Whom a message has reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Reach {
    /// How many subscribers want it.
    pub(crate) wanted: usize,
    /// How many of their sessions took it; the others had no room, or their client is away.
    pub(crate) taken: usize,
}

/// A message on its way into the queues: one value for all who share it.
struct Publication {
    message: Arc<Message>,
    /// For those with whom it stays for a while: shares no memory with the receive buffer, which it would keep alive.
    kept: Option<Arc<Message>>,
    stored: Option<MessageKey>,
    expires: Option<Instant>,
    expires_wall: Option<WallTime>,
}

impl Publication {
    fn new(now: Now, message: Message) -> Self {
        let lifetime =
            message.properties.message_expiry_secs.map(|secs| Duration::from_secs(u64::from(secs)));
        Self {
            message: Arc::new(message),
            kept: None,
            stored: None,
            expires: lifetime.map(|lifetime| now.instant + lifetime),
            expires_wall: lifetime.map(|lifetime| now.wall + lifetime),
        }
    }

    /// A message that is taken from one session, for another.
    fn again(now: Now, waiting: &Waiting) -> Self {
        Self {
            message: Arc::clone(&waiting.message),
            kept: None,
            stored: None,
            expires: waiting.expires,
            expires_wall: waiting.expires.map(|expires| now.wall + (expires - now.instant)),
        }
    }

    fn kept(&mut self) -> Arc<Message> {
        let Self { message, kept, .. } = self;
        Arc::clone(kept.get_or_insert_with(|| Arc::new(message.detach())))
    }

    /// The message in the store, written once however many refer to it.
    fn stored(&mut self, durable: &mut Durable) -> MessageKey {
        if let Some(key) = self.stored {
            return key;
        }
        let message = self.kept();
        *self.stored.insert(durable.store(message, self.expires_wall))
    }
}

impl Broker {
    /// Gives a message to all sessions that want it, and keeps it if it is to be retained.
    pub(crate) fn publish(&mut self, now: Now, publisher: Publisher, message: Message) -> Reach {
        let mut publication = Publication::new(now, message);
        if publication.message.retain {
            match publisher {
                Publisher::Client(_) | Publisher::Will(_) => self.retain(now, &mut publication),
                Publisher::Broker => drop(self.retained.set(&publication.message, None)),
            }
        }
        let mut recipients = std::mem::take(&mut self.step.recipients);
        let sessions = &self.sessions;
        let load = |key| sessions.get(key).map_or(Load::Offline, load_of);
        self.router.matches(&publication.message.topic, publisher.session(), load, &mut recipients);
        let mut reach = Reach { wanted: recipients.len(), taken: 0 };
        for recipient in recipients.drain(..) {
            reach.taken += usize::from(self.take(&mut publication, recipient));
        }
        self.step.recipients = recipients;
        if let Publisher::Client(_) = publisher {
            self.outbox.event(Event::Published { recipients: reach.taken });
        }
        reach
    }

    /// Gives a message that a member of a shared subscription leaves behind to another member, if there is one.
    pub(crate) fn publish_to_group(&mut self, now: Now, waiting: &Waiting) {
        let Some(share) = waiting.share.as_ref().filter(|_| !waiting.is_expired(now.instant)) else { return };
        let sessions = &self.sessions;
        let load = |key| sessions.get(key).map_or(Load::Offline, load_of);
        if let Some(recipient) = self.router.match_share(share, load) {
            self.take(&mut Publication::again(now, waiting), recipient);
        }
    }

    /// Whether there is room for a retained message. One without content needs none.
    pub(crate) fn can_retain(&self, message: &Message) -> bool {
        if message.payload.is_empty() {
            return true;
        }
        let former = self.retained.find(&message.topic).map(|kept| bytes_of(&kept.message));
        let count = self.retained.len() + usize::from(former.is_none());
        let bytes = self.retained.bytes() as u64 - former.unwrap_or(0) + bytes_of(message);
        count <= self.limits.retained_messages_max as usize && bytes <= self.limits.retained_bytes_max
    }

    /// [MQTT-3.3.1-5], [MQTT-3.3.1-6].
    fn retain(&mut self, now: Now, publication: &mut Publication) {
        let topic = &publication.message.topic;
        let is_over = publication.expires_wall.is_some_and(|expires| expires <= now.wall);
        if publication.message.payload.is_empty() || is_over {
            if self.retained.clear(topic).is_some() {
                self.durable.write_retained(topic, None);
            }
        } else if self.can_retain(&publication.message) {
            self.retained.set(&publication.message, publication.expires_wall);
            let message = publication.stored(&mut self.durable);
            self.durable.write_retained(&publication.message.topic, Some(message));
        }
    }

    /// One recipient takes its copy, or does not.
    fn take(&mut self, publication: &mut Publication, recipient: Recipient) -> bool {
        let key = recipient.session;
        let Some(session) = self.sessions.get_mut(key) else { return false };
        let qos = publication.message.qos.min(recipient.maximum_qos);
        if qos == QoS::AtMostOnce && session.connection.is_none() {
            return self.drop_message(key, DropReason::Away);
        }
        if !has_room(session, &publication.message, &self.limits) && !self.make_room(key, publication, qos) {
            return self.drop_message(key, DropReason::QueueFull);
        }
        let Some(session) = self.sessions.get_mut(key) else { return false };
        let retain = recipient.retain_as_published && publication.message.retain;
        let position = session.next_position();
        let Recipient { subscription_ids, share, .. } = recipient;
        if session.is_stored && qos != QoS::AtMostOnce {
            let message = publication.stored(&mut self.durable);
            let terms = DeliveryTerms {
                qos,
                retain,
                subscription_ids: subscription_ids.clone(),
                share: share.clone(),
            };
            self.durable.write(Record::MessageQueued { session: key, position, message, terms });
            if let Some(connection) = session.connection {
                self.durable.hold(connection);
            }
        }
        let stays = session.connection.is_none() || !session.queue.is_empty() || publication.kept.is_some();
        let message = if stays { publication.kept() } else { Arc::clone(&publication.message) };
        let expires = publication.expires;
        let waiting = Waiting { position, message, qos, retain, subscription_ids, share, expires };
        session.queue.push(recipient.flow, waiting);
        if session.connection.is_some() {
            self.make_ready(key);
        }
        true
    }

    /// A queue is full: what gives way is a matter of the limits. `false`: the message that comes.
    fn make_room(&mut self, key: SessionKey, publication: &Publication, qos: QoS) -> bool {
        if qos == QoS::AtMostOnce {
            return false;
        }
        if bytes_of(&publication.message) > self.limits.queue_bytes_max {
            // It would not fit into an empty queue: nothing has to give way for it.
            return false;
        }
        match self.limits.on_full_queue {
            OnFullQueue::DropNewest => false,
            OnFullQueue::DropOldest => {
                while let Some(session) = self.sessions.get_mut(key) {
                    if has_room(session, &publication.message, &self.limits) {
                        return true;
                    }
                    let Some(oldest) = session.queue.pop_oldest() else { return false };
                    self.forget_delivery(key, oldest.position, oldest.qos, DropReason::QueueFull);
                }
                false
            }
            OnFullQueue::Disconnect => {
                let Some(session) = self.sessions.get(key) else { return false };
                if let Some(connection) = session.connection {
                    let messages = session.queue.len();
                    self.step
                        .overloaded
                        .push((connection, CloseCause::Overload(Overload::Queue { messages })));
                }
                false
            }
        }
    }

    /// A message that was taken is dropped.
    pub(crate) fn forget_delivery(
        &mut self,
        key: SessionKey,
        position: Position,
        qos: QoS,
        reason: DropReason,
    ) {
        let is_stored = self.sessions.get(key).is_some_and(|session| session.is_stored);
        if is_stored && qos != QoS::AtMostOnce {
            self.durable.write(Record::MessageDone { session: key, position });
        }
        self.drop_message(key, reason);
    }

    /// The client is away: what was not promised does not wait for it (4.1).
    pub(crate) fn drop_for_absent(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        for _ in 0..session.queue.drop_qos_0() {
            self.drop_message(key, DropReason::Away);
        }
    }

    fn drop_message(&mut self, key: SessionKey, reason: DropReason) -> bool {
        if let Some(session) = self.sessions.get(key) {
            self.outbox.event(Event::MessageDropped { client_id: session.client_id.clone(), reason });
        }
        false
    }
}

fn load_of(session: &Session) -> Load {
    match session.connection {
        Some(_) => Load::Connected { inflight: session.inflight.len() + session.queue.len() },
        None => Load::Offline,
    }
}

fn has_room(session: &Session, message: &Message, limits: &Limits) -> bool {
    let fits_count = session.queue.len() < limits.queue_messages_max as usize;
    fits_count && session.queue.bytes() + bytes_of(message) <= limits.queue_bytes_max
}
