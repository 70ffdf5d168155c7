//! `rumqttc` over TCP: MQTT 3.1.1.

use ::rumqttc::{
    AsyncClient, ConnectReturnCode, Event, EventLoop, LastWill, MqttOptions, Outgoing, Packet, QoS,
    SubscribeReasonCode,
};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::timeout;

use super::{ANSWER_TIMEOUT, Client, Connect, Message, QosBits};
use crate::Outcome;
use crate::broker::Broker;

/// Requests that may wait for the event loop.
const REQUESTS_MAX: usize = 64;

/// Larger than anything that the tests send.
const PACKET_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The client. It moves only while somebody waits for an answer.
pub struct RumqttcV311 {
    client: AsyncClient,
    event_loop: EventLoop,
    received: VecDeque<Message>,
}

impl RumqttcV311 {
    /// Waits for the first packet that `answer` takes; keeps messages that come before it.
    async fn wait_for<T>(&mut self, answer: impl Fn(&Packet) -> Option<Outcome<T>>) -> Outcome<T> {
        let waiting = async {
            loop {
                let Event::Incoming(packet) = self.event_loop.poll().await? else {
                    continue;
                };
                if let Packet::Publish(publish) = &packet {
                    self.received.push_back(Message {
                        topic: publish.topic.clone(),
                        payload: publish.payload.to_vec(),
                        qos: publish.qos as QosBits,
                        retain: publish.retain,
                    });
                }
                if let Some(answer) = answer(&packet) {
                    return answer;
                }
            }
        };
        timeout(ANSWER_TIMEOUT, waiting).await?
    }
}

impl Client for RumqttcV311 {
    async fn connect(broker: &Broker, connect: Connect) -> Outcome<Self> {
        let address = broker.tcp();
        let mut options = MqttOptions::new(&connect.client_id, address.ip().to_string(), address.port());
        options
            .set_keep_alive(Duration::from_secs(connect.keep_alive.into()))
            .set_clean_session(connect.clean)
            .set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
        if let Some(will) = connect.will {
            options.set_last_will(LastWill::new(will.topic, will.payload, qos(will.qos)?, will.retain));
        }
        let (client, event_loop) = AsyncClient::new(options, REQUESTS_MAX);
        let mut client = Self { client, event_loop, received: VecDeque::new() };
        client.come_back().await?;
        Ok(client)
    }

    async fn come_back(&mut self) -> Outcome<()> {
        self.wait_for(|packet| match packet {
            Packet::ConnAck(answer) if answer.code == ConnectReturnCode::Success => Some(Ok(())),
            Packet::ConnAck(answer) => Some(Err(format!("CONNACK: {answer:?}").into())),
            _ => None,
        })
        .await
    }

    async fn subscribe(&mut self, filter: &str, qos_bits: QosBits) -> Outcome<()> {
        self.client.subscribe(filter, qos(qos_bits)?).await?;
        self.wait_for(|packet| match packet {
            Packet::SubAck(answer)
                if matches!(answer.return_codes[..], [SubscribeReasonCode::Success(_)]) =>
            {
                Some(Ok(()))
            }
            Packet::SubAck(answer) => Some(Err(format!("SUBACK: {answer:?}").into())),
            _ => None,
        })
        .await
    }

    async fn unsubscribe(&mut self, filter: &str) -> Outcome<()> {
        self.client.unsubscribe(filter).await?;
        self.wait_for(|packet| matches!(packet, Packet::UnsubAck(_)).then_some(Ok(()))).await
    }

    async fn publish(&mut self, message: &Message) -> Outcome<()> {
        let Message { topic, payload, qos: qos_bits, retain } = message;
        self.client.publish(topic, qos(*qos_bits)?, *retain, payload.clone()).await?;
        match *qos_bits {
            0 => {
                // Nothing answers a QoS 0 PUBLISH: let the event loop write it.
                while !matches!(self.event_loop.poll().await?, Event::Outgoing(Outgoing::Publish(_))) {}
                Ok(())
            }
            1 => self.wait_for(|packet| matches!(packet, Packet::PubAck(_)).then_some(Ok(()))).await,
            _ => self.wait_for(|packet| matches!(packet, Packet::PubComp(_)).then_some(Ok(()))).await,
        }
    }

    async fn receive(&mut self) -> Outcome<Message> {
        if self.received.is_empty() {
            self.wait_for(|packet| matches!(packet, Packet::Publish(_)).then_some(Ok(()))).await?;
        }
        self.received.pop_front().ok_or_else(|| "no message".into())
    }

    async fn disconnect(&mut self) -> Outcome<()> {
        self.client.disconnect().await?;
        let gone = async { while self.event_loop.poll().await.is_ok() {} };
        Ok(timeout(ANSWER_TIMEOUT, gone).await?)
    }
}

fn qos(bits: QosBits) -> Outcome<QoS> {
    match bits {
        0 => Ok(QoS::AtMostOnce),
        1 => Ok(QoS::AtLeastOnce),
        2 => Ok(QoS::ExactlyOnce),
        _ => Err(format!("there is no QoS {bits}").into()),
    }
}
