//! Which health check proves that a failed site or environment can be taken back.

use super::super::error::DaemonError;
use crate::core::id::{ResourceId, ResourceKind};
use crate::store::{Store, StoreError};

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
    let environments = store.recorded_of_kind(ResourceKind::Env)?;
    Ok(environments.iter().find_map(|env| {
        let is_production = env.spec.str("type") == Some("production");
        let name = env.spec.str("name")?;
        (env.id.site() == Some(site) && is_production).then(|| name.to_owned())
    }))
}
