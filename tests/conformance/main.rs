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

/// Makes one test for each transport, and for each version that is named, from an `async fn(Scene)`.
macro_rules! conformance_tests {
    (@test $case:ident $name:ident $transport:ident $version:ident) => {
        #[test]
        fn $case() {
            crate::run($crate::scene::Transport::$transport, $crate::scene::Version::$version, super::$name);
        }
    };
    (both: $($name:ident,)+) => {
        $(mod $name {
            conformance_tests!(@test tcp_v311 $name Tcp V311);
            conformance_tests!(@test tcp_v5 $name Tcp V5);
            conformance_tests!(@test quic_v311 $name Quic V311);
            conformance_tests!(@test quic_v5 $name Quic V5);
        })+
    };
    (v5: $($name:ident,)+) => {
        $(mod $name {
            conformance_tests!(@test tcp_v5 $name Tcp V5);
            conformance_tests!(@test quic_v5 $name Quic V5);
        })+
    };
    (v311: $($name:ident,)+) => {
        $(mod $name {
            conformance_tests!(@test tcp_v311 $name Tcp V311);
            conformance_tests!(@test quic_v311 $name Quic V311);
        })+
    };
}

mod broker;
mod bytes;
mod client;
mod manifest;
mod packet;
mod scene;
mod wire;

mod s1_05_data;
mod s2_01_fixed_header;
mod s3_01_connect;
mod s3_01_limits;
mod s3_01_session;
mod s3_01_will;
mod s3_03_properties;
mod s3_03_publish;
mod s3_03_retain;
mod s3_08_subscribe;
mod s3_10_unsubscribe;

/// Runs one test in a runtime of its own.
fn run<F: Future<Output = ()>>(transport: Transport, version: Version, test: impl FnOnce(Scene) -> F) {
    if transport == Transport::Quic && broker::under_test().quic.is_none() {
        return; // another broker: its TCP half alone is tested
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime of one thread")
        .block_on(test(Scene::new(transport, version)));
}
