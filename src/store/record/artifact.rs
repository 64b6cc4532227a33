//! What environments have besides their spec: releases and domains.

use super::super::sql::{Connection, Row, params};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use std::fmt;
use std::str::FromStr;

use super::super::Store;
use super::super::convert::{get, moment, moment_option, parsed};
use super::super::error::Result;
use crate::core::id::ResourceId;
use crate::core::job::{UnknownWord, words};
use crate::core::names::{environment_names, public_address};
use crate::core::recorded::JobId;
use crate::crash_point::reach;

words! {
    /// Whether a release answered its health check.
    ReleaseHealth, "release health" {
        Unknown = "unknown",
        Healthy = "healthy",
        Unhealthy = "unhealthy",
    }
}

words! {
    /// The certificate of a domain.
    TlsStatus, "TLS status" {
        Pending = "pending",
        Active = "active",
        Failed = "failed",
        Disabled = "disabled",
    }
}

/// One version of the code of an environment on its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Release {
    pub environment: ResourceId,
    /// The directory below `releases/`.
    pub name: String,
    pub code_ref: Option<String>,
    pub wordpress_version: Option<String>,
    pub health: ReleaseHealth,
    /// Whether it is the one that is served.
    pub active: bool,
    pub created_at: Timestamp,
}

/// A name that an environment answers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Domain {
    pub name: String,
    pub environment: ResourceId,
    pub primary: bool,
    pub tls: TlsStatus,
    /// When its certificate ends.
    pub expires_at: Option<Timestamp>,
}

impl Store {
    /// Where an environment on `node` answers without a domain of its own, such as
    /// `http://acme.203-0-113-10.sslip.io`; none of other resources, and while the node's address is
    /// unknown.
    ///
    /// # Errors
    /// When the database fails or holds a resource that cannot be read.
    pub fn preview_url(
        &self,
        environment: &ResourceId,
        node: Option<&str>,
    ) -> Result<Option<String>> {
        let (ResourceId::Env { site, name }, Some(node_name)) = (environment, node) else {
            return Ok(None);
        };
        let node = self.recorded(&ResourceId::Node(node_name.to_owned()))?;
        let facts = self.node_facts(node_name)?;
        let fleet = self.recorded(&ResourceId::Fleet)?;
        let address = node.and_then(|node| {
            let spec = &node.spec;
            public_address(spec.str("public_ip"), spec.str("host"), facts.as_ref())
        });
        let domain = fleet
            .as_ref()
            .and_then(|fleet| fleet.spec.str("preview.domain"));
        Ok(environment_names(site, name, address, domain).preview_url())
    }

    /// The recorded releases of an environment, the newest first.
    ///
    /// # Errors
    /// When the database fails or holds a release that cannot be read.
    pub fn releases(&self, environment: &ResourceId) -> Result<Vec<Release>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT * FROM releases WHERE environment = ?1 ORDER BY created_at DESC, name DESC",
        )?;
        let rows = statement.query_and_then([environment.to_string()], release)?;
        rows.collect()
    }

    /// The recorded domains of an environment, the primary one first.
    ///
    /// # Errors
    /// When the database fails or holds a domain that cannot be read.
    pub fn domains(&self, environment: &ResourceId) -> Result<Vec<Domain>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT * FROM domains WHERE environment = ?1 ORDER BY is_primary DESC, name",
        )?;
        let rows = statement.query_and_then([environment.to_string()], domain)?;
        rows.collect()
    }
}

pub(super) fn put_release(
    tx: &Connection,
    release: &Release,
    job: Option<JobId>,
    now: Timestamp,
) -> Result<()> {
    let environment = release.environment.to_string();
    if release.active {
        tx.prepare_cached("UPDATE releases SET active = 0 WHERE environment = ?1 AND name <> ?2")?
            .execute(params![environment, release.name])?;
        reach("release: others retired");
    }
    tx.prepare_cached(
        "INSERT INTO releases (environment, name, job, code_ref, wordpress_version, health,
             active, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (environment, name) DO UPDATE SET code_ref = excluded.code_ref,
             wordpress_version = excluded.wordpress_version, health = excluded.health,
             active = excluded.active",
    )?
    .execute(params![
        environment,
        release.name,
        job.map(|job| job.to_string()),
        release.code_ref,
        release.wordpress_version,
        release.health.as_str(),
        release.active,
        now.min(release.created_at).as_microsecond(),
    ])?;
    reach("release: kept");
    Ok(())
}

pub(super) fn put_domain(tx: &Connection, domain: &Domain, now: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO domains (name, environment, is_primary, tls, expires_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (name) DO UPDATE SET environment = excluded.environment,
             is_primary = excluded.is_primary, tls = excluded.tls,
             expires_at = excluded.expires_at, updated_at = excluded.updated_at",
    )?
    .execute(params![
        domain.name,
        domain.environment.to_string(),
        domain.primary,
        domain.tls.as_str(),
        domain.expires_at.map(Timestamp::as_microsecond),
        now.as_microsecond(),
    ])?;
    reach("domain: kept");
    Ok(())
}

fn release(row: &Row<'_>) -> Result<Release> {
    Ok(Release {
        environment: parsed(row, "environment")?,
        name: get(row, "name")?,
        code_ref: get(row, "code_ref")?,
        wordpress_version: get(row, "wordpress_version")?,
        health: parsed(row, "health")?,
        active: get(row, "active")?,
        created_at: moment(row, "created_at")?,
    })
}

fn domain(row: &Row<'_>) -> Result<Domain> {
    Ok(Domain {
        name: get(row, "name")?,
        environment: parsed(row, "environment")?,
        primary: get(row, "is_primary")?,
        tls: parsed(row, "tls")?,
        expires_at: moment_option(row, "expires_at")?,
    })
}
