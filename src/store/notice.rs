//! What was told last, who is told, and what is still to be delivered.

use std::collections::BTreeMap;

use super::sql::{Row, params};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::Store;
use super::convert::{corrupt, get, moment, moment_option, parsed, signed, unsigned};
use super::error::Result;
use crate::core::notice::{Noted, Notice};

/// Somebody who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The name of the secret that holds the address.
    pub name: String,
    /// The word of the message's shape.
    pub format: String,
    /// The words of what is told.
    pub events: Vec<String>,
    /// Where the secret is kept when it comes from the fleet repo.
    pub secret_digest: Option<String>,
}

/// A message that is not delivered yet, or was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    pub id: u64,
    pub channel: String,
    pub event: String,
    pub subject: String,
    pub detail: Value,
    pub created_at: Timestamp,
    /// When it was delivered, or given up with an error.
    pub ended_at: Option<Timestamp>,
    pub error: Option<String>,
}

/// A message for one channel, before it has a number.
#[derive(Clone, Debug, PartialEq)]
pub struct NewMessage {
    pub channel: String,
    pub event: String,
    pub subject: String,
    pub detail: Value,
}

impl Store {
    /// What was told last, by subject.
    ///
    /// # Errors
    /// When the database fails or holds something that cannot be read.
    pub fn noted(&self) -> Result<BTreeMap<String, Noted>> {
        self.connection
            .prepare_cached("SELECT * FROM noted")?
            .query_and_then([], |row| {
                let noted = Noted {
                    kind: parsed(row, "kind")?,
                    code: get(row, "code")?,
                    revision: get(row, "revision")?,
                };
                Ok((get(row, "subject")?, noted))
            })?
            .collect()
    }

