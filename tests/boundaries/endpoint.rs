//! A request against the status endpoint.
