//! Shared ground of the system tests.
