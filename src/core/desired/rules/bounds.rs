//! Numbers mean something: what a document asks for can be had on a node.

use super::Draft;
use crate::core::desired::findings::{Findings, fields};
use crate::core::desired::{Resource, Source};
use crate::core::document::read::Step;
use crate::core::document::scalar::{ByteSize, Duration, PhpSize};
use crate::core::document::{Environment, Node};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const MINUTE: u64 = 60;
const DAY: u64 = 86_400;

pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    for node in &draft.nodes {
        of_node(node, findings);
    }
    for environment in &draft.environments {
        of_environment(environment, findings);
    }
}

fn of_node(resource: &Resource<Node>, findings: &mut Findings) {
    let node = &resource.value;
    let mut size = |path: Vec<Step>, value: Option<ByteSize>, least: u64, most: u64| {
        if let Some(value) = value.filter(|value| !(least..=most).contains(&value.as_bytes())) {
            let range = (ByteSize::from_bytes(least), ByteSize::from_bytes(most));
            outside(&resource.source, path, &value, &range, findings);
        }
    };
    size(fields(["swap"]), node.swap, 64 * MIB, 1024 * GIB);
    let pool = node.database.buffer_pool;
    let path = fields(["database", "buffer_pool"]);
    size(path, pool, 32 * MIB, 8192 * GIB);
    let redis = Some(node.redis.maxmemory);
    let path = fields(["redis", "maxmemory"]);
    size(path, redis, 16 * MIB, 1024 * GIB);
    let opcache = Some(node.php.opcache);
    let path = fields(["php", "opcache"]);
    size(path, opcache, 16 * MIB, 16 * GIB);
    let budget = node.php.ram_budget;
    let path = fields(["php", "ram_budget"]);
    size(path, budget, 128 * MIB, 64 * 1024 * GIB);
}

fn of_environment(resource: &Resource<Environment>, findings: &mut Findings) {
    let (environment, source) = (&resource.value, &resource.source);
    let memory = environment.php.memory;
    if !(32..=16 * 1024).contains(&(memory.as_bytes() / MIB)) {
        let range = (PhpSize::mebibytes(32), PhpSize::mebibytes(16 * 1024));
        let path = fields(["php", "memory"]);
        outside(source, path, &memory, &range, findings);
    }
    let mut time = |path: Vec<Step>, value: Duration, least: u64, most: u64| {
        if !(least..=most).contains(&value.as_secs()) {
            let range = (Duration::seconds(least), Duration::seconds(most));
            outside(source, path, &value, &range, findings);
        }
    };
    let timeout = environment.health.timeout;
    time(fields(["health", "timeout"]), timeout, 1, 5 * MINUTE);
    // `0s` is never.
    let interval = environment.cron.interval;
    if interval.as_secs() > 0 {
        time(fields(["cron", "interval"]), interval, MINUTE, 7 * DAY);
    }
    time(
        fields(["cache", "ttl"]),
        environment.cache.ttl,
        1,
        365 * DAY,
    );
    if let Some(expires) = environment.expires {
        time(fields(["expires"]), expires, 60 * MINUTE, 3650 * DAY);
    }
}

fn outside<T: std::fmt::Display>(
    source: &Source,
    path: Vec<Step>,
    value: &T,
    (least, most): &(T, T),
    findings: &mut Findings,
) {
    let message = format!("`{value}` is not from `{least}` to `{most}`");
    findings
        .error(source, path, "out-of-range", message)
        .hint(format!("write a value from `{least}` to `{most}`"));
}
