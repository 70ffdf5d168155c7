//! What clients, network, disk and clock may do next.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use rivulet_protocol::packet::{
    Connect, ConnectProperties, Disconnect, DisconnectProperties, Publish, PublishTopic, RetainHandling,
    Subscribe, Subscription, SubscriptionOptions, Unsubscribe, Will, WillProperties,
};
use rivulet_protocol::{
    MessageProperties, Packet, PacketId, PacketQos, QoS, ReasonCode, SubscriptionId, Topic, TopicFilter,
    UserProperties, Version,
};

use crate::client::Client;
use crate::world::World;

const TOPICS: [&str; 6] = ["a", "a/b", "a/b/c", "b", "b/", "c/b"];
const FILTERS: [&str; 12] =
    ["a", "a/b", "a/#", "a/+", "+/b", "#", "+", "+/+/c", "b/#", "b/+", "c/b", "$SYS/#"];
const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

impl World {
    /// One thing happens.
    pub(crate) fn act(&mut self) {
        let client = self.chance.below(self.clients.len());
        // Calm enough for conversations, stormy enough for accidents in the middle of them.
        match self.chance.below(1_000) {
            0..=39 => self.connect(client),
            40..=189 => self.publish(client),
            190..=229 => self.subscribe(client),
            230..=244 => self.unsubscribe(client),
            245..=254 => self.ping(client),
            255..=258 => self.disconnect(client),
            259..=264 => self.cut(),
            265..=284 => {
                let millis = *self.chance.pick(&[0, 1, 100, 500, 1_000, 1_000, 5_000, 20_000]);
                self.trace.note(format!("{millis} ms pass"));
                self.pass(Duration::from_millis(millis));
            }
            285..=384 => {
                let batches = 1 + self.chance.below(4);
                self.write(batches);
            }
            385..=454 => {
                self.decide();
            }
            455..=564 => {
                let count = 1 + self.chance.below(3);
                self.send_acks(client, count);
            }
            565..=566 => self.restart(),
            567..=568 => self.fail_disk(),
            569..=784 => self.some_link(|world, link| world.deliver_up(link)),
            _ => self.some_link(|world, link| world.deliver_down(link)),
        }
    }

    /// Everything arrives; who has a session comes back for what it is owed; nothing may be missing then.
    pub(crate) fn expect_rest(&mut self) {
        self.come_to_rest();
        for client in 0..self.clients.len() {
            let id = self.clients[client].id.clone();
            if self.clients[client].link.is_none() && self.model.has_session(&id) {
                self.connect_with(client, false);
            }
            self.come_to_rest();
        }
        for client in self.clients.iter().filter(|client| client.is_accepted) {
            assert!(client.is_idle(), "{} waits for an answer", client.id);
            let twice = client.taken_once.iter().find(|(number, times)| **number > 0 && **times > 1);
            assert_eq!(twice, None, "{} has taken a QoS 2 message more than once", client.id);
        }
        self.model.expect_nothing_owed(self.now);
        self.model.prune();
    }

    /// A client that comes new gets what the topics keep, each message once, and nothing else.
    pub(crate) fn expect_retained(&mut self) {
        let newcomer = self.clients.len();
        self.clients.push(Client::new(newcomer, Version::V5));
        self.connect_with(newcomer, true);
        self.come_to_rest();
        let all = Subscription {
            filter: filter("#"),
            options: SubscriptionOptions { maximum_qos: QoS::ExactlyOnce, ..SubscriptionOptions::default() },
        };
        let user_properties = UserProperties::new();
        self.client_sends(newcomer, |client| {
            let packet_id = client.begin_request();
            let subscriptions = vec![all];
            Some(Packet::Subscribe(Subscribe {
                packet_id,
                subscription_id: None,
                user_properties,
                subscriptions,
            }))
        });
        self.come_to_rest();
        let kept: Vec<_> = self.model.retained(self.now).into_iter().collect();
        assert_eq!(self.clients[newcomer].retained, kept, "what the topics keep");
    }

