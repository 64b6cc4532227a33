//! Maintenance windows as systemd's calendar events.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use jiff::civil::{Date, Weekday};

use super::RenderError;
use crate::core::document::scalar::{MINUTES_OF_A_DAY, Scalar, Window};

/// Days of the week fall on the same dates again after so many years, so a rule of theirs shows all that it can give.
const YEARS: RangeInclusive<i16> = 2026..=2053;

/// When a timer of the node goes off in its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// When it opens.
    Begin,
    /// Well inside of it: reboots come after the updates that ask for them.
    Middle,
}

/// The calendar events of a moment in the window `text`. systemd leaves out a day on which the clocks skip the moment;
/// for those days there are events of their own.
pub(super) fn calendars(text: &str, moment: Moment) -> Result<Vec<String>, RenderError> {
    let wrong = |reason| RenderError::Value {
        field: "patching.window",
        value: text.to_owned(),
        reason,
    };
    let window = Window::parse(text)
        .map_err(|_| wrong("a window is written like `sun 03:00-05:00 Europe/Berlin`"))?;
    let zone = window.time_zone();
    let at = minute(&window, moment);
    let days = days(&window);
    let usual = format!("{days}*-*-* {:02}:{:02}:00 {zone}", at / 60, at % 60);
    let moved = moved(&window, moment, at).map_err(|_| wrong("its time zone is not known"))?;
    let moved = moved
        .into_iter()
        .map(|moved| format!("{moved} {zone}"))
        .collect::<Vec<_>>();
    Ok([vec![usual], moved].concat())
}

/// The moment in minutes after midnight, as the window is written.
fn minute(window: &Window, moment: Moment) -> u16 {
    let (start, _) = window.minutes();
    match moment {
        Moment::Begin => start,
        Moment::Middle => (start + window.length() / 2).min(MINUTES_OF_A_DAY - 1),
    }
}

/// `Mon,Tue `, or nothing for every day.
fn days(window: &Window) -> String {
    let open: Vec<&str> = (0..7)
        .filter_map(|day| Weekday::from_monday_zero_offset(day).ok())
        .filter(|day| window.opens_on(*day))
        .map(word)
        .collect();
    match open.len() {
        7 => String::new(),
        _ => format!("{} ", open.join(",")),
    }
}

fn word(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    }
}

/// Where the moment falls on days on which the clocks skip it: as a rule where there is one, such as the last Sunday of
/// March, and else as dates.
fn moved(window: &Window, moment: Moment, at: u16) -> Result<Vec<String>, jiff::Error> {
    let first = Date::new(*YEARS.start(), 1, 1)?;
    let last = Date::new(*YEARS.end(), 12, 31)?;
    let mut found: BTreeMap<(i8, i8, i8, i8), BTreeSet<Date>> = BTreeMap::new();
    for (day, open) in window.on_days_that_skip(first, last)? {
        let there = match moment {
            Moment::Begin => open.opens,
            Moment::Middle => open
                .opens
                .checked_add(open.closes.duration_since(open.opens) / 2)?,
        };
        let there = window.local(there)?;
        if !window.shows(day, at)? {
            let weekday = there.weekday().to_monday_zero_offset();
            let key = (there.month(), weekday, there.hour(), there.minute());
            found.entry(key).or_default().insert(there.date());
        }
    }
    let mut events = Vec::new();
    for ((month, weekday, hour, minute), dates) in found {
        let time = format!("{hour:02}:{minute:02}:00");
        let in_month = dates.iter().map(|date| date.day());
        let span = in_month.clone().min().zip(in_month.max());
        match span {
            Some((first, last)) if dates.len() == YEARS.count() && last - first < 7 => {
                let day = word(Weekday::from_monday_zero_offset(weekday)?);
                events.push(format!("{day} *-{month:02}-{first:02}..{last:02} {time}"));
            }
            _ => events.extend(dates.iter().map(|date| format!("{date} {time}"))),
        }
    }
    Ok(events)
}
