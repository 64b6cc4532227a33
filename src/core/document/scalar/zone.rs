//! Time zones, and when a clock on the wall shows a time.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

/// The time zones that are built in, so that a window means the same on every machine.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The time zone of a name.
///
/// # Errors
/// When this build does not know it.
pub fn zone(name: &str) -> Result<TimeZone, jiff::Error> {
    ZONES.get(name)
}

/// The name of a time zone as the database spells it, or none for one that is not known.
pub(super) fn known(name: &str) -> Option<String> {
    let zone = ZONES.get(name).ok()?;
    zone.iana_name().map(str::to_owned)
}

/// When the clocks of a zone show `local`: the first time on a day that has the hour twice, and right after the hour on
/// a day that skips it.
pub(super) fn first_moment(zone: &TimeZone, local: DateTime) -> Result<Timestamp, jiff::Error> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let AmbiguousOffset::Gap { after, .. } = ambiguous.offset() else {
        return ambiguous.earlier();
    };
    // What is skipped has not come yet by the clock as it will be.
    match zone.following(after.to_timestamp(local)?).next() {
        Some(change) => Ok(change.timestamp()),
        None => ambiguous.compatible(),
    }
}