    /// Notes how things stand, forgets subjects that are gone, and puts what is to be told about
    /// that into the outbox, all at once.
    ///
    /// # Errors
    /// When the database fails. Without anything to write nothing is written.
    pub fn tell(
        &mut self,
        noted: &[(String, Noted)],
        gone: &[String],
        messages: &[NewMessage],
        now: Timestamp,
    ) -> Result<()> {
        if noted.is_empty() && gone.is_empty() && messages.is_empty() {
            return Ok(());
        }
        self.write(|tx| {
            for subject in gone {
                tx.prepare_cached("DELETE FROM noted WHERE subject = ?1")?
                    .execute([subject])?;
            }
            for (subject, noted) in noted {
                tx.prepare_cached(
                    "INSERT INTO noted (subject, kind, code, revision) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (subject) DO UPDATE SET kind = excluded.kind,
                         code = excluded.code, revision = excluded.revision",
                )?
                .execute(params![
                    subject,
                    noted.kind.as_str(),
                    noted.code,
                    noted.revision
                ])?;
            }
            for message in messages {
                tx.prepare_cached(
                    "INSERT INTO outbox (channel, event, subject, detail, created_at)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![
                    message.channel,
                    message.event,
                    message.subject,
                    message.detail.to_string(),
                    now.as_microsecond()
                ])?;
            }
            Ok(())
        })
    }

    /// Who is told.
    ///
    /// # Errors
    /// When the database fails or holds something that cannot be read.
    pub fn channels(&self) -> Result<Vec<Channel>> {
        self.connection
            .prepare_cached("SELECT * FROM channels ORDER BY name")?
            .query_and_then([], |row| {
                let events: String = get(row, "events")?;
                Ok(Channel {
                    name: get(row, "name")?,
                    format: get(row, "format")?,
                    events: serde_json::from_str(&events).map_err(corrupt)?,
                    secret_digest: get(row, "secret_digest")?,
                })
            })?
            .collect()
    }

    /// Tells these and nobody else from now on. What is open for others is given up.
    ///
    /// # Errors
    /// When the database fails. Without a difference nothing is written.
    pub fn set_channels(&mut self, channels: &[Channel], now: Timestamp) -> Result<()> {
        if self.channels()? == channels {
            return Ok(());
        }
        let names: Vec<&String> = channels.iter().map(|channel| &channel.name).collect();
        self.write(|tx| {
            let listed: Vec<String> = tx
                .prepare_cached(
                    "SELECT name FROM channels
                     UNION SELECT channel FROM outbox WHERE ended_at IS NULL",
                )?
                .query_and_then([], |row| get(row, "name"))?
                .collect::<Result<_>>()?;
            for gone in listed.iter().filter(|name| !names.contains(name)) {
                tx.prepare_cached("DELETE FROM channels WHERE name = ?1")?
                    .execute([gone])?;
                tx.prepare_cached(
                    "UPDATE outbox SET ended_at = ?2, error = 'nobody is to be told there any more'
                     WHERE ended_at IS NULL AND channel = ?1",
                )?
                .execute(params![gone, now.as_microsecond()])?;
            }
            for channel in channels {
                tx.prepare_cached(
                    "INSERT INTO channels (name, format, events, secret_digest)
                     VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (name) DO UPDATE SET format = excluded.format,
                         events = excluded.events, secret_digest = excluded.secret_digest,
                         next_at = 0",
                )?
                .execute(params![
                    channel.name,
                    channel.format,
                    serde_json::json!(channel.events).to_string(),
                    channel.secret_digest
                ])?;
            }
            Ok(())
        })
    }

    /// What is to be delivered at `now`, at most `limit` messages of each channel, the oldest
    /// first, with how often in a row a delivery to it has failed.
    ///
    /// # Errors
    /// When the database fails or holds something that cannot be read.
    pub fn deliverable(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Channel, u32, Vec<Message>)>> {
        let mut found = Vec::new();
        for channel in self.channels()? {
            let failures: Option<u32> = self
                .connection
                .prepare_cached("SELECT failures FROM channels WHERE name = ?1 AND next_at <= ?2")?
                .query_and_then(params![channel.name, now.as_microsecond()], |row| {
                    get(row, "failures")
                })?
                .next()
                .transpose()?;
            let Some(failures) = failures else { continue };
            let messages = self
                .connection
                .prepare_cached(
                    "SELECT * FROM outbox WHERE channel = ?1 AND ended_at IS NULL
                     ORDER BY id LIMIT ?2",
                )?
                .query_and_then(params![channel.name, limit], message)?
                .collect::<Result<Vec<_>>>()?;
            if !messages.is_empty() {
                found.push((channel, failures, messages));
            }
        }
        Ok(found)
    }

    /// The last messages, the newest first.
    ///
    /// # Errors
    /// When the database fails or holds one that cannot be read.
    pub fn messages(&self, limit: u32) -> Result<Vec<Message>> {
        self.connection
            .prepare_cached("SELECT * FROM outbox ORDER BY id DESC LIMIT ?1")?
            .query_and_then([limit], message)?
            .collect()
    }

    /// Notes how a delivery went. Without an `error` the messages are delivered; with one they stay
    /// until `next_at`, unless they are given up.
    ///
    /// # Errors
    /// When the database fails.
    pub fn delivered(
        &mut self,
        channel: &str,
        messages: &[u64],
        error: Option<&str>,
        give_up: bool,
        next_at: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        let are_over = error.is_none() || give_up;
        self.write(|tx| {
            for id in messages.iter().filter(|_| are_over) {
                tx.prepare_cached("UPDATE outbox SET ended_at = ?2, error = ?3 WHERE id = ?1")?
                    .execute(params![signed(*id), now.as_microsecond(), error])?;
            }
            tx.prepare_cached(
                "UPDATE channels SET next_at = ?2, error = ?3,
                     failures = CASE WHEN ?4 = 1 THEN 0 ELSE failures + 1 END
                 WHERE name = ?1",
            )?
            .execute(params![channel, next_at.as_microsecond(), error, are_over])?;
            Ok(())
        })
    }
}

impl NewMessage {
    /// The message about a notice for a channel.
    #[must_use]
    pub fn new(channel: &str, notice: &Notice) -> Self {
        Self {
            channel: channel.to_owned(),
            event: notice.event.to_string(),
            subject: notice.subject.clone(),
            detail: serde_json::json!(notice),
        }
    }
}

fn message(row: &Row<'_>) -> Result<Message> {
    let detail: String = get(row, "detail")?;
    Ok(Message {
        id: unsigned(row, "id")?,
        channel: get(row, "channel")?,
        event: get(row, "event")?,
        subject: get(row, "subject")?,
        detail: serde_json::from_str(&detail).map_err(corrupt)?,
        created_at: moment(row, "created_at")?,
        ended_at: moment_option(row, "ended_at")?,
        error: get(row, "error")?,
    })
}
