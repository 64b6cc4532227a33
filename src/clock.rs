//! The one place that reads the wall clock.

use jiff::Timestamp;

/// The present moment in UTC.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the home of the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
