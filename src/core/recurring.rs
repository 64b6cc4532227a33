//! Which fields say that something happens again and again, and when that is next.

use jiff::{Timestamp, Zoned};
use serde_json::Value;

use super::carrier::{Carrier, carrier_of};
use super::document::scalar::{Scalar, Schedule, Window, time_zone};
use super::id::ResourceKind;
use super::spec::Spec;

/// The fields that hold windows and schedules. A list is one field.
const FIELDS: [(ResourceKind, &str); 5] = [
    (ResourceKind::Fleet, "reconcile.windows"),
    (ResourceKind::Node, "patching.window"),
    (ResourceKind::Site, "updates.window"),
    (ResourceKind::Env, "backups.schedule"),
    (ResourceKind::Env, "health.schedule"),
];

/// How many times are shown.
pub const SHOWN: usize = 3;

/// A field that holds a window or a schedule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recurring {
    pub field: &'static str,
    pub when: When,
    /// Why nothing happens at these times yet.
    pub missing: Option<&'static str>,
}

/// Windows come before schedules.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    Window(Window),
    Schedule(Schedule),
}

/// One time that it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// It may have been already, when it is a window that is open.
    pub from: Timestamp,
    /// Of a window: when it closes.
    pub until: Option<Timestamp>,
}

/// The windows and schedules in a spec.
#[must_use]
pub fn recurring(kind: ResourceKind, spec: &Spec) -> Vec<Recurring> {
    let mut found = Vec::new();
    for (_, field) in FIELDS.iter().filter(|(of, _)| *of == kind) {
        let path: Vec<String> = field.split('.').map(str::to_owned).collect();
        let missing = match carrier_of(kind, &path) {
            Carrier::Missing(why) => Some(why),
            Carrier::Job(_) | Carrier::Record | Carrier::Fixed(_) => None,
        };
        let texts = match spec.get(field) {
            Some(Value::Array(texts)) => texts.iter().collect(),
            Some(text) => vec![text],
            None => Vec::new(),
        };
        let texts = texts.into_iter().filter_map(Value::as_str);
        found.extend(texts.filter_map(When::read).map(|when| Recurring {
            field,
            when,
            missing,
        }));
    }
    found
}

impl When {
    fn read(text: &str) -> Option<Self> {
        let window = Window::parse(text).ok().map(Self::Window);
        window.or_else(|| Schedule::parse(text).ok().map(Self::Schedule))
    }

    /// As it is written.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Window(window) => window.to_string(),
            Self::Schedule(schedule) => schedule.to_string(),
        }
    }

    /// A moment as the clocks show it in the time zone that it is written in.
    #[must_use]
    pub fn local(&self, at: Timestamp) -> Option<Zoned> {
        let name = match self {
            Self::Window(window) => window.time_zone(),
            Self::Schedule(schedule) => schedule.time_zone(),
        };
        Some(at.to_zoned(time_zone(name).ok()?))
    }

    /// The next times after `now`, the first of them the present one when a window is open.
    #[must_use]
    pub fn times(&self, now: Timestamp) -> Vec<Time> {
        let mut times = Vec::new();
        let mut after = now;
        while times.len() < SHOWN {
            let (time, next) = match self {
                Self::Window(window) => match window.next(after) {
                    Ok(open) => (
                        Time {
                            from: open.opens,
                            until: Some(open.closes),
                        },
                        open.closes,
                    ),
                    Err(_) => break,
                },
                Self::Schedule(schedule) => match schedule.next_after(after) {
                    Some(from) => (Time { from, until: None }, from),
                    None => break,
                },
            };
            times.push(time);
            after = next;
        }
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::document::{DocumentKind, schema};
    use serde_json::json;

    /// The path of each property whose value has one of the formats.
    fn formatted(root: &Value, block: &Value, path: &str, found: &mut Vec<String>) {
        let inner = match block["$ref"].as_str().and_then(|at| at.rsplit('/').next()) {
            Some(name) => &root["$defs"][name],
            None => block,
        };
        if matches!(inner["format"].as_str(), Some("time-window" | "cron")) {
            found.push(path.to_owned());
        }
        if inner["items"].is_object() {
            formatted(root, &inner["items"], path, found);
        }
        for (name, property) in inner["properties"].as_object().into_iter().flatten() {
            if path.is_empty() && name == "defaults" {
                continue;
            }
            let below = [path, name].into_iter().filter(|part| !part.is_empty());
            let below = below.collect::<Vec<_>>().join(".");
            formatted(root, property, &below, found);
        }
    }

    #[test]
    fn every_window_and_schedule_of_the_schemas_is_one_of_the_fields() {
        let mut found = Vec::new();
        for (document, kind) in [
            (DocumentKind::Fleet, ResourceKind::Fleet),
            (DocumentKind::Node, ResourceKind::Node),
            (DocumentKind::Site, ResourceKind::Site),
            (DocumentKind::Environment, ResourceKind::Env),
        ] {
            let mut paths = Vec::new();
            let schema = schema::of(document);
            formatted(schema, schema, "", &mut paths);
            found.extend(paths.into_iter().map(|path| (kind, path)));
        }
        found.sort();
        let fields: Vec<_> = FIELDS.iter().map(|(k, p)| (*k, (*p).to_owned())).collect();
        assert_eq!(found, fields);
    }

    #[test]
    fn the_next_three_times_are_those_of_the_clocks_on_the_wall() {
        let spec = |value: Value| Spec::new(value.as_object().cloned().unwrap_or_default());
        let now: Timestamp = "2026-03-27T12:00:00Z".parse().expect("a time");
        let times = |kind, value| -> Vec<String> {
            let found = recurring(kind, &spec(value));
            let times = found.iter().flat_map(|recurring| recurring.when.times(now));
            times.map(|time| time.from.to_string()).collect()
        };
        assert_eq!(
            times(
                ResourceKind::Node,
                json!({"patching": {"window": "02:00-03:00 Europe/Berlin"}})
            ),
            [
                "2026-03-28T01:00:00Z",
                "2026-03-29T01:00:00Z",
                "2026-03-30T00:00:00Z"
            ]
        );
        assert_eq!(
            times(
                ResourceKind::Env,
                json!({"health": {"schedule": "30 2 * * * Europe/Berlin"}})
            ),
            [
                "2026-03-28T01:30:00Z",
                "2026-03-29T01:00:00Z",
                "2026-03-30T00:30:00Z"
            ]
        );
        let windows = json!({"reconcile": {"windows": ["fri 11:00-13:00", "sun 01:00-02:00"]}});
        assert_eq!(times(ResourceKind::Fleet, windows).len(), 2 * SHOWN);
        let backups = json!({"backups": {"schedule": "0 3 * * *"}});
        let found = recurring(ResourceKind::Env, &spec(backups));
        assert!(found[0].missing.is_some_and(|why| why.contains("backups")));
    }
}
