//! An environment's caches: whole pages in nginx, objects in a Redis of its own.

use std::fmt::Write as _;

use minijinja::{Value as View, context};
use serde_json::Value;

use super::units::{no_unit, unit};
use super::values::{bytes, seconds};
use super::{Builder, Item, RenderError};
use crate::core::document::scalar::decoded;
use crate::core::names::EnvironmentNames;

const MIB: u64 = 1 << 20;
/// What the program takes beside values and clients.
const REDIS_MEGABYTES: u64 = 32;
/// How long a page that nobody asks for stays at hand after its time, for when the site fails.
const KEPT_SECONDS: u64 = 24 * 60 * 60;

/// What templates see of the page cache, or none where it is off.
pub(super) fn page_cache(env: &Value) -> Result<Option<View>, RenderError> {
    let cache = &env["cache"];
    if cache["page"] != true {
        return Ok(None);
    }
    let ttl = seconds(&cache["ttl"])?.ok_or(RenderError::Missing("`cache.ttl`"))?;
    let texts = |list: &Value| -> Vec<String> {
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter()
            .filter_map(|text| text.as_str().map(str::to_owned))
            .collect()
    };
    let paths: Vec<String> = texts(&cache["bypass_paths"])
        .iter()
        .map(|path| below(path))
        .collect();
    let cookies: Vec<String> = texts(&cache["bypass_cookies"])
        .iter()
        .map(|name| literal(name))
        .collect();
    Ok(Some(context! {
        seconds => ttl,
        inactive => ttl + KEPT_SECONDS,
        paths,
        cookies,
    }))
}

/// The bytes that an environment's Redis may keep, and the megabytes that all of it may take.
pub(super) fn redis_limits(node: &Value) -> Result<(u64, u64), RenderError> {
    let values = bytes(&node["redis"]["maxmemory"], "redis.maxmemory")?
        .ok_or(RenderError::Missing("`redis.maxmemory`"))?;
    let half = values / 2;
    Ok((
        values,
        values.saturating_add(half).div_ceil(MIB) + REDIS_MEGABYTES,
    ))
}

/// The files of the page cache: where pages are, and the units that empty it when the site says so.
pub(super) fn pages(
    tree: &mut Builder,
    names: &EnvironmentNames,
    is_on: bool,
    render: &dyn Fn(&str) -> Result<String, RenderError>,
) -> Result<(), RenderError> {
    let system = names.system.as_str();
    let (path, service) = (
        format!("pressluft-purge-{system}.path"),
        format!("pressluft-purge-{system}.service"),
    );
    let wanted = format!("/etc/systemd/system/paths.target.wants/{path}");
    if is_on {
        tree.push(
            Item::directory(format!("/var/cache/pressluft/{system}"), "0700").owned(
                "www-data",
                "www-data",
                Some("0700"),
            ),
        );
        tree.push(unit(&service, render("systemd/purge.service")?));
        tree.push(unit(&path, render("systemd/purge.path")?).then("start-purge"));
        tree.push(Item::directory(
            "/etc/systemd/system/paths.target.wants",
            "0755",
        ));
        tree.push(Item::link(wanted, format!("/etc/systemd/system/{path}")).then("daemon-reload"));
    } else {
        tree.push(Item::absent(wanted).then("stop-purge"));
        tree.push(no_unit(&path));
        tree.push(no_unit(&service));
    }
    Ok(())
}

/// The environment's own Redis. What WordPress needs to use it comes from the fleet's sources.
pub(super) fn objects(
    tree: &mut Builder,
    names: &EnvironmentNames,
    is_on: bool,
    render: &dyn Fn(&str) -> Result<String, RenderError>,
) -> Result<(), RenderError> {
    let (system, root) = (names.system.as_str(), names.root.as_str());
    let name = format!("pressluft-redis-{system}.service");
    let wanted = format!("/etc/systemd/system/multi-user.target.wants/{name}");
    let configuration = format!("/etc/pressluft/redis/{system}.conf");
    if is_on {
        tree.push(Item::directory("/etc/pressluft/redis", "0711"));
        tree.push(
            Item::file(configuration, render("redis/environment.conf")?)
                .owned("root", system, Some("0640"))
                .then("restart-redis"),
        );
        tree.push(unit(&name, render("systemd/redis.service")?).then("restart-redis"));
        tree.push(Item::link(wanted, format!("/etc/systemd/system/{name}")).then("daemon-reload"));
    } else {
        // WordPress has to forget about it before it is gone.
        tree.push(Item::absent(format!("{root}/shared/object-cache.php")));
        tree.push(Item::absent(wanted).then("stop-redis"));
        tree.push(no_unit(&name));
        tree.push(Item::absent(configuration));
    }
    Ok(())
}

/// What is done when units of the caches have come, changed, or are about to go.
pub(super) fn stops(tree: &mut Builder, system: &str) {
    let path = format!("pressluft-purge-{system}.path");
    tree.handler("stop-purge", &["systemctl", "stop", &path]);
    let redis = format!("pressluft-redis-{system}.service");
    tree.handler("stop-redis", &["systemctl", "stop", &redis]);
}

/// The same for what begins; PHP looks for the directory of its Redis when it starts.
pub(super) fn starts(tree: &mut Builder, system: &str) {
    let path = format!("pressluft-purge-{system}.path");
    tree.handler("start-purge", &["systemctl", "restart", &path]);
    let redis = format!("pressluft-redis-{system}.service");
    tree.handler("restart-redis", &["systemctl", "restart", &redis]);
}

/// A pattern for a path and all that is below it.
fn below(path: &str) -> String {
    let path = decoded(path);
    format!("{}(?:/|$)", literal(path.trim_end_matches('/')))
}

/// A pattern for the bytes of a text, without any that means something to nginx or in a pattern.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/_-".contains(&byte) {
            pattern.push(char::from(byte));
        } else {
            write!(pattern, "\\x{byte:02x}").ok();
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_pattern_without_a_meaning_of_its_own() {
        assert_eq!(below("/shop/"), "/shop(?:/|$)");
        assert_eq!(below("/a%22b/$x"), "/a\\x22b/\\x24x(?:/|$)");
        assert_eq!(below("/"), "(?:/|$)");
        assert_eq!(below("/caf%C3%A9"), "/caf\\xc3\\xa9(?:/|$)");
        assert_eq!(literal("a.b\"; }"), "a\\x2eb\\x22\\x3b\\x20\\x7d");
    }

    #[test]
    fn a_redis_has_half_as_much_again_and_its_own_needs() {
        let node = serde_json::json!({"redis": {"maxmemory": "64MiB"}});
        assert_eq!(redis_limits(&node).expect("limits"), (64 << 20, 96 + 32));
    }
}
