//! Quantities mean something: what a document asks for can be had.

use super::Draft;
use crate::core::desired::findings::Findings;
use crate::core::desired::{HasSpec, Resource};
use crate::core::document::bounds::{BOUNDS, Bounds};
use crate::core::document::read::Step;
use crate::core::document::scalar::{ByteSize, Duration};
use crate::core::document::{DocumentKind, Environment, Fleet, Node};

pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    if let Some(resource) = &draft.fleet {
        fields_of(DocumentKind::Fleet, resource, of_fleet, findings);
    }
    for resource in &draft.nodes {
        fields_of(DocumentKind::Node, resource, of_node, findings);
    }
    for resource in &draft.environments {
        fields_of(
            DocumentKind::Environment,
            resource,
            of_environment,
            findings,
        );
    }
}

fn fields_of<T: HasSpec>(
    kind: DocumentKind,
    resource: &Resource<T>,
    value_of: impl Fn(&T, &str) -> Option<u64>,
    findings: &mut Findings,
) {
    for bounds in BOUNDS.iter().filter(|bounds| bounds.kind == kind) {
        let value = value_of(&resource.value, bounds.field);
        if let Some(value) = value.filter(|value| !bounds.has(*value)) {
            outside(resource, bounds, value, findings);
        }
    }
}

fn outside<T>(resource: &Resource<T>, bounds: &Bounds, value: u64, findings: &mut Findings) {
    let path: Vec<Step> = bounds.field.split('.').map(Step::Field).collect();
    let (shown, words) = (bounds.shown(value), bounds.words());
    let message = format!("`{}`: `{shown}` is not {words}", bounds.field);
    findings
        .error(&resource.source, path, "out-of-range", message)
        .hint(format!("write a value {words}"));
}

fn of_fleet(fleet: &Fleet, field: &str) -> Option<u64> {
    match field {
        "reconcile.interval" => Some(fleet.reconcile.interval.as_secs()),
        "rollout.soak" => Some(fleet.rollout.soak.as_secs()),
        _ => None,
    }
}

fn of_node(node: &Node, field: &str) -> Option<u64> {
    match field {
        "swap" => node.swap.map(ByteSize::as_bytes),
        "database.buffer_pool" => node.database.buffer_pool.map(ByteSize::as_bytes),
        "redis.maxmemory" => Some(node.redis.maxmemory.as_bytes()),
        "php.opcache" => Some(node.php.opcache.as_bytes()),
        "php.ram_budget" => node.php.ram_budget.map(ByteSize::as_bytes),
        _ => None,
    }
}

fn of_environment(environment: &Environment, field: &str) -> Option<u64> {
    match field {
        "php.memory" => Some(environment.php.memory.as_bytes()),
        "health.timeout" => Some(environment.health.timeout.as_secs()),
        "cron.interval" => Some(environment.cron.interval.as_secs()),
        "cache.ttl" => Some(environment.cache.ttl.as_secs()),
        "expires" => environment.expires.map(Duration::as_secs),
        _ => None,
    }
}