    fn some_link(&mut self, act: impl Fn(&mut Self, rivulet_core::ConnectionKey) -> bool) {
        let links: Vec<_> = self.links.keys().copied().collect();
        if !links.is_empty() {
            let link = *self.chance.pick(&links);
            for _ in 0..1 + self.chance.below(4) {
                act(self, link);
            }
        }
    }

    /// Connects, or connects again while the broker still takes the former connection for alive.
    fn connect(&mut self, client: usize) {
        if self.clients[client].link.is_none() || self.chance.one_in(30) {
            let clean_start = self.chance.one_in(5);
            self.connect_with(client, clean_start);
        }
    }

    fn connect_with(&mut self, client: usize, clean_start: bool) {
        let connection = self.open(client);
        let connect = self.some_connect(client, clean_start);
        let packet = self.clients[client].connect(self.now.instant, connection, connect);
        self.links.get_mut(&connection).unwrap().up.push_back(packet);
    }

    fn some_connect(&mut self, client: usize, clean_start: bool) -> Connect {
        let (id, version) = (self.clients[client].id.clone(), self.clients[client].version);
        let will = self.chance.one_in(3).then(|| self.some_will(version));
        let chance = &mut self.chance;
        let properties = match version {
            Version::V5 => ConnectProperties {
                session_expiry_secs: *chance.pick(&[None, Some(0), Some(5), Some(60), Some(3_600)]),
                receive_maximum: *chance.pick(&[None, Some(1), Some(2), Some(5)]),
                ..ConnectProperties::default()
            },
            Version::V3_1 | Version::V3_1_1 => ConnectProperties::default(),
        };
        Connect {
            version,
            is_bridge: false,
            clean_start,
            keep_alive_secs: *chance.pick(&[0, 0, 0, 10, 60]),
            client_id: Some(id),
            will,
            username: None,
            password: None,
            properties,
        }
    }

    fn some_will(&mut self, version: Version) -> Will {
        let has_delay = version.has_properties() && self.chance.one_in(2);
        let delay_secs = has_delay.then(|| *self.chance.pick(&[0, 3, 30]));
        Will {
            topic: topic(self.chance.pick::<&str>(&TOPICS)),
            payload: self.next_payload(),
            qos: *self.chance.pick(&LEVELS),
            retain: self.chance.one_in(3),
            properties: WillProperties { delay_secs, message: MessageProperties::default() },
        }
    }

    fn publish(&mut self, client: usize) {
        let is_v5 = self.clients[client].version.has_properties();
        let is_clearing = is_v5 && self.chance.one_in(30);
        let qos = match *self.chance.pick(&LEVELS) {
            QoS::AtMostOnce => PacketQos::AtMostOnce,
            QoS::AtLeastOnce => PacketQos::AtLeastOnce(PacketId::MIN),
            QoS::ExactlyOnce => PacketQos::ExactlyOnce(PacketId::MIN),
        };
        let has_expiry = is_v5 && self.chance.one_in(5);
        let number = self.next_payload();
        let publish = Publish {
            dup: false,
            qos,
            retain: is_clearing || self.chance.one_in(8),
            topic: PublishTopic::Name(topic(self.chance.pick::<&str>(&TOPICS))),
            subscription_ids: Vec::new(),
            properties: MessageProperties {
                message_expiry_secs: has_expiry.then(|| *self.chance.pick(&[1, 10, 100])),
                // An empty payload says nothing else about itself.
                content_type: is_clearing.then(|| ByteString::try_from(number.clone()).unwrap()),
                ..MessageProperties::default()
            },
            payload: if is_clearing { Bytes::new() } else { number },
        };
        self.client_sends(client, |client| client.publish(publish));
    }

