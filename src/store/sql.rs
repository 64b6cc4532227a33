//! The one door to the database driver.
//!
//! What runs a statement, holds a transaction or reads a row is named here, and in `sqlite`, which has what only SQLite
//! has (its file, its pragmas, its copies). Another database takes the place of these types by ones with the functions
//! that are called on them, and of `migrations` by its own.
//!
//! Statements keep to what PostgreSQL takes as well, once `?1` is written as `$1` and `INDEXED BY` is left out: `CASE`
//! for a choice, `IS NOT DISTINCT FROM` for what may be null, columns for what is looked for in a spec, and no JSON or
//! boolean arithmetic. What is left is in `sqlite`, in the migrations, and the order of payloads by rowid in
//! `history::parts`.

pub(super) use rusqlite::types::{FromSql, Value, ValueRef};
pub(super) use rusqlite::{
    Connection, Error, OptionalExtension, Result, Row, ToSql, Transaction, TransactionBehavior,
    params, params_from_iter,
};
