//! When something happens: maintenance windows, schedules, dates.

use std::fmt;

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::{Malformed, Scalar, printable, quoted, scalar_impls, text_scalar};

text_scalar! {
    /// A calendar date.
    Date, "calendar-date", ["2026-12-31"], date
}

fn date(text: &str) -> Result<(), Malformed> {
    let shape = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if shape && text.parse::<jiff::civil::Date>().is_ok() {
        return Ok(());
    }
    Err(Malformed::new(format!("{} is not a date", quoted(text)))
        .hint("write year, month and day, such as `2026-12-31`"))
}

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

    /// The first moment after `after`, or none when there is none.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let end = self.0.match_indices(' ').nth(4).map(|(at, _)| at);
        let (expression, zone) = match end {
            Some(end) => (&self.0[..end], &self.0[end + 1..]),
            None => (self.0.as_str(), "UTC"),
        };
        let after = after.to_zoned(ZONES.get(zone).ok()?);
        let next = cron(expression).ok()?.find_next_occurrence(&after, false);
        next.ok().map(|next| next.timestamp())
    }
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
                let known = ZONES.get(name).ok();
                let Some(name) = known.and_then(|zone| zone.iana_name().map(str::to_owned)) else {
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

/// The time zones that are built in, so that a window means the same on every machine.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A time of the week in which something may happen, such as `sun 03:00-05:00 Europe/Berlin`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, bitcode::Encode, bitcode::Decode)]
pub struct Window {
    /// One bit for each day, Monday the lowest; all of them for a window of every day.
    days: u8,
    /// Minutes after midnight.
    start: u16,
    /// Minutes after midnight; before `start` when the window ends on the next day.
    end: u16,
    /// An IANA name.
    time_zone: String,
}

impl Window {
    /// Whether the window opens on this day.
    #[must_use]
    pub fn opens_on(&self, day: jiff::civil::Weekday) -> bool {
        self.days & (1 << day.to_monday_zero_offset()) != 0
    }

    /// Minutes after midnight at which it opens and closes; it closes on the next day when
    /// the second is not after the first.
    #[must_use]
    pub fn minutes(&self) -> (u16, u16) {
        (self.start, self.end)
    }

    /// The IANA name of the time zone; `UTC` when none is written.
    #[must_use]
    pub fn time_zone(&self) -> &str {
        &self.time_zone
    }

    /// When the window that opens on this day opens and closes. An edge in an hour that a clock skips
    /// is moved by that hour, one in an hour that it has twice is the first of the two.
    fn on(&self, day: jiff::civil::Date) -> Result<(Timestamp, Timestamp), jiff::Error> {
        let zone = ZONES.get(&self.time_zone)?;
        let edge = |day: jiff::civil::Date, minute: u16| {
            let local = day.at((minute / 60) as i8, (minute % 60) as i8, 0, 0);
            local.to_zoned(zone.clone()).map(|edge| edge.timestamp())
        };
        let last = if self.start < self.end {
            day
        } else {
            day.tomorrow()?
        };
        Ok((edge(day, self.start)?, edge(last, self.end)?))
    }

    /// Until when it is open, when it is open at `at`, or when it opens next.
    fn opening(&self, at: Timestamp) -> Result<Opening, jiff::Error> {
        let today = at.to_zoned(ZONES.get(&self.time_zone)?).date();
        let mut day = today.yesterday()?;
        loop {
            if self.opens_on(day.weekday()) {
                let (opens, closes) = self.on(day)?;
                // Empty when its hours are skipped.
                if opens < closes && at < closes {
                    return Ok(if opens <= at {
                        Opening::OpenUntil(closes)
                    } else {
                        Opening::ClosedUntil(opens)
                    });
                }
            }
            day = day.tomorrow()?;
        }
    }
}

/// Whether changes may be applied at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    Always,
    /// With the moment at which that is to be looked at again.
    OpenUntil(Timestamp),
    /// With the moment at which the next window opens.
    ClosedUntil(Timestamp),
}

