//! Schedules: when something happens again and again.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Malformed, Scalar, printable, quoted, scalar_impls, zone};

/// A cron expression of five fields (minute, hour, day of month, month, day of week), and a time
/// zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, bitcode::Encode, bitcode::Decode)]
pub struct Schedule(String);

impl Schedule {
    /// The expression with single spaces, and the time zone unless it is UTC.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the time zone.
    #[must_use]
    pub fn time_zone(&self) -> &str {
        self.parts().1
    }

    /// The five fields, and the time zone.
    fn parts(&self) -> (&str, &str) {
        let end = self.0.match_indices(' ').nth(4).map(|(at, _)| at);
        match end {
            Some(end) => (&self.0[..end], &self.0[end + 1..]),
            None => (self.0.as_str(), "UTC"),
        }
    }

    /// The first moment after `after`, or none when there is none.
    ///
    /// A schedule that names its hours names times of the day, and each of them comes once: right after an hour that is
    /// skipped, and the first time in one that a day has twice. One for every hour happens in each hour that passes.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let (expression, zone) = self.parts();
        let zone = zone::zone(zone).ok()?;
        if let Some(expression) = of_every_hour(expression) {
            let next = cron(&expression).ok()?;
            let next = next.find_next_occurrence(&after.to_zoned(zone), false);
            return next.ok().map(|next| next.timestamp());
        }
        // Read off a clock that is never changed, and only then asked when that is.
        let cron = cron(expression).ok()?;
        let mut local = after.to_zoned(zone.clone()).datetime();
        loop {
            let reading = local.to_zoned(TimeZone::UTC).ok()?;
            local = cron.find_next_occurrence(&reading, false).ok()?.datetime();
            let moment = zone::first_moment(&zone, local).ok()?;
            // In an hour that comes again, this time has been.
            if moment > after {
                return Some(moment);
            }
        }
    }
}

/// The expression, when it is one for every hour: that happens as time goes by, whatever the clocks show.
fn of_every_hour(expression: &str) -> Option<String> {
    let (minute, rest) = expression.split_once(' ')?;
    let (hour, rest) = rest.split_once(' ')?;
    matches!(hour, "*" | "*/1" | "0-23" | "0-23/1").then(|| format!("{minute} * {rest}"))
}

fn cron(expression: &str) -> Result<croner::Cron, croner::errors::CronError> {
    croner::parser::CronParser::builder()
        .seconds(croner::parser::Seconds::Disallowed)
        .build()
        .parse(expression)
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for Schedule {
    const FORMAT: &'static str = "cron";
    const DESCRIPTION: &'static str = "A cron expression of five fields (minute, hour, day of month, month, day of week), and a time zone (UTC when left out).";
    const EXAMPLES: &'static [&'static str] =
        &["0 3 * * *", "30 2 * * sun", "0 3 * * * Europe/Berlin"];

    fn parse(text: &str) -> Result<Self, Malformed> {
        printable(text)?;
        let hint = "write minute, hour, day of month, month and day of week, such as `0 3 * * *`";
        let mut fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let zone = match fields.get(5) {
            Some(name) if name.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                let Some(name) = zone::known(name) else {
                    return Err(Malformed::new(format!(
                        "{} is not a cron expression: {} is not a time zone",
                        quoted(text),
                        quoted(name),
                    ))
                    .hint(hint));
                };
                fields.remove(5);
                (name != "UTC").then_some(name)
            }
            Some(_) | None => None,
        };
        if fields.len() != 5 || text.len() > 200 {
            return Err(Malformed::new(format!(
                "{} is not a cron expression: it has {} field{} instead of 5",
                quoted(text),
                fields.len(),
                if fields.len() == 1 { "" } else { "s" },
            ))
            .hint(hint));
        }
        let canonical = fields.join(" ").to_ascii_lowercase();
        let Ok(cron) = cron(&canonical) else {
            return Err(Malformed::new(format!(
                "{} is not a cron expression: minutes are from 0 to 59, hours from 0 to 23, days from 1 to 31, months \
                 from 1 to 12, days of the week from 0 to 7 or `sun` to `sat`",
                quoted(text)
            ))
            .hint(hint));
        };
        // Any moment does: one that comes at all comes again.
        if cron
            .find_next_occurrence(&Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC), false)
            .is_err()
        {
            return Err(Malformed::new(format!(
                "{} never comes: no such day is in any year",
                quoted(text)
            ))
            .hint("correct the day or the month"));
        }
        Ok(Self(match zone {
            Some(zone) => format!("{canonical} {zone}"),
            None => canonical,
        }))
    }
}

scalar_impls!(Schedule);
