//! `mqtt5` over QUIC: MQTT 5.0, everything on the control stream.

use ::mqtt5::transport::StreamStrategy;
use ::mqtt5::{
    ConnectOptions, MqttClient, PublishOptions, PublishResult, QoS, SubscribeOptions, WillMessage,
};
use std::time::Duration;
use tokio::sync::mpsc;

use super::{Client, Connect, Message, QosBits, inbox, next};
use crate::Outcome;
use crate::broker::Broker;

/// The client.
pub struct Mqtt5 {
    client: MqttClient,
    url: String,
    options: ConnectOptions,
    sender: mpsc::Sender<Message>,
    inbox: mpsc::Receiver<Message>,
}

impl Client for Mqtt5 {
    async fn connect(broker: &Broker, connect: Connect) -> Outcome<Self> {
        let device = broker.authority().device(&connect.client_id)?;
        let mut options = ConnectOptions::new(&connect.client_id)
            .with_keep_alive(Duration::from_secs(connect.keep_alive.into()))
            .with_clean_start(connect.clean)
            .with_session_expiry_interval(connect.session_expiry())
            .with_automatic_reconnect(false);
        if let Some(will) = connect.will {
            let message = WillMessage {
                qos: qos(will.qos)?,
                retain: will.retain,
                ..WillMessage::new(will.topic, will.payload)
            };
            options = options.with_will(message);
        }
        let client = MqttClient::with_options(options.clone());
        client.set_quic_stream_strategy(StreamStrategy::ControlOnly).await;
        let authority = broker.authority().certificate().into_bytes();
        client
            .set_tls_config(Some(device.certificate.into()), Some(device.key.into()), Some(authority))
            .await;
        let (sender, inbox) = inbox();
        let mut client = Self { client, url: format!("quics://{}", broker.quic()), options, sender, inbox };
        client.come_back().await?;
        Ok(client)
    }

    async fn come_back(&mut self) -> Outcome<()> {
        self.client.connect_with_options(&self.url, self.options.clone()).await?;
        Ok(())
    }

    async fn subscribe(&mut self, filter: &str, qos_bits: QosBits) -> Outcome<()> {
        let sender = self.sender.clone();
        let options = SubscribeOptions { qos: qos(qos_bits)?, ..SubscribeOptions::default() };
        let on_message = move |message: ::mqtt5::Message| {
            let message = Message {
                topic: message.topic,
                payload: message.payload,
                qos: message.qos as QosBits,
                retain: message.retain,
            };
            // The tests send less than fits.
            sender.try_send(message).ok();
        };
        self.client.subscribe_with_options(filter, options, on_message).await?;
        Ok(())
    }

    async fn unsubscribe(&mut self, filter: &str) -> Outcome<()> {
        Ok(self.client.unsubscribe(filter).await?)
    }

    async fn publish(&mut self, message: &Message) -> Outcome<()> {
        let options =
            PublishOptions { qos: qos(message.qos)?, retain: message.retain, ..PublishOptions::default() };
        match self.client.publish_with_options(&message.topic, message.payload.clone(), options).await? {
            PublishResult::Sent(_) => Ok(()),
            PublishResult::Queued(_) => Err("no acknowledgement came".into()),
        }
    }

    async fn receive(&mut self) -> Outcome<Message> {
        next(&mut self.inbox).await
    }

    async fn disconnect(&mut self) -> Outcome<()> {
        Ok(self.client.disconnect().await?)
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
