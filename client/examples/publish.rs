//! Publishes one message over TCP and waits until the broker has it.
//!
//! ```text
//! cargo run -p rivulet-client --example publish -- mqtt://localhost:1883 greetings hello
//! ```

use std::error::Error;

use rivulet_client::{Client, Options, QoS, message};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, topic, payload] = arguments.as_slice() else {
        return Err("usage: publish URL TOPIC PAYLOAD".into());
    };
    let (client, _messages) = Client::connect(Options::new(url)?).await?;
    client.publish(message(topic, payload.clone(), QoS::AtLeastOnce)?).await?;
    client.disconnect().await;
    Ok(())
}
