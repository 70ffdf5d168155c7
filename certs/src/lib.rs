//! Authority, server and device certificates.
