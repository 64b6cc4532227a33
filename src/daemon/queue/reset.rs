//! Which health check proves that a failed site or environment can be taken back.

use super::super::error::DaemonError;
use crate::core::id::ResourceId;
use crate::core::recorded::RecordedResource;
use crate::store::{Store, StoreError};

/// Environments of a site that are read at once.
const PAGE: u32 = 100;

/// The recorded environment whose health speaks for `id`: itself, or the production environment
/// of a site. None when none is recorded.
///
/// # Errors
/// When the database fails.
pub fn checked_environment(
    store: &Store,
    id: &ResourceId,
) -> Result<Option<ResourceId>, DaemonError> {
    match id {
        ResourceId::Fleet | ResourceId::Node(_) => Ok(None),
        ResourceId::Env { .. } => Ok(store.recorded(id)?.map(|env| env.id)),
        ResourceId::Site(site) => {
            let production = production_of(store, site)?;
            Ok(production.map(|name| ResourceId::env(site, &name)))
        }
    }
}

fn production_of(store: &Store, site: &str) -> Result<Option<String>, StoreError> {
    let mut after = String::new();
    loop {
        let page = store.environments_of(site, &after, PAGE)?;
        let Some(last) = page.last() else {
            return Ok(None);
        };
        after = last.id.to_string();
        let production = |env: &&RecordedResource| env.spec.str("type") == Some("production");
        if let Some(ResourceId::Env { name, .. }) = page.iter().find(production).map(|env| &env.id)
        {
            return Ok(Some(name.clone()));
        }
    }
}
