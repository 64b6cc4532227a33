//! Numbers that only grow.

use super::super::sql::{Connection, params};

use super::super::error::Result;
use crate::crash_point::reach;

/// Takes `count` numbers of a counter; the first of them.
pub(in crate::store) fn next(tx: &Connection, counter: &str, count: usize) -> Result<i64> {
    let last: i64 = tx
        .prepare_cached("UPDATE counters SET value = value + ?2 WHERE name = ?1 RETURNING value")?
        .query_row(params![counter, count as i64], |row| row.get(0))?;
    reach("counter: taken");
    Ok(last - count as i64 + 1)
}
