//! Dates.

use super::{Malformed, quoted, text_scalar};

text_scalar! {
    /// A calendar date.
    Date, "calendar-date", ["2026-12-31"], date
}

fn date(text: &str) -> Result<(), Malformed> {
    let shape = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if shape && text.parse::<jiff::civil::Date>().is_ok() {
        return Ok(());
    }
    Err(Malformed::new(format!("{} is not a date", quoted(text)))
        .hint("write year, month and day, such as `2026-12-31`"))
}
