//! Maintenance windows as systemd's calendar events.

use super::RenderError;

/// A maintenance window such as `sun 03:00-05:00 Europe/Berlin`, as systemd's calendar events.
pub(super) struct Window {
    days: String,
    start: u32,
    end: u32,
    zone: String,
}

impl Window {
    pub(super) fn parse(text: &str) -> Result<Self, RenderError> {
        Self::read(text).ok_or_else(|| RenderError::Value {
            field: "patching.window",
            value: text.to_owned(),
            reason: "a window is written like `sun 03:00-05:00 Europe/Berlin`",
        })
    }

    fn read(text: &str) -> Option<Self> {
        let mut days = String::new();
        let mut times = None;
        let mut zone = "UTC".to_owned();
        for word in text.split_whitespace() {
            if word.starts_with(|c: char| c.is_ascii_digit()) {
                let (start, end) = word.split_once('-')?;
                times = Some((minutes(start)?, minutes(end)?));
            } else if times.is_some() {
                let fits = |c: char| c.is_ascii_alphanumeric() || "/_+-".contains(c);
                zone = Some(word).filter(|word| word.chars().all(fits))?.to_owned();
            } else if !matches!(word, "daily" | "*") {
                days = calendar_days(word)?;
            }
        }
        let (start, end) = times?;
        Some(Self {
            days,
            start,
            end,
            zone,
        })
    }

    /// The beginning of the window, or a moment well inside of it: reboots come after the
    /// updates that ask for them.
    pub(super) fn calendar(&self, inside: bool) -> String {
        let length = (self.end + 24 * 60 - self.start) % (24 * 60);
        let at = if inside {
            (self.start + length / 2).min(24 * 60 - 1)
        } else {
            self.start
        };
        let days = if self.days.is_empty() {
            String::new()
        } else {
            format!("{} ", self.days)
        };
        format!("{days}*-*-* {:02}:{:02}:00 {}", at / 60, at % 60, self.zone)
    }
}

fn minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

/// `mon-fri,sun` as `Mon..Fri,Sun`.
fn calendar_days(text: &str) -> Option<String> {
    let day = |word: &str| {
        ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
            .into_iter()
            .find(|day| day.eq_ignore_ascii_case(word))
    };
    let parts: Option<Vec<String>> = text
        .split(',')
        .map(|part| match part.split_once('-') {
            Some((first, last)) => Some(format!("{}..{}", day(first)?, day(last)?)),
            None => day(part).map(ToOwned::to_owned),
        })
        .collect();
    parts.map(|parts| parts.join(","))
}
