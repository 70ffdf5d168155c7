//! The raw client: sends the bytes that it is given, reads packets with the parser of `packet`, and waits within bounds.
//!
//! Nothing here answers by itself: a test that wants a PUBACK sent sends it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::bytes::{self, Publish as Outgoing, code, first_byte};
use crate::packet::{self, Ack, Codes, ConnAck, Packet, Publish};
use crate::scene::Version;
use crate::websocket::WebSocket;
use crate::wire::Wire;

/// Longest wait for something that must come. Generous: it is paid only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// Packet identifiers of the client's own SUBSCRIBEs, far from those that tests write themselves.
const FIRST_OWN_ID: u16 = 0xF000;

pub(crate) struct Client {
    pub(crate) version: Version,
    wire: Wire,
    unread: Vec<u8>,
    fence: String,
    next_id: u16,
    largest: usize,
    aside: VecDeque<Packet>,
}

impl Client {
    pub(crate) fn new(version: Version, wire: Wire, fence: String) -> Self {
        Self {
            version,
            wire,
            unread: Vec::new(),
            fence,
            next_id: FIRST_OWN_ID,
            largest: 0,
            aside: VecDeque::new(),
        }
    }

    /// Sends these bytes as they are. A connection that the broker has closed takes them without complaint.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.wire.write(bytes.as_ref()).await;
    }

    /// The next packet. Panics if none comes, or the broker closes.
    pub(crate) async fn next(&mut self) -> Packet {
        self.next_or_close().await.expect("the broker sends a packet, and does not close")
    }

    /// The next packet; `None` if the broker closes the connection instead.
    pub(crate) async fn next_or_close(&mut self) -> Option<Packet> {
        if let Some(packet) = self.aside.pop_front() {
            return Some(packet);
        }
        tokio::time::timeout(PATIENCE, self.read())
            .await
            .expect("the broker sends a packet or closes, in time")
    }

    async fn read(&mut self) -> Option<Packet> {
        loop {
            if let Some(end) = packet::split(&self.unread) {
                let bytes: Vec<u8> = self.unread.drain(..end).collect();
                self.largest = self.largest.max(bytes.len());
                return Some(packet::parse(self.version, &bytes));
            }
            if !self.wire.read(&mut self.unread).await {
                assert!(self.unread.is_empty(), "broker closed within a packet: {:02x?}", self.unread);
                return None;
            }
        }
    }

    /// Size of the largest packet that has come.
    pub(crate) fn largest(&self) -> usize {
        self.largest
    }

    pub(crate) async fn connack(&mut self) -> ConnAck {
        let packet = self.next().await;
        let Packet::ConnAck(connack) = packet else {
            panic!("CONNACK was due, not {packet:?}");
        };
        connack
    }

    pub(crate) async fn publish(&mut self) -> Publish {
        let packet = self.next().await;
        let Packet::Publish(publish) = packet else {
            panic!("PUBLISH was due, not {packet:?}");
        };
        publish
    }

    /// The next packet is this acknowledgement for this identifier.
    pub(crate) async fn ack(&mut self, first_byte: u8, id: u16) -> Ack {
        let packet = self.next().await;
        let Packet::Ack(ack) = packet else {
            panic!("acknowledgement {first_byte:#04x} for {id} was due, not {packet:?}");
        };
        assert_eq!((ack.first_byte, ack.id), (first_byte, id), "type and packet identifier of {ack:?}");
        ack
    }

    pub(crate) async fn suback(&mut self, id: u16) -> Codes {
        let packet = self.next().await;
        let Packet::SubAck(codes) = packet else {
            panic!("SUBACK was due, not {packet:?}");
        };
        assert_eq!(codes.id, id, "packet identifier of SUBACK");
        codes
    }

    pub(crate) async fn unsuback(&mut self, id: u16) -> Codes {
        let packet = self.next().await;
        let Packet::UnsubAck(codes) = packet else {
            panic!("UNSUBACK was due, not {packet:?}");
        };
        assert_eq!(codes.id, id, "packet identifier of UNSUBACK");
        codes
    }

    /// The broker closes the connection and sends nothing before it.
    pub(crate) async fn closed(&mut self) {
        assert_eq!(self.next_or_close().await, None, "the broker closes without another packet");
        self.wire.closed().await;
    }

    /// Everything that comes before the broker closes.
    pub(crate) async fn until_closed(&mut self) -> Vec<Packet> {
        let mut last = Vec::new();
        while let Some(packet) = self.next_or_close().await {
            last.push(packet);
        }
        self.wire.closed().await;
        last
    }

    /// The broker says why (DISCONNECT of 5.0 with this code; 3.1.1 has no words for it) and closes.
    pub(crate) async fn closed_with(&mut self, code: u8) {
        if self.version == Version::V5 {
            match self.next_or_close().await {
                Some(Packet::Disconnect(reason)) => {
                    assert_eq!(
                        reason.code, code,
                        "code of DISCONNECT: {:#04x}, not {code:#04x}",
                        reason.code
                    );
                }
                other => panic!("DISCONNECT {code:#04x} was due, not {other:?}"),
            }
        }
        self.closed().await;
    }

    /// The same where the specification leaves the reason between malformed packet and protocol error.
    pub(crate) async fn closed_as_wrong(&mut self) {
        self.closed_as_wrong_or(code::PROTOCOL_ERROR).await;
    }

    /// The same where there is a third code that fits.
    pub(crate) async fn closed_as_wrong_or(&mut self, third: u8) {
        if self.version == Version::V5 {
            match self.next_or_close().await {
                Some(Packet::Disconnect(reason)) => {
                    let wrong = [code::MALFORMED_PACKET, code::PROTOCOL_ERROR, third];
                    assert!(wrong.contains(&reason.code), "code of DISCONNECT: {:#04x}", reason.code);
                }
                other => panic!("DISCONNECT was due, not {other:?}"),
            }
        }
        self.closed().await;
    }

    /// The CONNECT is refused: 5.0 says why in CONNACK, 3.1.1 where it has a return code for it; then the broker closes.
    pub(crate) async fn refused(&mut self, code: u8, return_code_of_3_1_1: Option<u8>) {
        let expected = match self.version {
            Version::V311 => return_code_of_3_1_1,
            Version::V5 => Some(code),
        };
        if let Some(expected) = expected {
            let connack = self.connack().await;
            assert_eq!(connack.code, expected, "code of CONNACK: {:#04x}, not {expected:#04x}", connack.code);
        }
        self.closed().await;
    }

    /// The CONNECT is refused, and the broker is free to say so: a CONNACK of 5.0, if one comes, has this code. 3.1.1 has
    /// no word for a CONNECT that is wrong, and CONNACK is not sent.
    pub(crate) async fn refused_or_closed(&mut self, code: u8) {
        match self.next_or_close().await {
            None => {}
            Some(Packet::ConnAck(connack)) if self.version == Version::V5 => {
                assert_eq!(connack.code, code, "code of CONNACK: {:#04x}, not {code:#04x}", connack.code);
                self.closed().await;
            }
            Some(other) => panic!("the close was due, not {other:?}"),
        }
        self.wire.closed().await;
    }

    /// The client goes without a word, as when the network fails.
    pub(crate) fn vanish(self) {
        self.wire.abort();
    }

    /// The WebSocket below, for tests of its frames.
    pub(crate) fn websocket(&mut self) -> &mut WebSocket {
        self.wire.websocket()
    }

    /// The client says goodbye, and the broker closes.
    pub(crate) async fn leave(mut self) {
        self.send(bytes::DISCONNECT).await;
        while self.next_or_close().await.is_some() {}
    }

    fn own_id(&mut self) -> u16 {
        self.next_id += 1;
        self.next_id
    }

    /// Subscribes to one filter and insists on SUBACK with the QoS that the options ask for.
    pub(crate) async fn subscribe(&mut self, filter: &str, options: u8) {
        let id = self.own_id();
        self.send(bytes::subscribe(self.version, id, &[(filter, options)])).await;
        let suback = self.suback(id).await;
        assert_eq!(suback.codes, [options & 0x03], "the broker grants what was asked for");
    }

    pub(crate) async fn unsubscribe(&mut self, filter: &str) {
        let id = self.own_id();
        self.send(bytes::unsubscribe(self.version, id, &[filter])).await;
        self.unsuback(id).await;
    }

    /// Publishes, and finishes the handshake of its QoS. Deliveries that come meanwhile stay to be read.
    pub(crate) async fn deliver(&mut self, publish: &Outgoing) {
        self.send(publish.bytes()).await;
        let Some(id) = publish.id else {
            return;
        };
        let is_qos_1 = publish.flags & 0x04 == 0;
        let ack = self.ack_among(if is_qos_1 { first_byte::PUBACK } else { first_byte::PUBREC }, id).await;
        assert!(ack.code < code::UNSPECIFIED_ERROR, "the broker accepts this PUBLISH: {ack:?}");
        if !is_qos_1 {
            self.send(bytes::ack(first_byte::PUBREL, id)).await;
            self.ack_among(first_byte::PUBCOMP, id).await;
        }
    }

    /// The acknowledgement that comes next, with deliveries before it put aside.
    pub(crate) async fn ack_among(&mut self, first_byte: u8, id: u16) -> Ack {
        let mut deliveries = VecDeque::new();
        loop {
            let packet = self.next().await;
            if matches!(packet, Packet::Publish(_)) {
                deliveries.push_back(packet);
                continue;
            }
            deliveries.append(&mut self.aside);
            self.aside = VecDeque::from([packet]);
            let ack = self.ack(first_byte, id).await;
            self.aside = deliveries;
            return ack;
        }
    }

    /// Publishes one message at QoS 1 and waits for PUBACK: the broker has routed it.
    pub(crate) async fn tell(&mut self, topic: &str, payload: &str) {
        let id = self.own_id();
        self.deliver(&Outgoing::new(self.version, topic, payload).qos(1, id)).await;
    }

    /// Takes the next PUBLISH and answers as its QoS asks.
    pub(crate) async fn accept(&mut self) -> Publish {
        let publish = self.publish().await;
        let Some(id) = publish.id else {
            return publish;
        };
        if publish.qos == 1 {
            self.send(bytes::ack(first_byte::PUBACK, id)).await;
            return publish;
        }
        self.send(bytes::ack(first_byte::PUBREC, id)).await;
        self.ack_among(first_byte::PUBREL, id).await;
        self.send(bytes::ack(first_byte::PUBCOMP, id)).await;
        publish
    }

    /// Everything that comes before this packet, and then this packet.
    pub(crate) async fn until(&mut self, last: &Packet) -> Vec<Packet> {
        let mut before = Vec::new();
        loop {
            let packet = self.next().await;
            if packet == *last {
                return before;
            }
            before.push(packet);
        }
    }

    /// Everything that the broker sends before it answers a PINGREQ: it lives, and has handled all that was sent to it.
    pub(crate) async fn ping(&mut self) -> Vec<Packet> {
        self.send(bytes::PINGREQ).await;
        self.until(&Packet::PingResp).await
    }

    /// Everything that was on its way to this client: what comes before a message that the client sends to itself.
    pub(crate) async fn fence(&mut self) -> Vec<Packet> {
        let (id, fence) = (self.own_id(), self.fence.clone());
        self.send(bytes::subscribe(self.version, id, &[(&fence, 0)])).await;
        self.send(Outgoing::new(self.version, &fence, "fence").bytes()).await;
        let mut before = Vec::new();
        loop {
            let packet = self.next().await;
            if matches!(&packet, Packet::Publish(publish) if publish.topic == fence) {
                return before;
            }
            if !matches!(&packet, Packet::SubAck(codes) if codes.id == id) {
                before.push(packet);
            }
        }
    }

    /// Nothing is on its way to this client.
    pub(crate) async fn hears_nothing(&mut self) {
        let heard = self.fence().await;
        assert!(heard.is_empty(), "nothing was due, but {heard:?} came");
    }
}
