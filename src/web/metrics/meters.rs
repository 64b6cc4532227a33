//! What this process counts of itself. It begins at zero with each start.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::text::Text;
use crate::store::Histogram;

/// Limits of the durations of requests, in milliseconds.
const LIMITS: [u64; 7] = [1, 5, 20, 100, 500, 2_000, 10_000];

/// Counters since the process began.
#[derive(Debug, Default)]
pub(in crate::web) struct Meters(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    requests: BTreeMap<(String, u16), u64>,
    took: Histogram,
    logins: BTreeMap<&'static str, u64>,
    webhooks: BTreeMap<&'static str, u64>,
    refusals: BTreeMap<&'static str, u64>,
}

impl Meters {
    /// Counts a request by its route, so that nobody can make the list longer.
    pub(in crate::web) fn count_request(&self, route: &str, status: u16, took: Duration) {
        self.with(|counts| {
            *counts
                .requests
                .entry((route.to_owned(), status))
                .or_default() += 1;
            counts.took.sum += took;
            let limits = LIMITS.map(Duration::from_millis);
            match limits.iter().find(|limit| took <= **limit) {
                Some(limit) => *counts.took.buckets.entry(*limit).or_default() += 1,
                None => counts.took.above += 1,
            }
        });
    }

    pub(in crate::web) fn count_login(&self, result: &'static str) {
        self.with(|counts| *counts.logins.entry(result).or_default() += 1);
    }

    pub(in crate::web) fn count_webhook(&self, result: &'static str) {
        self.with(|counts| *counts.webhooks.entry(result).or_default() += 1);
    }

    /// Counts what was refused before it reached any route, by why.
    pub(in crate::web) fn count_refusal(&self, reason: &'static str) {
        self.with(|counts| *counts.refusals.entry(reason).or_default() += 1);
    }

    fn with<T>(&self, work: impl FnOnce(&mut Counts) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes all of it; `streams` are open now.
    pub(super) fn write(&self, text: &mut Text, streams: usize) {
        self.with(|counts| {
            text.counter(
                "pressluft_http_requests_total",
                "Requests that were answered, since the process began.",
            );
            for ((route, status), count) in &counts.requests {
                let status = status.to_string();
                text.value(&[("route", route), ("status", &status)], *count as f64);
            }
            for limit in LIMITS {
                counts
                    .took
                    .buckets
                    .entry(Duration::from_millis(limit))
                    .or_default();
            }
            let took = BTreeMap::from([(String::new(), counts.took.clone())]);
            text.histogram(
                "pressluft_http_request_duration_seconds",
                "Of requests until their answer began, since the process began.",
                "",
                &took,
            );
            text.counter(
                "pressluft_logins_total",
                "Logins by how they ended, since the process began.",
            );
            for result in ["right", "wrong", "limited"] {
                let count = counts.logins.get(result).copied().unwrap_or_default();
                text.value(&[("result", result)], count as f64);
            }
            text.counter(
                "pressluft_webhooks_total",
                "Webhooks that came in, since the process began.",
            );
            for result in ["accepted", "refused"] {
                let count = counts.webhooks.get(result).copied().unwrap_or_default();
                text.value(&[("result", result)], count as f64);
            }
            text.counter(
                "pressluft_http_refused_total",
                "Connections that were closed or turned away for others, and heads of requests \
                 that were malformed, since the process began.",
            );
            for reason in ["connections", "connections_of_source", "waited_longest"] {
                counts.refusals.entry(reason).or_default();
            }
            for (reason, count) in &counts.refusals {
                text.value(&[("reason", reason)], *count as f64);
            }
        });
        text.gauge("pressluft_event_streams", "Event streams that are open.");
        text.value(&[], streams as f64);
        if let Some(bytes) = resident() {
            text.gauge(
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
            );
            text.value(&[], bytes as f64);
        }
    }
}

/// The memory of this process that is in use, in bytes.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1_024)
}
