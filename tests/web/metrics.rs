//! `/metrics` as Prometheus and its linter want it.

use std::collections::{BTreeMap, BTreeSet};

use pressluft::core::job::JobType;
use pressluft::store::Outcome;

use crate::world::{Setup, World, job};

/// Name to value of every sample, labels included.
fn samples(text: &str) -> BTreeMap<String, f64> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            (name.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

#[test]
fn each_family_is_explained_and_named_as_is_usual() {
    let mut world = World::with_fleet();
    world.login("anna", "wrong");
    world.ask("/api/jobs");
    let reply = world.get("/metrics");
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let text = reply.text();
    let mut kinds = BTreeMap::new();
    let mut helped = BTreeSet::new();
    let mut done = BTreeSet::new();
    let mut family = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            assert!(help.ends_with('.'), "{line}");
            assert!(helped.insert(name), "{name} is explained twice");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(helped.contains(name) && done.insert(name), "{line}");
            kinds.insert(name, kind);
            family = name;
        } else {
            let name = line.split(['{', ' ']).next().expect("a name");
            let base = match kinds[family] {
                "histogram" => name
                    .strip_suffix("_bucket")
                    .or_else(|| name.strip_suffix("_sum"))
                    .or_else(|| name.strip_suffix("_count"))
                    .expect("a part of a histogram"),
                _ => name,
            };
            assert_eq!(base, family, "{line} stands below another family");
        }
    }
    for (name, kind) in &kinds {
        assert_eq!(
            name.ends_with("_total"),
            *kind == "counter",
            "{name} is a {kind}"
        );
        assert!(
            !name.contains("milli") && !name.contains("minutes"),
            "{name}: base units"
        );
        if *kind == "histogram" {
            assert!(name.ends_with("_seconds"), "{name}");
        }
    }
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(samples(&text).len(), lines.len(), "a sample stands twice");
    for name in [
        "pressluft_jobs",
        "pressluft_queue_oldest_seconds",
        "pressluft_queue_wait_seconds",
        "pressluft_job_duration_seconds",
        "pressluft_reconcile_duration_seconds",
        "pressluft_commit_to_converged_seconds",
        "pressluft_resource_info",
    ] {
        assert!(kinds.contains_key(name), "{name} is missing");
    }
}

#[test]
fn figures_of_jobs_go_on_after_a_restart() {
    let mut world = World::with_fleet();
    for outcome in [Outcome::Succeeded, Outcome::Succeeded] {
        let one = job(JobType::HealthCheck, "env/acme/production", "web-1");
        world.queue(&[one], crate::world::FIRST);
        let claim = world.claim();
        world.end(&claim, outcome, &[]);
    }
    let before = samples(&world.get("/metrics").text());
    assert_eq!(
        before["pressluft_jobs{status=\"succeeded\",type=\"health_check\"}"],
        2.0
    );
    let count = "pressluft_job_duration_seconds_count{type=\"health_check\"}";
    assert_eq!(before[count], 2.0);
    assert_eq!(
        before["pressluft_queue_wait_seconds_count{type=\"env_configure\"}"],
        2.0
    );
    let world = world.restart(&Setup::default());
    let after = samples(&world.get("/metrics").text());
    for (name, value) in before {
        let is_process = name.contains("pressluft_http_")
            || name.contains("logins_total")
            || name.contains("webhooks_total")
            || name.starts_with("process_");
        let counts = name.contains("_count") || name.contains("_bucket") || name.contains("_sum");
        if !is_process && counts {
            assert!(
                after[&name] >= value,
                "{name}: {} after {value}",
                after[&name]
            );
        }
    }
}

#[test]
fn every_resource_is_named_with_its_condition() {
    let world = World::with_fleet();
    let samples = samples(&world.get("/metrics").text());
    let find = |id: &str| {
        samples
            .keys()
            .find(|name| name.starts_with("pressluft_resource_info") && name.contains(id))
            .unwrap_or_else(|| panic!("{id} is missing"))
    };
    assert!(find("id=\"env/florist/staging\"").contains("status=\"failed\""));
    assert!(find("id=\"env/harbour/production\"").contains("status=\"blocked\""));
    assert!(find("id=\"env/acme/production\"").contains(crate::world::FIRST));
}
