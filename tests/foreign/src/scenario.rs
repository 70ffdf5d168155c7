//! What a client goes through. Each scenario is one conversation that any client must be able to have.

use crate::Outcome;
use crate::broker::Broker;
use crate::client::{Client, Connect, Message};

/// Larger than one QUIC datagram, one TCP segment and one read.
const LARGE_PAYLOAD_BYTES: usize = 300_000;

/// Short, so that a client that has vanished is missed soon.
const SHORT_KEEP_ALIVE_SECS: u16 = 5;

/// How often is waited for a message: in all much longer than one and a half times [`SHORT_KEEP_ALIVE_SECS`].
const MISSED_AFTER_RECEIVES_MAX: usize = 3;

/// Messages in a row, more than fit into one receive maximum of most clients' defaults of 20 or 100.
const ROW: usize = 300;

/// QoS 0, 1 and 2 each come back to the client that sent them, with topic, payload and level.
pub async fn every_qos_comes_back<C: Client>(broker: &Broker) -> Outcome<()> {
    let mut client = C::connect(broker, Connect::clean("every-qos")).await?;
    client.subscribe("every/+", 2).await?;
    for qos in 0..=2 {
        let message = Message::new(&format!("every/{qos}"), format!("at QoS {qos}"), qos);
        client.publish(&message).await?;
        assert_eq!(client.receive().await?, message);
    }
    client.disconnect().await
}

/// A subscription of QoS 1 lowers QoS 2 and leaves QoS 0 as it is.
pub async fn a_subscription_lowers_qos<C: Client>(broker: &Broker) -> Outcome<()> {
    let mut client = C::connect(broker, Connect::clean("lowers-qos")).await?;
    client.subscribe("lower/#", 1).await?;
    for (sent, received) in [(0, 0), (1, 1), (2, 1)] {
        client.publish(&Message::new("lower/this", "x", sent)).await?;
        assert_eq!(client.receive().await?.qos, received, "sent with QoS {sent}");
    }
    client.disconnect().await
}

/// What one client publishes, another receives in the same order, from the level where it subscribed.
pub async fn one_publishes_and_another_receives_in_order<C: Client>(broker: &Broker) -> Outcome<()> {
    let mut publisher = C::connect(broker, Connect::clean("publisher")).await?;
    let mut subscriber = C::connect(broker, Connect::clean("subscriber")).await?;
    subscriber.subscribe("row/+/state", 1).await?;
    for number in 0..ROW {
        publisher.publish(&Message::new("row/elsewhere", "not for us", 1)).await?;
        publisher.publish(&Message::new("row/a/state", number.to_string(), 1)).await?;
        if number % 10 == 0 {
            // Not every client reads while nobody waits for it.
            assert_eq!(subscriber.receive().await?, Message::new("row/a/state", number.to_string(), 1));
        } else {
            let received = subscriber.receive().await?;
            assert_eq!(String::from_utf8(received.payload)?, number.to_string());
        }
    }
    publisher.disconnect().await?;
    subscriber.disconnect().await
}

/// A large payload comes back byte by byte.
pub async fn a_large_payload_comes_back_whole<C: Client>(broker: &Broker) -> Outcome<()> {
    let payload: Vec<u8> = (0..LARGE_PAYLOAD_BYTES).map(|n| (n % 251) as u8).collect();
    let mut client = C::connect(broker, Connect::clean("large-payload")).await?;
    client.subscribe("large", 2).await?;
    for qos in 0..=2 {
        let message = Message::new("large", payload.clone(), qos);
        client.publish(&message).await?;
        assert!(client.receive().await? == message, "the payload has changed at QoS {qos}");
    }
    client.disconnect().await
}

/// A retained message is there for those who subscribe later, until an empty one takes it away.
pub async fn a_retained_message_waits_for_subscribers<C: Client>(broker: &Broker) -> Outcome<()> {
    let mut client = C::connect(broker, Connect::clean("retained")).await?;
    let retained = Message::new("retained/kept", "last word", 1).retained();
    let removed = Message::new("retained/removed", "soon gone", 1).retained();
    client.publish(&retained).await?;
    client.publish(&removed).await?;
    client.publish(&Message { payload: Vec::new(), ..removed }).await?;
    client.subscribe("retained/#", 1).await?;
    client.publish(&Message::new("retained/live", "after it", 1)).await?;
    assert_eq!(client.receive().await?, retained);
    assert_eq!(client.receive().await?, Message::new("retained/live", "after it", 1));
    client.publish(&Message { payload: Vec::new(), ..retained }).await?;
    client.disconnect().await
}