    fn subscribe(&mut self, client: usize) {
        let version = self.clients[client].version;
        let chance = &mut self.chance;
        let count = 1 + chance.below(3);
        let subscriptions = (0..count).map(|_| some_subscription(chance, version)).collect();
        let has_id = version.has_properties() && chance.one_in(2);
        let subscription_id = has_id.then(|| 1 + chance.below(5) as u32).and_then(SubscriptionId::new);
        self.client_sends(client, |client| {
            let packet_id = client.begin_request();
            let user_properties = UserProperties::new();
            Some(Packet::Subscribe(Subscribe { packet_id, subscription_id, user_properties, subscriptions }))
        });
    }

    fn unsubscribe(&mut self, client: usize) {
        let filters =
            vec![filter(self.chance.pick::<&str>(&FILTERS)), filter(self.chance.pick::<&str>(&FILTERS))];
        self.client_sends(client, |client| {
            let packet_id = client.begin_request();
            Some(Packet::Unsubscribe(Unsubscribe {
                packet_id,
                user_properties: UserProperties::new(),
                filters,
            }))
        });
    }

    fn ping(&mut self, client: usize) {
        self.client_sends(client, |client| {
            client.pings += 1;
            Some(Packet::PingReq)
        });
    }

    fn disconnect(&mut self, client: usize) {
        let is_v5 = self.clients[client].version.has_properties();
        let reason = if is_v5 && self.chance.one_in(3) {
            ReasonCode::DisconnectWithWillMessage
        } else {
            ReasonCode::Success
        };
        let properties = DisconnectProperties {
            session_expiry_secs: (is_v5 && self.chance.one_in(3)).then_some(0),
            ..DisconnectProperties::default()
        };
        self.client_sends(client, |client| {
            if properties.session_expiry_secs == Some(0) {
                client.give_up_session();
            }
            Some(Packet::Disconnect(Box::new(Disconnect { reason, properties })))
        });
        // It does not read on.
        if self.clients[client].is_accepted {
            self.clients[client].lose_link(self.now.instant);
        }
    }

    /// The network takes a connection, and perhaps tells the broker only later.
    fn cut(&mut self) {
        let links: Vec<_> = self.links.keys().copied().collect();
        if links.is_empty() {
            return;
        }
        let link = *self.chance.pick(&links);
        let user = self.clients.iter().position(|client| client.link == Some(link));
        if let Some(client) = user.filter(|_| self.chance.one_in(2)) {
            self.trace.note(format!("{link:?} is lost to its client"));
            self.clients[client].lose_link(self.now.instant);
        } else {
            self.trace.note(format!("{link:?} is lost"));
            self.lose(link);
        }
    }

    /// Puts a packet of a client that is let in on its way.
    fn client_sends(&mut self, client: usize, packet: impl FnOnce(&mut Client) -> Option<Packet>) {
        let client = &mut self.clients[client];
        let link = client.link.filter(|_| client.is_accepted).and_then(|link| self.links.get_mut(&link));
        if let Some(link) = link {
            link.up.extend(packet(client));
        }
    }

    fn next_payload(&mut self) -> Bytes {
        self.last_number += 1;
        Bytes::from(self.last_number.to_string())
    }
}

fn some_subscription(chance: &mut crate::chance::Chance, version: Version) -> Subscription {
    let is_v5 = version.has_properties();
    let handling =
        *chance.pick(&[RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend]);
    Subscription {
        filter: filter(chance.pick::<&str>(&FILTERS)),
        options: SubscriptionOptions {
            maximum_qos: *chance.pick(&LEVELS),
            no_local: is_v5 && chance.one_in(4),
            retain_as_published: false,
            retain_handling: if is_v5 { handling } else { RetainHandling::Send },
        },
    }
}

fn topic(text: &str) -> Topic {
    Topic::parse(text.to_owned()).unwrap()
}

fn filter(text: &str) -> TopicFilter {
    TopicFilter::parse(text.to_owned()).unwrap()
}
