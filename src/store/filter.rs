//! Conditions that are there only where somebody asks for them: with `?1 IS NULL OR …` SQLite
//! would not use an index.

use super::sql::Value;

/// Conditions that all have to hold, and the values in them.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    text: String,
    pub(super) values: Vec<Value>,
}

impl Conditions {
    /// Asks for `column operator value` where there is a value. Column and operator are ours.
    pub(super) fn and(mut self, column_and_operator: &str, value: Option<Value>) -> Self {
        if let Some(value) = value {
            self.text.push_str(if self.values.is_empty() {
                "WHERE "
            } else {
                " AND "
            });
            self.values.push(value);
            self.text
                .push_str(&format!("{column_and_operator} ?{}", self.values.len()));
        }
        self
    }

    /// `select`, the conditions, `order`, and a limit as the last value.
    pub(super) fn query(&mut self, select: &str, order: &str, limit: i64) -> String {
        self.values.push(Value::Integer(limit));
        let limit = self.values.len();
        format!("{select} {} ORDER BY {order} LIMIT ?{limit}", self.text)
    }
}

/// The text of anything that is stored as text.
pub(super) fn text(value: &impl ToString) -> Value {
    Value::Text(value.to_string())
}
