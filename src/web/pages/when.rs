//! Moments and durations as people read them.

use jiff::Timestamp;
use serde::Serialize;

/// A moment: relative to now, and absolute for those who point at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct When {
    /// RFC 3339, for programs.
    iso: String,
    /// To the second, for people.
    full: String,
    text: String,
}

impl When {
    pub(super) fn new(at: Timestamp, now: Timestamp) -> Self {
        Self {
            iso: at.to_string(),
            full: at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            text: relative(now.duration_since(at).as_secs()),
        }
    }

    pub(super) fn option(at: Option<Timestamp>, now: Timestamp) -> Option<Self> {
        at.map(|at| Self::new(at, now))
    }
}

/// `3 min ago`, `in 2 h`: the same words as the script has.
fn relative(seconds: i64) -> String {
    let away = seconds.unsigned_abs();
    let text = match away {
        0..=4 => return "now".to_owned(),
        5..=59 => format!("{away} s"),
        60..=3_599 => format!("{} min", away / 60),
        3_600..=86_399 => format!("{} h", away / 3_600),
        86_400..=2_678_399 => format!("{} d", away / 86_400),
        2_678_400..=31_535_999 => format!("{} mo", away / 2_629_800),
        _ => format!("{} y", away / 31_536_000),
    };
    if seconds > 0 {
        format!("{text} ago")
    } else {
        format!("in {text}")
    }
}

/// Seconds as people read them: `0.4 s`, `12 s`, `3 min 4 s`, `2 h 5 min`.
pub(super) fn span(seconds: f64) -> String {
    if seconds < 9.95 {
        return format!("{:.1} s", seconds.max(0.0));
    }
    let whole = seconds.round() as u64;
    match whole {
        0..=59 => format!("{whole} s"),
        60..=3_599 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3_600, whole % 3_600 / 60),
    }
}

/// How long something took, or has taken so far.
pub(super) fn took(from: Option<Timestamp>, to: Option<Timestamp>, now: Timestamp) -> String {
    from.map_or_else(String::new, |from| {
        span(to.unwrap_or(now).duration_since(from).as_secs_f64())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_in_the_largest_unit() {
        let texts: Vec<String> = [3, 59, 60, 7_199, 90_000, -120, 40_000_000]
            .map(relative)
            .into();
        assert_eq!(
            texts,
            [
                "now",
                "59 s ago",
                "1 min ago",
                "1 h ago",
                "1 d ago",
                "in 2 min",
                "1 y ago"
            ]
        );
    }

    #[test]
    fn spans_are_told_in_two_units() {
        let texts: Vec<String> = [0.04, 9.96, 61.0, 3_720.0].map(span).into();
        assert_eq!(texts, ["0.0 s", "10 s", "1 min 1 s", "1 h 2 min"]);
    }
}
