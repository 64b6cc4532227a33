//! When windows and schedules come next, for people and as JSON lines.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::output::{self, printable};
use crate::core::desired::Desired;
use crate::core::id::ResourceId;
use crate::core::recurring::{Recurring, Time, When, recurring};
use crate::core::spec::Spec;

/// How many resources with the same window or schedule are named.
const NAMED: usize = 3;

/// The windows and schedules of some resources.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// With the resources that have it: a default stands in thousands.
    by_time: BTreeMap<Recurring, Vec<ResourceId>>,
}

impl Times {
    /// Those of a whole fleet.
    pub(super) fn of(desired: &Desired) -> Self {
        let mut times = Self::default();
        times.add(&ResourceId::Fleet, &desired.fleet.spec());
        for node in desired.nodes.values() {
            times.add(&node.id(), &node.spec());
        }
        for site in desired.sites.values() {
            times.add(&site.id(), &site.spec());
        }
        for environment in desired.environments.values() {
            times.add(&environment.id(), &environment.spec());
        }
        times
    }

    /// Takes in those of one resource.
    pub(super) fn add(&mut self, id: &ResourceId, spec: &Spec) {
        for recurring in recurring(id.kind(), spec) {
            self.by_time.entry(recurring).or_default().push(id.clone());
        }
    }

    /// Lines of a JSON stream, one for each field of each resource.
    pub(super) fn lines(&self, now: Timestamp) -> impl Iterator<Item = Value> {
        self.by_time.iter().flat_map(move |(recurring, ids)| {
            let element = element(recurring, now);
            ids.iter().map(move |id| {
                let mut line = json!({"type": "times", "resource": id});
                if let (Value::Object(line), Value::Object(element)) = (&mut line, &element) {
                    line.extend(element.clone());
                }
                line
            })
        })
    }

    /// The fields of one resource, for a JSON document.
    pub(super) fn elements(&self, now: Timestamp) -> Vec<Value> {
        let fields = self.by_time.keys();
        fields.map(|recurring| element(recurring, now)).collect()
    }

    /// A paragraph, or nothing where nothing comes again; `with_names` says whose times these are.
    pub(super) fn text(&self, now: Timestamp, with_names: bool) -> String {
        let mut out = String::new();
        for (recurring, ids) in &self.by_time {
            let when = recurring.when.text();
            let when = printable(&when);
            out.push_str(&format!("  {} `{when}`", recurring.field));
            if with_names {
                out.push_str(&format!(" of {}", names(ids)));
            }
            out.push('\n');
            for time in recurring.when.times(now) {
                let line = line(&recurring.when, &time, now);
                out.push_str(&format!("    {line}\n"));
            }
            if let Some(missing) = recurring.missing {
                out.push_str(&format!("    nothing happens then yet: {missing}\n"));
            }
        }
        match out.is_empty() {
            true => out,
            false => format!("Next times\n{out}"),
        }
    }
}

fn element(recurring: &Recurring, now: Timestamp) -> Value {
    let times = recurring.when.times(now);
    let times: Vec<Value> = times
        .iter()
        .map(|time| json!({"from": time.from, "until": time.until}))
        .collect();
    json!({
        "field": recurring.field,
        "when": recurring.when.text(),
        "times": times,
        "missing": recurring.missing,
    })
}

/// The first few, and how many more there are.
fn names(ids: &[ResourceId]) -> String {
    let named: Vec<String> = ids.iter().take(NAMED).map(ToString::to_string).collect();
    match ids.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// A time as the clocks of its own zone show it, and in UTC where that is another.
fn line(when: &When, time: &Time, now: Timestamp) -> String {
    let local = |at: Timestamp, form: &str| {
        let local = when.local(at).map(|local| local.strftime(form).to_string());
        local.unwrap_or_else(|| output::seconds(at))
    };
    let mut line = local(time.from, "%a %Y-%m-%d %H:%M %Z");
    if let Some(until) = time.until {
        line.push_str(&format!(" until {}", local(until, "%H:%M %Z")));
    }
    if !line.ends_with(" UTC") {
        line.push_str(&format!(" ({})", output::seconds(time.from)));
    }
    if time.from <= now {
        line.push_str(", open now");
    }
    line
}
