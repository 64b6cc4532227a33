//! Webhook deliveries that were taken: each is taken once, also across restarts.

use super::super::sql::params;
use jiff::{SignedDuration, Timestamp};

use super::super::Store;
use super::super::error::Result;
use crate::crash_point::reach;

/// How long a delivery is remembered.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The most that are remembered.
const MOST: i64 = 20_000;

impl Store {
    /// Takes a delivery that is known by `ids`; whether it is new by all of them.
    ///
    /// # Errors
    /// When the database fails; then it is not taken.
    pub fn take_delivery(&mut self, ids: &[[u8; 32]], now: Timestamp) -> Result<bool> {
        self.write(|tx| {
            for id in ids {
                let known = tx
                    .prepare_cached("SELECT 1 FROM webhook_deliveries WHERE id = ?1")?
                    .exists([id])?;
                if known {
                    return Ok(false);
                }
            }
            for id in ids {
                tx.prepare_cached(
                    "INSERT INTO webhook_deliveries (id, received_at) VALUES (?1, ?2)
                     ON CONFLICT DO NOTHING",
                )?
                .execute(params![id, now.as_microsecond()])?;
            }
            reach("delivery: taken");
            let oldest = now.saturating_sub(REMEMBERED).unwrap_or(Timestamp::MIN);
            tx.prepare_cached(
                "DELETE FROM webhook_deliveries WHERE received_at < ?1 OR id IN
                     (SELECT id FROM webhook_deliveries ORDER BY received_at DESC
                      LIMIT -1 OFFSET ?2)",
            )?
            .execute([oldest.as_microsecond(), MOST])?;
            Ok(true)
        })
    }
}
