//! How much of the past is kept, and the small chart that looks are folded into.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::job::{UnknownWord, words};

words! {
    /// What has an end of its own.
    HistoryKind, "kind of history" {
        /// Jobs that change something, when they have ended.
        Jobs = "jobs",
        /// Jobs that only look, when they have ended.
        Looks = "looks",
        /// The tasks of both.
        Tasks = "tasks",
        /// Entries of the audit chain in the database; what leaves it is written into segments.
        Audit = "audit",
        /// Revisions of the fleet repo and what became of them.
        Revisions = "revisions",
        /// Messages that were delivered or given up.
        Messages = "messages",
        /// What Ansible printed, as files.
        Logs = "logs",
    }
}

/// How much of one kind is kept: what is older than `age`, or not among the newest `count`, goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    pub age: Duration,
    pub count: u64,
}

/// How much of each kind is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPolicy(BTreeMap<HistoryKind, Keep>);

/// What ended more recently than this stays, whatever the limits say: somebody may still wait for
/// it or read it.
pub const GRACE: SignedDuration = SignedDuration::from_hours(1);

/// The smallest limits that make sense: within them, somebody still works with what is kept.
pub const SHORTEST_AGE: Duration = Duration::from_secs(3_600);
pub const SMALLEST_COUNT: u64 = 100;

impl Default for HistoryPolicy {
    fn default() -> Self {
        const fn keep(days: u64, count: u64) -> Keep {
            Keep {
                age: Duration::from_secs(days * 86_400),
                count,
            }
        }
        let of = |kind| match kind {
            HistoryKind::Jobs => keep(365, 100_000),
            HistoryKind::Looks => keep(30, 50_000),
            HistoryKind::Tasks => keep(90, 50_000),
            HistoryKind::Audit => keep(180, 500_000),
            HistoryKind::Revisions => keep(365, 10_000),
            HistoryKind::Messages | HistoryKind::Logs => keep(30, 10_000),
        };
        Self(
            HistoryKind::ALL
                .iter()
                .map(|kind| (*kind, of(*kind)))
                .collect(),
        )
    }
}

impl HistoryPolicy {
    /// How much of `kind` is kept.
    #[must_use]
    pub fn of(&self, kind: HistoryKind) -> Keep {
        self.0.get(&kind).copied().unwrap_or(Keep {
            age: Duration::MAX,
            count: u64::MAX,
        })
    }

    /// The same policy with another limit for `kind`.
    #[must_use]
    pub fn with(mut self, kind: HistoryKind, keep: Keep) -> Self {
        self.0.insert(kind, keep);
        self
    }

    /// What of `kind` ended before this moment goes at `now`; never anything within [`GRACE`].
    #[must_use]
    pub fn cutoff(&self, kind: HistoryKind, now: Timestamp) -> Timestamp {
        let age = SignedDuration::try_from(self.of(kind).age).unwrap_or(SignedDuration::MAX);
        now.saturating_sub(age.max(GRACE)).unwrap_or(Timestamp::MIN)
    }
}

/// Days of a chart.
pub const CHART_DAYS: usize = 30;
/// Seconds of a day.
pub const DAY: i64 = 86_400;

/// Bytes as a person reads them.
#[must_use]
pub fn readable_size(bytes: u64) -> String {
    const MEBIBYTE: u64 = 1 << 20;
    if bytes < MEBIBYTE {
        return format!("{} KiB", bytes.div_ceil(1 << 10));
    }
    let tenths = bytes % MEBIBYTE * 10 / MEBIBYTE;
    format!("{}.{tenths} MiB", bytes / MEBIBYTE)
}

/// How the looks of one kind at one resource went, by day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Chart(Vec<ChartDay>);

/// One day in UTC with looks in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct ChartDay {
    /// Days since 1970-01-01.
    pub day: i64,
    /// Looks that found everything as it should be.
    pub good: u64,
    /// Looks that failed or found a difference.
    pub bad: u64,
    /// What all of them took, in milliseconds.
    pub took_ms: u64,
}

