//! `flowsdk` over QUIC: MQTT 5.0 on one stream.

use ::flowsdk::mqtt_client::{
    MqttClientOptions, MqttMessage, TokioAsyncClientConfig, TokioAsyncMqttClient, TokioMqttEventHandler,
};
use ::flowsdk::mqtt_serde::mqttv5::will::Will;
use tokio::sync::mpsc;

use super::{Client, Connect, Message, QosBits, inbox, next};
use crate::Outcome;
use crate::broker::Broker;

/// The client.
pub struct Flowsdk {
    client: TokioAsyncMqttClient,
    inbox: mpsc::Receiver<Message>,
}

struct Handler(mpsc::Sender<Message>);

#[async_trait::async_trait]
impl TokioMqttEventHandler for Handler {
    async fn on_message_received(&mut self, publish: &MqttMessage) {
        let message = Message {
            topic: publish.topic_name.clone(),
            payload: publish.payload.clone(),
            qos: publish.qos,
            retain: publish.retain,
        };
        // Nobody listens any more: then nobody misses it.
        self.0.send(message).await.ok();
    }
}

impl Client for Flowsdk {
    async fn connect(broker: &Broker, connect: Connect) -> Outcome<Self> {
        // It takes the process's default, and there may be one already.
        rustls::crypto::ring::default_provider().install_default().ok();
        let device = broker.authority().device(&connect.client_id)?;
        let mut options = MqttClientOptions::builder()
            .peer(format!("quic://{}", broker.quic()))
            .client_id(&connect.client_id)
            .keep_alive(connect.keep_alive)
            .clean_start(connect.clean)
            .session_expiry_interval(connect.session_expiry());
        if let Some(will) = connect.will {
            options = options.will(Will::new(will.topic, will.payload, will.qos, will.retain));
        }
        let config = TokioAsyncClientConfig::builder()
            .auto_reconnect(false)
            .quic_custom_root_ca_pem(broker.authority().certificate())
            .quic_client_cert_pem(device.certificate)
            .quic_client_key_pem(device.key)
            .build();
        let (sender, inbox) = inbox();
        let client = TokioAsyncMqttClient::new(options.build(), Box::new(Handler(sender)), config).await?;
        let mut client = Self { client, inbox };
        client.come_back().await?;
        Ok(client)
    }

    async fn come_back(&mut self) -> Outcome<()> {
        let connected = self.client.connect_sync().await?;
        if connected.is_success() { Ok(()) } else { Err(format!("CONNACK: {connected:?}").into()) }
    }

    async fn subscribe(&mut self, filter: &str, qos: QosBits) -> Outcome<()> {
        let subscribed = self.client.subscribe_sync(filter, qos).await?;
        if subscribed.is_success() { Ok(()) } else { Err(format!("SUBACK: {subscribed:?}").into()) }
    }

    async fn unsubscribe(&mut self, filter: &str) -> Outcome<()> {
        let unsubscribed = self.client.unsubscribe_sync(vec![filter]).await?;
        if unsubscribed.is_success() { Ok(()) } else { Err(format!("UNSUBACK: {unsubscribed:?}").into()) }
    }

    async fn publish(&mut self, message: &Message) -> Outcome<()> {
        let Message { topic, payload, qos, retain } = message;
        let published = self.client.publish_sync(topic, payload, *qos, *retain).await?;
        if published.is_success() { Ok(()) } else { Err(format!("refused: {published:?}").into()) }
    }

    async fn receive(&mut self) -> Outcome<Message> {
        next(&mut self.inbox).await
    }

    async fn disconnect(&mut self) -> Outcome<()> {
        Ok(self.client.disconnect_sync().await?)
    }
}
