//! Passes over the fleet.