impl Chart {
    /// Counts one look that ended at `at`. A clock that is set back a little adds to the last day;
    /// days of one that was far ahead go, since all looks would be counted there until then.
    pub fn count(&mut self, at: Timestamp, is_good: bool, took: Duration) {
        let day = at.as_second().div_euclid(DAY);
        self.0.retain(|known| known.day <= day + 1);
        if self.0.last().is_none_or(|last| last.day < day) {
            self.0.push(ChartDay {
                day,
                good: 0,
                bad: 0,
                took_ms: 0,
            });
            let excess = self.0.len().saturating_sub(CHART_DAYS);
            self.0.drain(..excess);
        }
        if let Some(last) = self.0.last_mut() {
            last.good += u64::from(is_good);
            last.bad += u64::from(!is_good);
            last.took_ms += u64::try_from(took.as_millis()).unwrap_or(u64::MAX / 2);
        }
    }

    /// The chart as short rows of numbers, in the order of the fields of [`ChartDay`].
    #[must_use]
    pub fn rows(&self) -> Vec<(i64, u64, u64, u64)> {
        let row = |day: &ChartDay| (day.day, day.good, day.bad, day.took_ms);
        self.0.iter().map(row).collect()
    }

    /// The chart of such rows.
    #[must_use]
    pub fn of_rows(rows: Vec<(i64, u64, u64, u64)>) -> Self {
        let day = |(day, good, bad, took_ms)| ChartDay {
            day,
            good,
            bad,
            took_ms,
        };
        Self(rows.into_iter().map(day).collect())
    }

    /// The days that had looks, the oldest first.
    #[must_use]
    pub fn days(&self) -> &[ChartDay] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(day * DAY + 7).expect("a time")
    }

    #[test]
    fn a_chart_counts_by_day_and_has_an_end() {
        let mut chart = Chart::default();
        for day in 0..100 {
            for n in 0..3 {
                chart.count(at(day), n > 0, Duration::from_millis(5));
            }
        }
        assert_eq!(chart.days().len(), CHART_DAYS);
        let last = chart.days()[CHART_DAYS - 1];
        assert_eq!(
            (last.day, last.good, last.bad, last.took_ms),
            (99, 2, 1, 15)
        );
        assert_eq!(Chart::of_rows(chart.rows()), chart);
        // A clock that is set back makes no day twice.
        chart.count(at(98), true, Duration::ZERO);
        assert_eq!(chart.days()[CHART_DAYS - 1].good, 3);
        assert_eq!(chart.days().len(), CHART_DAYS);
    }

    #[test]
    fn a_clock_that_was_once_ahead_takes_no_looks_from_the_days_that_come() {
        let mut chart = Chart::default();
        for day in [10, 11, 500, 12, 12, 13] {
            chart.count(at(day), true, Duration::ZERO);
        }
        let days: Vec<_> = chart.days().iter().map(|day| (day.day, day.good)).collect();
        assert_eq!(days, [(10, 1), (11, 1), (12, 2), (13, 1)]);
    }

    #[test]
    fn sizes_are_read_by_people() {
        let read = [0, 1025, (1 << 20) - 1, 1 << 20, 5 << 19, u64::MAX].map(readable_size);
        let expected = [
            "0 KiB",
            "2 KiB",
            "1024 KiB",
            "1.0 MiB",
            "2.5 MiB",
            "17592186044415.9 MiB",
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn nothing_recent_is_beyond_a_limit() {
        let now = at(1_000);
        let policy = HistoryPolicy::default().with(
            HistoryKind::Jobs,
            Keep {
                age: Duration::ZERO,
                count: 0,
            },
        );
        assert_eq!(policy.cutoff(HistoryKind::Jobs, now), now - GRACE);
        let forever = policy.with(
            HistoryKind::Jobs,
            Keep {
                age: Duration::MAX,
                count: 1,
            },
        );
        assert_eq!(forever.cutoff(HistoryKind::Jobs, now), Timestamp::MIN);
    }
}
