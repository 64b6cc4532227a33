//! Who is told, as the fleet in force has it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::commit_status;
use crate::core::id::ResourceId;
use crate::daemon::error::DaemonError;
use crate::git::DesiredState;
use crate::store::{Channel, Store};

/// Takes over `notify` of the fleet. What of it is a secret of the fleet repo is kept as it is
/// there. `with_statuses` says that a git host is told about commits.
pub(in crate::daemon) fn sync_channels(
    store: &mut Store,
    desired: &DesiredState,
    with_statuses: bool,
    now: Timestamp,
) -> Result<(), DaemonError> {
    let spec = desired.spec(&ResourceId::Fleet)?;
    let list = spec.as_ref().and_then(|spec| spec.get("notify"));
    let mut channels: BTreeMap<String, Channel> = BTreeMap::new();
    for entry in list.and_then(Value::as_array).into_iter().flatten() {
        let text = |field: &str| entry.get(field).and_then(Value::as_str);
        let Some(name) = text("webhook").and_then(|name| name.strip_prefix("secret:")) else {
            continue;
        };
        let secret_digest = match desired.snapshot.secret(name)? {
            Some(ciphertext) => Some(store.keep_secret_blob(name, &ciphertext)?),
            None => None,
        };
        let events = entry.get("on").and_then(Value::as_array);
        let events = events.into_iter().flatten().filter_map(Value::as_str);
        let channel = channels.entry(name.to_owned()).or_insert_with(|| Channel {
            name: name.to_owned(),
            format: text("format").unwrap_or("json").to_owned(),
            events: Vec::new(),
            secret_digest,
        });
        channel.events.extend(events.map(str::to_owned));
        channel.events.sort();
        channel.events.dedup();
    }
    let mut channels: Vec<Channel> = channels.into_values().collect();
    if with_statuses {
        channels.push(Channel {
            name: commit_status::CHANNEL.to_owned(),
            format: "status".to_owned(),
            events: Vec::new(),
            secret_digest: None,
        });
    }
    channels.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(store.set_channels(&channels, now)?)
}
