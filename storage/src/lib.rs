//! What must survive a restart: the store behind a trait.
