//! What the looks at a resource found, as a line and a small chart for each type.

use jiff::Timestamp;
use serde::Serialize;

use super::parts::words;
use super::when::{When, span};
use crate::core::history::{CHART_DAYS, ChartDay, DAY};
use crate::store::Looks;

/// Days of a chart, and how wide and high each is.
const DAYS: i64 = CHART_DAYS as i64;
const WIDTH: i64 = 5;
const HEIGHT: u64 = 20;

#[derive(Debug, Serialize)]
pub(super) struct LookLine {
    what: String,
    word: &'static str,
    code: Option<String>,
    job: String,
    since: When,
    repeats: u64,
    last: When,
    total: u64,
    width: i64,
    height: u64,
    bars: Vec<Bar>,
}

/// A day of the chart.
#[derive(Debug, Serialize)]
struct Bar {
    x: i64,
    width: i64,
    /// Of what went wrong, from the top, and of the rest below it.
    bad: u64,
    good: u64,
    title: String,
}

/// The lines of a page.
pub(super) fn lines(looks: &[Looks], now: Timestamp) -> Vec<LookLine> {
    looks.iter().map(|look| line(look, now)).collect()
}

fn line(look: &Looks, now: Timestamp) -> LookLine {
    let today = now.as_second().div_euclid(DAY);
    LookLine {
        what: words(look.job_type.as_str()),
        word: look.status.as_str(),
        code: look.error_code.map(|code| code.to_string()),
        job: look.job.to_string(),
        since: When::new(look.since, now),
        repeats: look.repeats,
        last: When::new(look.last_at, now),
        total: look.total,
        width: DAYS * WIDTH,
        height: HEIGHT,
        bars: look
            .days
            .days()
            .iter()
            .filter(|day| (0..DAYS).contains(&(today - day.day)))
            .map(|day| bar(day, DAYS - 1 - (today - day.day)))
            .collect(),
    }
}

fn bar(day: &ChartDay, place: i64) -> Bar {
    let all = (day.good + day.bad).max(1);
    // A single one that went wrong is seen, however many there were.
    let bad = match day.bad {
        0 => 0,
        bad => (HEIGHT * bad / all).max(2),
    };
    let date = Timestamp::from_second(day.day.saturating_mul(DAY))
        .map_or_else(|_| String::new(), |at| at.strftime("%Y-%m-%d").to_string());
    let mean = day.took_ms as f64 / all as f64 / 1_000.0;
    Bar {
        x: place * WIDTH,
        width: WIDTH - 1,
        bad,
        good: HEIGHT - bad,
        title: format!(
            "{date}: {} good, {} not, {} each",
            day.good,
            day.bad,
            span(mean)
        ),
    }
}
