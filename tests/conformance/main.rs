//! The normative statements of MQTT 5.0 and 3.1.1, by number, over raw bytes, on each transport.
//!
//! `manifest.toml` lists every statement and the tests that prove it; `manifest` checks that it is complete and true.
//! One file per section of MQTT 5.0; a rule that both versions have is one test, run for both. Each test says in its
//! documentation which statements it proves, in lines that begin with `5.0:` and `3.1.1:`.
//!
//! The broker runs in this process; all tests share it. `RIVULET_CONFORMANCE_TARGET=127.0.0.1:1883` runs the TCP half
//! against any other broker, which is a way to test the tests.

use std::future::Future;

use scene::{Scene, Transport, Version};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

/// Makes one test for each transport, and for each version that is named, from an `async fn(Scene)`. Tests of rules
/// about time wait; `together` makes one test of all these runs, which wait at the same time.
macro_rules! conformance_tests {
    (@test $case:ident $name:ident $transport:ident $version:ident) => {
        #[test]
        fn $case() {
            crate::run(crate::scene::Transport::$transport, crate::scene::Version::$version, super::$name);
        }
    };
    (both together: $($name:ident,)+) => {
        $(mod $name {
            #[test]
            fn together() {
                crate::run_together(&crate::scene::Version::ALL, super::$name);
            }
        })+
    };
    (v5 together: $($name:ident,)+) => {
        $(mod $name {
            #[test]
            fn together() {
                crate::run_together(&[crate::scene::Version::V5], super::$name);
            }
        })+
    };
    (both: $($name:ident,)+) => {
        $(mod $name {
            conformance_tests!(@test tcp_v311 $name Tcp V311);
            conformance_tests!(@test tcp_v5 $name Tcp V5);
            conformance_tests!(@test tls_v311 $name Tls V311);
            conformance_tests!(@test tls_v5 $name Tls V5);
            conformance_tests!(@test ws_v311 $name WebSocket V311);
            conformance_tests!(@test ws_v5 $name WebSocket V5);
            conformance_tests!(@test wss_v311 $name SecureWebSocket V311);
            conformance_tests!(@test wss_v5 $name SecureWebSocket V5);
            conformance_tests!(@test quic_v311 $name Quic V311);
            conformance_tests!(@test quic_v5 $name Quic V5);
        })+
    };
    (v5: $($name:ident,)+) => {
        $(mod $name {
            conformance_tests!(@test tcp_v5 $name Tcp V5);
            conformance_tests!(@test tls_v5 $name Tls V5);
            conformance_tests!(@test ws_v5 $name WebSocket V5);
            conformance_tests!(@test wss_v5 $name SecureWebSocket V5);
            conformance_tests!(@test quic_v5 $name Quic V5);
        })+
    };
    (v311: $($name:ident,)+) => {
        $(mod $name {
            conformance_tests!(@test tcp_v311 $name Tcp V311);
            conformance_tests!(@test tls_v311 $name Tls V311);
            conformance_tests!(@test ws_v311 $name WebSocket V311);
            conformance_tests!(@test wss_v311 $name SecureWebSocket V311);
            conformance_tests!(@test quic_v311 $name Quic V311);
        })+
    };
    (websocket: $($name:ident,)+) => {
        $(mod $name {
            conformance_tests!(@test ws_v311 $name WebSocket V311);
            conformance_tests!(@test ws_v5 $name WebSocket V5);
            conformance_tests!(@test wss_v311 $name SecureWebSocket V311);
            conformance_tests!(@test wss_v5 $name SecureWebSocket V5);
        })+
    };
}

mod broker;
mod bytes;
mod client;
mod manifest;
mod packet;
mod scene;
mod websocket;
mod wire;

mod s1_05_data;
mod s2_01_fixed_header;
mod s3_01_connect;
mod s3_01_limits;
mod s3_01_session;
mod s3_01_will;
mod s3_02_connack;
mod s3_03_properties;
mod s3_03_publish;
mod s3_03_retain;
mod s3_04_acks;
mod s3_08_subscribe;
mod s3_10_unsubscribe;
mod s3_14_disconnect;
mod s4_03_qos;
mod s4_04_resend;
mod s4_07_topics;
mod s4_08_shared;
mod s4_09_flow_control;
mod s4_13_errors;
mod s6_websocket;

/// Runs one test.
fn run<F: Future<Output = ()>>(transport: Transport, version: Version, test: impl FnOnce(Scene) -> F) {
    if broker::under_test().speaks(transport) {
        runtime().block_on(test(Scene::new(transport, version)));
    }
}

/// Runs one test over all transports and for these versions at the same time.
fn run_together<F: Future<Output = ()> + 'static>(versions: &[Version], test: impl Fn(Scene) -> F) {
    let transports = Transport::ALL.into_iter().filter(|transport| broker::under_test().speaks(*transport));
    let runs = transports.flat_map(|transport| versions.iter().map(move |version| (transport, *version)));
    let all = LocalSet::new();
    let running: Vec<_> = runs
        .map(|(transport, version)| {
            ((transport, version), all.spawn_local(test(Scene::new(transport, version))))
        })
        .collect();
    runtime().block_on(all.run_until(async {
        for ((transport, version), run) in running {
            assert!(run.await.is_ok(), "failed over {transport:?} for {version}: see above");
        }
    }));
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime of one thread")
}
