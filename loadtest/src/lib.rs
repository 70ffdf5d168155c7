//! Simulated fleets that load a broker and check what comes back.