impl Opening {
    /// What `windows` say at `at`; without any it is always open.
    ///
    /// # Errors
    /// When this build does not know a time zone.
    pub fn at(windows: &[Window], at: Timestamp) -> Result<Self, jiff::Error> {
        let mut found = Self::Always;
        for window in windows {
            found = match (found, window.opening(at)?) {
                (Self::Always, next) => next,
                (Self::OpenUntil(one), Self::OpenUntil(other)) => Self::OpenUntil(one.max(other)),
                (Self::ClosedUntil(one), Self::ClosedUntil(other)) => {
                    Self::ClosedUntil(one.min(other))
                }
                (open @ Self::OpenUntil(_), _) | (_, open) => open,
            };
        }
        Ok(found)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != 0b111_1111 {
            let mut first = true;
            for (index, day) in DAYS.iter().enumerate() {
                if self.days & (1 << index) != 0 {
                    f.write_str(if first { "" } else { "," })?;
                    f.write_str(day)?;
                    first = false;
                }
            }
            f.write_str(" ")?;
        }
        let (start, end) = (self.start, self.end);
        write!(
            f,
            "{:02}:{:02}-{:02}:{:02}",
            start / 60,
            start % 60,
            end / 60,
            end % 60
        )?;
        if self.time_zone != "UTC" {
            write!(f, " {}", self.time_zone)?;
        }
        Ok(())
    }
}

impl Scalar for Window {
    const FORMAT: &'static str = "time-window";
    const DESCRIPTION: &'static str = "A time of the week: days (`sun`, `mon-fri`, `tue,thu`; none \
        means every day), start and end, and a time zone (UTC when left out).";
    const EXAMPLES: &'static [&'static str] = &[
        "sun 03:00-05:00 Europe/Berlin",
        "mon-fri 22:00-02:00",
        "04:00-05:00",
    ];

    fn parse(text: &str) -> Result<Self, Malformed> {
        let refuse = |why: String| {
            Malformed::new(format!("{} is not a time window: {why}", quoted(text)))
                .hint("write it like `sun 03:00-05:00 Europe/Berlin`")
        };
        if text.len() > 120 {
            return Err(refuse("it is too long".to_owned()));
        }
        let mut parts: Vec<&str> = text.split_ascii_whitespace().collect();
        let days = match parts.first() {
            Some(first) if !first.starts_with(|c: char| c.is_ascii_digit()) => {
                let days = days(first).map_err(&refuse)?;
                parts.remove(0);
                days
            }
            _ => 0b111_1111,
        };
        let (times, zone) = match parts.as_slice() {
            [times] => (*times, "UTC"),
            [times, zone] => (*times, *zone),
            [] => return Err(refuse("it has no times".to_owned())),
            _ => {
                return Err(refuse(
                    "it has more than days, times and a time zone".to_owned(),
                ));
            }
        };
        let times = times
            .split_once('-')
            .and_then(|(a, b)| Some((minutes(a)?, minutes(b)?)));
        let Some((start, end)) = times else {
            return Err(refuse("the times are not like `03:00-05:00`".to_owned()));
        };
        if start == end {
            return Err(refuse("it ends when it starts".to_owned()));
        }
        let known = ZONES.get(zone).ok();
        let Some(name) = known.and_then(|zone| zone.iana_name().map(str::to_owned)) else {
            return Err(refuse(format!("{} is not a time zone", quoted(zone))));
        };
        Ok(Self {
            days,
            start,
            end,
            time_zone: name,
        })
    }
}

scalar_impls!(Window);

fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(hour) || !digits(minute) {
        return None;
    }
    let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

fn days(text: &str) -> Result<u8, String> {
    let index = |name: &str| {
        let known = DAYS
            .iter()
            .position(|day| *day == name.to_ascii_lowercase());
        known.ok_or_else(|| format!("{} is not a day of the week", quoted(name)))
    };
    let mut days = 0u8;
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (index(first)?, index(last)?),
            None => (index(part)?, index(part)?),
        };
        let mut day = first;
        loop {
            days |= 1 << day;
            if day == last {
                break;
            }
            day = (day + 1) % 7;
        }
    }
    Ok(days)
}
