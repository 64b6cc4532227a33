//! Ciphertexts. What they say is known to `secrets` alone.

use super::super::sql::{OptionalExtension, params};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::super::Store;
use super::super::audit::{NewEntry, append};
use super::super::convert::{get, moment, parsed};
use super::super::error::Result;
use crate::core::audit::AuditAction;
use crate::core::id::ResourceId;
use crate::crash_point::reach;

/// A secret of the control plane's own store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredSecret {
    pub name: String,
    #[serde(skip)]
    pub ciphertext: Vec<u8>,
    /// A keyed hash of the value.
    pub fingerprint: String,
    pub updated_at: Timestamp,
}

/// A secret that was generated for a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedSecret {
    pub name: String,
    pub ciphertext: Vec<u8>,
}

impl Store {
    /// Keeps a ciphertext under `name`. With the fingerprint that is there already nothing is
    /// written, so that setting an equal value changes nothing; whether it did.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_secret(
        &mut self,
        name: &str,
        ciphertext: &[u8],
        fingerprint: &str,
        actor: &str,
        now: Timestamp,
    ) -> Result<bool> {
        self.write(|tx| {
            let changed = tx
                .prepare_cached(
                    "INSERT INTO secrets (name, ciphertext, fingerprint, updated_at)
                     VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (name) DO UPDATE SET ciphertext = excluded.ciphertext,
                         fingerprint = excluded.fingerprint, updated_at = excluded.updated_at
                     WHERE fingerprint <> excluded.fingerprint",
                )?
                .execute(params![name, ciphertext, fingerprint, now.as_microsecond()])?;
            if changed == 0 {
                return Ok(false);
            }
            reach("secret: kept");
            let entry = NewEntry {
                actor,
                action: AuditAction::SecretSet,
                resource: None,
                job: None,
                detail: json!({ "name": name, "store": "control-plane" }),
            };
            append(tx, now, &entry)?;
            Ok(true)
        })
    }

    /// Gives a secret another name, with the fingerprint that it has under it; false, and nothing is
    /// changed, when there is none of the old name or there is one of the new.
    ///
    /// # Errors
    /// When the database fails.
    pub fn rename_secret(
        &mut self,
        old: &str,
        new: &str,
        fingerprint: &str,
        actor: &str,
        now: Timestamp,
    ) -> Result<bool> {
        self.write(|tx| {
            let changed = tx
                .prepare_cached(
                    "UPDATE secrets SET name = ?2, fingerprint = ?3, updated_at = ?4
                     WHERE name = ?1 AND NOT EXISTS (SELECT 1 FROM secrets WHERE name = ?2)",
                )?
                .execute(params![old, new, fingerprint, now.as_microsecond()])?;
            if changed == 0 {
                return Ok(false);
            }
            let entry = NewEntry {
                actor,
                action: AuditAction::SecretMoved,
                resource: None,
                job: None,
                detail: json!({ "name": new, "before": old, "store": "control-plane" }),
            };
            append(tx, now, &entry)?;
            Ok(true)
        })
    }

    /// The secret `name` of the control plane's own store, or none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn secret(&self, name: &str) -> Result<Option<StoredSecret>> {
        Ok(self.secrets_like(Some(name))?.pop())
    }

    /// All secrets of the control plane's own store, sorted by name.
    ///
    /// # Errors
    /// When the database fails.
    pub fn secrets(&self) -> Result<Vec<StoredSecret>> {
        self.secrets_like(None)
    }

    fn secrets_like(&self, name: Option<&str>) -> Result<Vec<StoredSecret>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT * FROM secrets WHERE ?1 IS NULL OR name = ?1 ORDER BY name")?;
        let rows = statement.query_and_then([name], |row| {
            Ok(StoredSecret {
                name: get(row, "name")?,
                ciphertext: get(row, "ciphertext")?,
                fingerprint: get(row, "fingerprint")?,
                updated_at: moment(row, "updated_at")?,
            })
        })?;
        rows.collect()
    }

    /// Whether anything is kept that an identity has to open.
    ///
    /// # Errors
    /// When the database fails.
    pub fn has_ciphertexts(&self) -> Result<bool> {
        let found = self.connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM secrets) OR EXISTS (SELECT 1 FROM generated_secrets)",
            [],
            |row| row.get(0),
        )?;
        Ok(found)
    }

    /// The secrets that were generated for `resource`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn generated_secrets(&self, resource: &ResourceId) -> Result<Vec<GeneratedSecret>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT name, ciphertext FROM generated_secrets WHERE resource = ?1 ORDER BY name",
        )?;
        let rows = statement.query_and_then([resource.to_string()], |row| {
            Ok(GeneratedSecret {
                name: get(row, "name")?,
                ciphertext: get(row, "ciphertext")?,
            })
        })?;
        rows.collect()
    }

    /// All secrets that were generated, by resource and name.
    ///
    /// # Errors
    /// When the database fails.
    pub fn all_generated_secrets(&self) -> Result<Vec<(ResourceId, GeneratedSecret)>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT resource, name, ciphertext FROM generated_secrets ORDER BY resource, name",
        )?;
        let rows = statement.query_and_then([], |row| {
            let secret = GeneratedSecret {
                name: get(row, "name")?,
                ciphertext: get(row, "ciphertext")?,
            };
            Ok((parsed(row, "resource")?, secret))
        })?;
        rows.collect()
    }

    /// Puts other ciphertexts of the same values in the place of those that are there, all or none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn replace_ciphertexts(
        &mut self,
        secrets: &[StoredSecret],
        generated: &[(ResourceId, GeneratedSecret)],
        blobs: &[(String, Vec<u8>)],
    ) -> Result<()> {
        self.write(|tx| {
            for secret in secrets {
                tx.prepare_cached("UPDATE secrets SET ciphertext = ?2 WHERE name = ?1")?
                    .execute(params![secret.name, secret.ciphertext])?;
            }
            for (resource, secret) in generated {
                tx.prepare_cached(
                    "UPDATE generated_secrets SET ciphertext = ?3 WHERE resource = ?1 AND name = ?2",
                )?
                .execute(params![
                    resource.to_string(),
                    secret.name,
                    secret.ciphertext
                ])?;
            }
            for (digest, ciphertext) in blobs {
                tx.prepare_cached("UPDATE secret_blobs SET ciphertext = ?2 WHERE digest = ?1")?
                    .execute(params![digest, ciphertext])?;
            }
            Ok(())
        })
    }

    /// Keeps those of `candidates` whose name the resource has no secret for; all others stay
    /// as they are, whoever came first. What then is recorded.
    ///
    /// # Errors
    /// When the database fails.
    pub fn keep_generated_secrets(
        &mut self,
        resource: &ResourceId,
        candidates: &[GeneratedSecret],
        now: Timestamp,
    ) -> Result<Vec<GeneratedSecret>> {
        self.write(|tx| {
            for candidate in candidates {
                tx.prepare_cached(
                    "INSERT INTO generated_secrets (resource, name, ciphertext, created_at)
                     VALUES (?1, ?2, ?3, ?4) ON CONFLICT (resource, name) DO NOTHING",
                )?
                .execute(params![
                    resource.to_string(),
                    candidate.name,
                    candidate.ciphertext,
                    now.as_microsecond()
                ])?;
                reach("secret: generated one kept");
            }
            Ok(())
        })?;
        self.generated_secrets(resource)
    }

    /// All kept `.age` files by their digests in the fleet repo.
    ///
    /// # Errors
    /// When the database fails.
    pub fn secret_blobs(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT digest, ciphertext FROM secret_blobs ORDER BY digest")?;
        let rows = statement
            .query_and_then([], |row| Ok((get(row, "digest")?, get(row, "ciphertext")?)))?;
        rows.collect()
    }

    /// Keeps a `.age` file of the fleet repo for jobs that are queued; its digest. The bytes that are
    /// kept may become others for the same value, see [`Store::replace_ciphertexts`].
    ///
    /// # Errors
    /// When the database fails.
    pub fn keep_secret_blob(&mut self, name: &str, ciphertext: &[u8]) -> Result<String> {
        let digest = blake3::hash(ciphertext).to_hex().to_string();
        self.write(|tx| {
            tx.prepare_cached(
                "INSERT INTO secret_blobs (digest, name, ciphertext, kept_in)
                 VALUES (?1, ?2, ?3, (SELECT round FROM history))
                 ON CONFLICT (digest) DO UPDATE SET kept_in = excluded.kept_in
                     WHERE kept_in < excluded.kept_in",
            )?
            .execute(params![digest, name, ciphertext])?;
            reach("secret: blob kept");
            Ok(())
        })?;
        Ok(digest)
    }

    /// The bytes of a kept `.age` file, or none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn secret_blob(&self, digest: &str) -> Result<Option<Vec<u8>>> {
        Ok(self
            .connection
            .prepare_cached("SELECT ciphertext FROM secret_blobs WHERE digest = ?1")?
            .query_row([digest], |row| row.get(0))
            .optional()?)
    }
}
