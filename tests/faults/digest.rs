//! What a database says, whatever pages and logs it says it with: equal digests mean equal rows.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use crate::Result;

/// The digest of every row of every table, and of the schema.
///
/// A file that is missing, empty or has no tables has the digest of nothing. Opening it
/// recovers what the write-ahead log holds, as any process would.
pub(crate) fn digest(path: &Path) -> Result<String> {
    let nothing = blake3::hash(b"nothing").to_hex().to_string();
    if !path.exists() {
        return Ok(nothing);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    let tables: Vec<(String, String)> = connection
        .prepare(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
             ORDER BY name",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    if tables.is_empty() {
        return Ok(nothing);
    }
    let mut hasher = blake3::Hasher::new();
    for (table, sql) in &tables {
        hasher.update(table.as_bytes()).update(sql.as_bytes());
        rows(&connection, table, &mut hasher)?;
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn rows(connection: &Connection, table: &str, hasher: &mut blake3::Hasher) -> Result<()> {
    let mut statement = connection.prepare(&format!("SELECT * FROM \"{table}\""))?;
    let columns = statement.column_count();
    let order: Vec<String> = (1..=columns).map(|n| n.to_string()).collect();
    drop(statement);
    statement = connection.prepare(&format!(
        "SELECT * FROM \"{table}\" ORDER BY {}",
        order.join(", ")
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            match row.get_ref(column)? {
                ValueRef::Null => hasher.update(b"\0n"),
                ValueRef::Integer(n) => hasher.update(b"\0i").update(&n.to_le_bytes()),
                ValueRef::Real(n) => hasher.update(b"\0r").update(&n.to_le_bytes()),
                ValueRef::Text(text) => hasher
                    .update(b"\0t")
                    .update(&(text.len() as u64).to_le_bytes())
                    .update(text),
                ValueRef::Blob(bytes) => hasher
                    .update(b"\0b")
                    .update(&(bytes.len() as u64).to_le_bytes())
                    .update(bytes),
            };
        }
    }
    Ok(())
}
