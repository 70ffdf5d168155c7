//! The Rivulet broker: sockets, TLS, clock, configuration; and the command line that starts it.

pub mod cli;
