//! Between columns and values. What cannot be read back is corruption, never a default.

use std::fmt::Display;
use std::str::FromStr;

use super::sql::FromSql;
use super::sql::Row;
use jiff::Timestamp;

use super::error::{Result, StoreError};

/// The value of the column `name`.
pub(super) fn get<T: FromSql>(row: &Row<'_>, name: &str) -> Result<T> {
    row.get(name).map_err(StoreError::from)
}

/// The text of the column `name`, parsed.
pub(super) fn parsed<T>(row: &Row<'_>, name: &str) -> Result<T>
where
    T: FromStr,
    T::Err: Display,
{
    parse(row.get_ref(name)?.as_str().map_err(corrupt)?)
}

/// The text of the column `name`, parsed, or none where it is NULL.
pub(super) fn parsed_option<T>(row: &Row<'_>, name: &str) -> Result<Option<T>>
where
    T: FromStr,
    T::Err: Display,
{
    row.get_ref(name)?
        .as_str_or_null()
        .map_err(corrupt)?
        .map(parse)
        .transpose()
}

/// The moment in the column `name`.
pub(super) fn moment(row: &Row<'_>, name: &str) -> Result<Timestamp> {
    timestamp(get(row, name)?)
}

/// The moment in the column `name`, or none where it is NULL.
pub(super) fn moment_option(row: &Row<'_>, name: &str) -> Result<Option<Timestamp>> {
    get::<Option<i64>>(row, name)?.map(timestamp).transpose()
}

/// The count in the column `name`.
pub(super) fn unsigned(row: &Row<'_>, name: &str) -> Result<u64> {
    u64::try_from(get::<i64>(row, name)?).map_err(corrupt)
}

/// The 32 bytes of the column `name`.
pub(super) fn digest(row: &Row<'_>, name: &str) -> Result<[u8; 32]> {
    let bytes = row.get_ref(name)?.as_blob().map_err(corrupt)?;
    bytes.try_into().map_err(corrupt)
}

pub(super) fn parse<T>(text: &str) -> Result<T>
where
    T: FromStr,
    T::Err: Display,
{
    text.parse().map_err(corrupt)
}

pub(super) fn timestamp(micros: i64) -> Result<Timestamp> {
    Timestamp::from_microsecond(micros).map_err(corrupt)
}

/// A count as SQL has it. Counts here never come near 2⁶³.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn corrupt(error: impl Display) -> StoreError {
    StoreError::Corrupt(error.to_string())
}
