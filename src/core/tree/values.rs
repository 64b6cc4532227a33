//! Values of a spec that files need in another form.

use serde_json::Value;

use super::RenderError;

/// The PHP versions of a node, each in the form `8.2`: they become parts of paths.
pub(super) fn php_versions(node: &Value) -> Result<Vec<String>, RenderError> {
    let versions = node["php"]["versions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    versions
        .iter()
        .map(|version| php_version(version, "php.versions"))
        .collect()
}

/// A PHP version such as `8.2`.
pub(super) fn php_version(value: &Value, field: &'static str) -> Result<String, RenderError> {
    let text = value.as_str().unwrap_or_default();
    let digits = |part: &str| {
        !part.is_empty() && part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit())
    };
    match text.split_once('.') {
        Some((major, minor)) if digits(major) && digits(minor) => Ok(text.to_owned()),
        _ => Err(RenderError::Value {
            field,
            value: value.to_string(),
            reason: "a PHP version is written like `8.2`",
        }),
    }
}

/// A size in bytes, from a number or a text such as `512MiB` or `256M`.
pub(super) fn bytes(value: &Value, field: &'static str) -> Result<Option<u64>, RenderError> {
    let wrong = || RenderError::Value {
        field,
        value: value.to_string(),
        reason: "a size is written like `512MiB`",
    };
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => number.as_u64().map(Some).ok_or_else(wrong),
        Value::String(text) => {
            let split = text
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(text.len());
            let (number, unit) = text.split_at(split);
            let scale: u64 = match unit {
                "" | "B" => 1,
                "K" | "KiB" => 1 << 10,
                "M" | "MiB" => 1 << 20,
                "G" | "GiB" => 1 << 30,
                "T" | "TiB" => 1 << 40,
                _ => return Err(wrong()),
            };
            let bytes = number
                .parse::<u64>()
                .ok()
                .and_then(|n| n.checked_mul(scale));
            bytes.map(Some).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

/// A size in PHP's words, such as `256M`.
pub(super) fn php_size(value: &Value, field: &'static str) -> Result<String, RenderError> {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), ToOwned::to_owned);
    let number = text.strip_suffix(['K', 'M', 'G']).unwrap_or(&text);
    if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(text);
    }
    Err(RenderError::Value {
        field,
        value: text,
        reason: "a size is written like `256M`",
    })
}

/// The seconds of a duration such as `5m`, or none where cron is off.
pub(super) fn seconds(value: &Value) -> Result<Option<u64>, RenderError> {
    let wrong = || RenderError::Value {
        field: "cron.interval",
        value: value.to_string(),
        reason: "a duration is written like `5m`",
    };
    match value {
        Value::Null | Value::Bool(false) => Ok(None),
        Value::Number(number) => Ok(number.as_u64().filter(|seconds| *seconds > 0)),
        Value::String(text) if text == "off" => Ok(None),
        Value::String(text) => {
            let scale = match text.chars().last() {
                Some('s') => 1,
                Some('m') => 60,
                Some('h') => 3600,
                Some('d') => 86_400,
                _ => return Err(wrong()),
            };
            let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
            Ok(number.checked_mul(scale).filter(|seconds| *seconds > 0))
        }
        _ => Err(wrong()),
    }
}
