//! The broker under test: ours, started once for all tests; or another one that `RIVULET_CONFORMANCE_TARGET` names.

use std::net::SocketAddr;
use std::sync::OnceLock;

/// Where the tests connect to.
pub(crate) struct UnderTest {
    pub(crate) tcp: SocketAddr,
    /// Absent if the broker is not ours.
    pub(crate) quic: Option<Quic>,
}

/// What a QUIC client needs: an address, and a configuration with a certificate that the broker trusts.
pub(crate) struct Quic {
    pub(crate) address: SocketAddr,
    pub(crate) client: quinn::ClientConfig,
}

/// The broker under test. The first call starts it.
pub(crate) fn under_test() -> &'static UnderTest {
    static UNDER_TEST: OnceLock<UnderTest> = OnceLock::new();
    UNDER_TEST.get_or_init(|| {
        let target = std::env::var("RIVULET_CONFORMANCE_TARGET").expect("a target");
        UnderTest {
            tcp: target.parse().expect("RIVULET_CONFORMANCE_TARGET is an address and a port"),
            quic: None,
        }
    })
}
