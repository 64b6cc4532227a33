//! Variables as data: every string is marked, so that Ansible never takes it for a template.
//!
//! Ansible reads `{"__ansible_unsafe": "…"}` as a string that is not evaluated. Without the
//! mark, `{{ lookup('pipe', …) }}` in a site's title would run a command on this machine.

use serde_json::{Map, Value, json};

use super::invocation::InvocationError;

/// The mapping with every string in it marked.
///
/// # Errors
/// [`InvocationError::ReservedKey`] for keys that Ansible's JSON reader takes for marks of
/// its own.
pub(super) fn marked(map: &Map<String, Value>) -> Result<Value, InvocationError> {
    let mut result = Map::new();
    for (key, value) in map {
        if key.starts_with("__ansible") || key.starts_with("__payload__") {
            return Err(InvocationError::ReservedKey(key.clone()));
        }
        result.insert(key.clone(), mark(value)?);
    }
    Ok(Value::Object(result))
}

fn mark(value: &Value) -> Result<Value, InvocationError> {
    Ok(match value {
        Value::String(text) => json!({ "__ansible_unsafe": text }),
        Value::Array(items) => Value::Array(items.iter().map(mark).collect::<Result<_, _>>()?),
        Value::Object(map) => marked(map)?,
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_string_is_marked_at_any_depth() {
        let value = json!({"a": "{{ x }}", "b": [1, true, null, ["{% y %}", {"c": ""}]]});
        let marked = marked(value.as_object().expect("an object")).expect("no reserved key");
        let expected = json!({
            "a": {"__ansible_unsafe": "{{ x }}"},
            "b": [1, true, null, [
                {"__ansible_unsafe": "{% y %}"},
                {"c": {"__ansible_unsafe": ""}},
            ]],
        });
        assert_eq!(marked, expected);
    }

    #[test]
    fn reserved_keys_are_refused_at_any_depth() {
        let value = json!({"a": [{"__ansible_vault": "x"}]});
        assert_eq!(
            marked(value.as_object().expect("an object")),
            Err(InvocationError::ReservedKey("__ansible_vault".to_owned()))
        );
    }
}
