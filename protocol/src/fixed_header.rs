//! The fixed header (2.1): packet type, flags, remaining length.
