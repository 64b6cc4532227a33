//! Windows: the time of the week in which something may happen.

use std::fmt;

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Timestamp};

use super::{Malformed, Scalar, quoted, scalar_impls, zone};

/// A day of the calendar, whatever the clocks do.
pub const MINUTES_OF_A_DAY: u16 = 24 * 60;
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

    /// When the window that opens on this day opens and closes. An edge in an hour that the clocks skip is right after
    /// it, one in an hour that they have twice is the first of the two. A window that is skipped as a whole opens right
    /// after it, too, and for as long as it is written.
    fn on(&self, day: Date) -> Result<Occasion, jiff::Error> {
        let zone = zone::zone(&self.time_zone)?;
        let edge = |day: Date, minute: u16| zone::first_moment(&zone, at_minute(day, minute));
        let last = if self.start < self.end {
            day
        } else {
            day.tomorrow()?
        };
        let (opens, closes) = (edge(day, self.start)?, edge(last, self.end)?);
        if opens < closes {
            return Ok(Occasion { opens, closes });
        }
        let length = SignedDuration::from_mins(i64::from(self.length()));
        let closes = opens.checked_add(length)?;
        Ok(Occasion { opens, closes })
    }

    /// For how many minutes it is open, as it is written.
    #[must_use]
    pub fn length(&self) -> u16 {
        (self.end + MINUTES_OF_A_DAY - self.start) % MINUTES_OF_A_DAY
    }

    /// The first time that it is open at or after `at`; it may have opened before.
    ///
    /// # Errors
    /// When this build does not know the time zone, or the calendar ends.
    pub fn next(&self, at: Timestamp) -> Result<Occasion, jiff::Error> {
        let today = at.to_zoned(zone::zone(&self.time_zone)?).date();
        let mut day = today.yesterday()?;
        loop {
            if self.opens_on(day.weekday()) {
                let occasion = self.on(day)?;
                if at < occasion.closes {
                    return Ok(occasion);
                }
            }
            day = day.tomorrow()?;
        }
    }

    /// The days from `first` up to `last` on which it opens and the clocks skip an hour: the day, and when it is open.
    ///
    /// # Errors
    /// When this build does not know the time zone.
    pub fn on_days_that_skip(
        &self,
        first: Date,
        last: Date,
    ) -> Result<Vec<(Date, Occasion)>, jiff::Error> {
        let zone = zone::zone(&self.time_zone)?;
        let mut days = Vec::new();
        for change in zone.following(first.to_zoned(zone.clone())?.timestamp()) {
            let now = change.timestamp();
            let before = zone.to_offset(now.checked_sub(SignedDuration::from_secs(1))?);
            let day = before.to_datetime(now).date();
            if day > last {
                break;
            }
            if before < change.offset() && self.opens_on(day.weekday()) {
                days.push((day, self.on(day)?));
            }
        }
        Ok(days)
    }

    /// A moment as the clocks of the window's time zone show it.
    ///
    /// # Errors
    /// When this build does not know the time zone.
    pub fn local(&self, at: Timestamp) -> Result<DateTime, jiff::Error> {
        Ok(at.to_zoned(zone::zone(&self.time_zone)?).datetime())
    }

    /// Whether the clocks of its time zone show this minute of a day.
    ///
    /// # Errors
    /// When this build does not know the time zone.
    pub fn shows(&self, day: Date, minute: u16) -> Result<bool, jiff::Error> {
        let (zone, local) = (zone::zone(&self.time_zone)?, at_minute(day, minute));
        let first = zone::first_moment(&zone, local)?;
        Ok(first.to_zoned(zone).datetime() == local)
    }

    /// Until when it is open, when it is open at `at`, or when it opens next.
    fn opening(&self, at: Timestamp) -> Result<Opening, jiff::Error> {
        let Occasion { opens, closes } = self.next(at)?;
        Ok(if opens <= at {
            Opening::OpenUntil(closes)
        } else {
            Opening::ClosedUntil(opens)
        })
    }
}

/// One time that a window is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasion {
    pub opens: Timestamp,
    /// The first moment at which it is closed again.
    pub closes: Timestamp,
}

/// A time of a day, in minutes after midnight.
fn at_minute(day: Date, minute: u16) -> DateTime {
    day.at((minute / 60) as i8, (minute % 60) as i8, 0, 0)
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
        let Some(name) = zone::known(zone) else {
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
