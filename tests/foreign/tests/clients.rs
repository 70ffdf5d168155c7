//! Each client in each scenario, each with a broker of its own.

use rivulet_foreign::broker::Broker;
use rivulet_foreign::{Outcome, client, scenario};

/// One module per client, one test per scenario.
macro_rules! clients {
    ($($module:ident: $client:ty => [$($scenario:ident),+ $(,)?];)+) => {$(
        mod $module {
            use super::*;
            $(
                #[tokio::test]
                async fn $scenario() -> Outcome<()> {
                    scenario::$scenario::<$client>(&Broker::start()?).await
                }
            )+
        }
    )+};
}

clients! {
    flowsdk_quic_v5: client::Flowsdk => [
        every_qos_comes_back,
        a_subscription_lowers_qos,
        one_publishes_and_another_receives_in_order,
        a_large_payload_comes_back_whole,
        a_retained_message_waits_for_subscribers,
        an_ended_subscription_is_silent,
        a_session_keeps_what_came_meanwhile,
        a_will_is_published_for_a_client_that_vanishes,
        // Not `a_goodbye_keeps_the_will_back`: it closes the QUIC connection before its DISCONNECT has left.
    ];
    mqtt5_quic_v5: client::Mqtt5 => [
        every_qos_comes_back,
        a_subscription_lowers_qos,
        one_publishes_and_another_receives_in_order,
        a_large_payload_comes_back_whole,
        a_retained_message_waits_for_subscribers,
        an_ended_subscription_is_silent,
        a_session_keeps_what_came_meanwhile,
        a_will_is_published_for_a_client_that_vanishes,
        a_goodbye_keeps_the_will_back,
    ];
    rumqttc_tcp_v5: client::RumqttcV5 => [
        every_qos_comes_back,
        a_subscription_lowers_qos,
        one_publishes_and_another_receives_in_order,
        a_large_payload_comes_back_whole,
        a_retained_message_waits_for_subscribers,
        an_ended_subscription_is_silent,
        a_session_keeps_what_came_meanwhile,
        a_will_is_published_for_a_client_that_vanishes,
        a_goodbye_keeps_the_will_back,
    ];
    rumqttc_tcp_v311: client::RumqttcV311 => [
        every_qos_comes_back,
        a_subscription_lowers_qos,
        one_publishes_and_another_receives_in_order,
        a_large_payload_comes_back_whole,
        a_retained_message_waits_for_subscribers,
        an_ended_subscription_is_silent,
        a_session_keeps_what_came_meanwhile,
        a_will_is_published_for_a_client_that_vanishes,
        a_goodbye_keeps_the_will_back,
    ];
}
