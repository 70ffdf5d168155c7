//! An MQTT client for QUIC and TCP.
