//! SUBSCRIBE and UNSUBSCRIBE (3.8, 3.10).

use rivulet_protocol::packet::{
    ReasonProperties, RetainHandling, SubAck, Subscribe, Subscription, UnsubAck, Unsubscribe,
};
use rivulet_protocol::{Packet, QoS, ReasonCode, SubscriptionId, TopicFilter};

use super::Connection;
use crate::broker::Broker;
use crate::durable::Record;
use crate::key::Via;
use crate::router::Subscribed;
use crate::session::replay::Replay;
use crate::{Event, Now, SessionKey, Violation};

impl Broker {
    pub(crate) fn on_subscribe(&mut self, via: Via, subscribe: Subscribe) -> Result<(), Violation> {
        let Some(key) = self.session_of(via.connection) else { return Ok(()) };
        let no_local_shared = |it: &Subscription| it.options.no_local && it.filter.share_name().is_some();
        if subscribe.subscriptions.iter().any(no_local_shared) {
            return Err(Violation::NoLocalShared);
        }
        let mut reasons = Vec::with_capacity(subscribe.subscriptions.len());
        for subscription in subscribe.subscriptions {
            reasons.push(self.subscribe(via, key, subscription, subscribe.subscription_id));
        }
        let properties = ReasonProperties::default();
        self.answer(via, Packet::SubAck(SubAck { packet_id: subscribe.packet_id, reasons, properties }));
        self.make_ready(key);
        Ok(())
    }

    pub(crate) fn on_unsubscribe(
        &mut self,
        now: Now,
        via: Via,
        unsubscribe: Unsubscribe,
    ) -> Result<(), Violation> {
        let Some(key) = self.session_of(via.connection) else { return Ok(()) };
        let filters = unsubscribe.filters.iter();
        let reasons = filters.map(|filter| self.unsubscribe(now, via, key, filter)).collect();
        let properties = ReasonProperties::default();
        self.answer(
            via,
            Packet::UnsubAck(UnsubAck { packet_id: unsubscribe.packet_id, reasons, properties }),
        );
        Ok(())
    }

    /// Makes or replaces one subscription [MQTT-3.8.4-3], and says what SUBACK says of it.
    fn subscribe(
        &mut self,
        via: Via,
        key: SessionKey,
        subscription: Subscription,
        subscription_id: Option<SubscriptionId>,
    ) -> ReasonCode {
        let filter = subscription.filter.detach();
        let Some(session) = self.sessions.get_mut(key) else { return ReasonCode::UnspecifiedError };
        let client_id = session.client_id.clone();
        if let Err(reason) = self.may_subscribe(via, key, &filter) {
            self.outbox.event(Event::SubscriptionRefused { client_id, filter, reason });
            return reason;
        }
        let terms = Subscribed { options: subscription.options, subscription_id, flow: via.flow };
        let former = self.router.subscribe(key, &filter, terms);
        let Some(session) = self.sessions.get_mut(key) else { return ReasonCode::UnspecifiedError };
        if session.is_stored {
            self.durable.write(Record::Subscribed { session: key, filter: filter.clone(), terms });
            self.durable.hold(via.connection);
        }
        let wants_retained = match terms.options.retain_handling {
            RetainHandling::Send => true,
            RetainHandling::SendIfNew => former.is_none(),
            RetainHandling::DoNotSend => false,
        };
        // 4.8.2: a shared subscription is not shown retained messages when it is made.
        if wants_retained && filter.share_name().is_none() {
            session.replays.retain(|replay| replay.filter != filter || replay.terms.flow != via.flow);
            session.replays.push_back(Replay { filter: filter.clone(), terms, after: None });
        }
        let qos = terms.options.maximum_qos;
        self.outbox.event(Event::Subscribed { client_id, filter, qos });
        granted(qos)
    }

    fn may_subscribe(&self, via: Via, key: SessionKey, filter: &TopicFilter) -> Result<(), ReasonCode> {
        if filter.levels().nth(self.limits.topic_levels_max as usize).is_some() {
            return Err(ReasonCode::TopicFilterInvalid);
        }
        let open = self.connections.get(via.connection).and_then(Connection::open);
        if !open.is_some_and(|open| open.permissions.may_subscribe(filter)) {
            return Err(ReasonCode::NotAuthorized);
        }
        let is_new = self.router.terms(key, via.flow, filter).is_none();
        if is_new && self.router.count(key) >= self.limits.subscriptions_max as usize {
            return Err(ReasonCode::QuotaExceeded);
        }
        Ok(())
    }

    /// Ends one subscription, wherever in the connection it was made. What already waits is still delivered (3.10.4),
    /// unless another member of a shared subscription can take it.
    fn unsubscribe(&mut self, now: Now, via: Via, key: SessionKey, filter: &TopicFilter) -> ReasonCode {
        let Some(terms) = self.router.unsubscribe_on(key, via.flow, filter) else {
            return ReasonCode::NoSubscriptionExisted;
        };
        let Some(session) = self.sessions.get_mut(key) else { return ReasonCode::UnspecifiedError };
        session.replays.retain(|replay| replay.filter != *filter || replay.terms.flow != terms.flow);
        if session.is_stored {
            let filter = filter.detach();
            self.durable.write(Record::Unsubscribed { session: key, filter, flow: terms.flow });
            self.durable.hold(via.connection);
        }
        let client_id = session.client_id.clone();
        self.outbox.event(Event::Unsubscribed { client_id, filter: filter.detach() });
        self.hand_over_of_leaver(now, key, filter);
        ReasonCode::Success
    }
}

/// The reason code that grants a level (3.9.3).
fn granted(qos: QoS) -> ReasonCode {
    match qos {
        QoS::AtMostOnce => ReasonCode::Success,
        QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
        QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
    }
}

#[cfg(test)]
mod tests;