/// After UNSUBACK nothing comes any more.
pub async fn an_ended_subscription_is_silent<C: Client>(broker: &Broker) -> Outcome<()> {
    let mut client = C::connect(broker, Connect::clean("unsubscribes")).await?;
    client.subscribe("first", 1).await?;
    client.subscribe("second", 1).await?;
    client.unsubscribe("first").await?;
    client.publish(&Message::new("first", "unheard", 1)).await?;
    client.publish(&Message::new("second", "heard", 1)).await?;
    assert_eq!(client.receive().await?, Message::new("second", "heard", 1));
    client.disconnect().await
}

/// A session that outlives its connection keeps its subscriptions and what came meanwhile.
pub async fn a_session_keeps_what_came_meanwhile<C: Client>(broker: &Broker) -> Outcome<()> {
    let mut client = C::connect(broker, Connect::persistent("comes-back")).await?;
    client.subscribe("meanwhile/#", 1).await?;
    client.disconnect().await?;
    let mut other = C::connect(broker, Connect::clean("stays")).await?;
    other.publish(&Message::new("meanwhile/a", "kept", 1)).await?;
    client.come_back().await?;
    assert_eq!(client.receive().await?, Message::new("meanwhile/a", "kept", 1));
    other.publish(&Message::new("meanwhile/b", "live", 1)).await?;
    assert_eq!(client.receive().await?, Message::new("meanwhile/b", "live", 1));
    other.disconnect().await?;
    client.disconnect().await
}

/// The will of a client that vanishes without DISCONNECT is published.
pub async fn a_will_is_published_for_a_client_that_vanishes<C: Client>(broker: &Broker) -> Outcome<()> {
    let mut witness = C::connect(broker, Connect::clean("witness")).await?;
    witness.subscribe("will/#", 1).await?;
    vanish::<C>(broker, with_will("vanishes"))?;
    assert_eq!(receive_late(&mut witness).await?, Message::new("will/vanishes", "gone", 1));
    witness.disconnect().await
}

/// The will of a client that says DISCONNECT is not published.
pub async fn a_goodbye_keeps_the_will_back<C: Client>(broker: &Broker) -> Outcome<()> {
    let mut witness = C::connect(broker, Connect::clean("witness")).await?;
    witness.subscribe("will/#", 1).await?;
    C::connect(broker, with_will("polite")).await?.disconnect().await?;
    // A will that was published comes before that of a client that vanishes later.
    vanish::<C>(broker, with_will("vanishes"))?;
    assert_eq!(receive_late(&mut witness).await?, Message::new("will/vanishes", "gone", 1));
    witness.disconnect().await
}

fn with_will(name: &str) -> Connect {
    let will = Message::new(&format!("will/{name}"), "gone", 1);
    Connect { keep_alive: SHORT_KEEP_ALIVE_SECS, will: Some(will), ..Connect::clean(name) }
}

/// What comes when the broker has missed somebody.
async fn receive_late<C: Client>(client: &mut C) -> Outcome<Message> {
    let mut last = client.receive().await;
    for _ in 1..MISSED_AFTER_RECEIVES_MAX {
        if last.is_ok() {
            break;
        }
        last = client.receive().await;
    }
    last
}

/// Connects on a runtime of its own and takes that away: no task of the client runs any more, and nobody says goodbye.
fn vanish<C: Client>(broker: &Broker, connect: Connect) -> Outcome<()> {
    std::thread::scope(|scope| {
        let vanishing = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let client = runtime.block_on(C::connect(broker, connect))?;
            runtime.shutdown_background();
            drop(client);
            Ok(())
        });
        vanishing.join().map_err(|_| "the client that was to vanish panicked")?
    })
}
