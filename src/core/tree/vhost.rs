//! What the web server does for an environment: passwords, headers, redirects, limits.

use minijinja::{Value as View, context};
use serde_json::{Map, Value, json};

use super::context::Named;
use super::{RenderContext, RenderError, SENSITIVE, SecretValues, crypt};
use crate::core::document::scalar::decoded;
use crate::core::names::EnvironmentNames;

/// The name and the password that visitors need, from `http.basic_auth` or, in copies, from
/// `safety.basic_auth`: a secret that holds `user:password`, or a password alone for a user named
/// like the site.
fn credentials<'a>(
    env: &'a Value,
    named: &'a Named,
) -> Result<Option<(&'a str, &'a str)>, RenderError> {
    let own = &env["http"]["basic_auth"];
    if let (Some(user), Some(reference)) = (own["user"].as_str(), own["password"].as_str()) {
        return Ok(Some((user, named.resolve(reference)?)));
    }
    let Some(reference) = env["safety"]["basic_auth"].as_str() else {
        return Ok(None);
    };
    let value = named.resolve(reference)?;
    let site = env["site"].as_str().unwrap_or_default();
    Ok(Some(value.split_once(':').unwrap_or((site, value))))
}

/// `user:password` for a request to the environment, when visitors need one.
///
/// # Errors
/// [`RenderError`] when the secret was not handed to the job.
pub fn login(env: &Value, secrets: &SecretValues) -> Result<Option<String>, RenderError> {
    let named = Named::of(Some(secrets));
    let credentials = credentials(env, &named)?;
    Ok(credentials.map(|(user, password)| format!("{user}:{password}")))
}

/// The name and a hash of the password.
pub(super) fn basic_auth(
    ctx: &RenderContext<'_>,
    env: &Value,
    names: &EnvironmentNames,
    named: &Named,
) -> Result<Option<Value>, RenderError> {
    let Some((user, password)) = credentials(env, named)? else {
        return Ok(None);
    };
    let hash = match ctx.secrets {
        Some(_) => crypt::hash(password, &names.system),
        None => SENSITIVE.to_owned(),
    };
    Ok(Some(json!({"user": user, "hash": hash})))
}

/// The headers of every answer: ours, unless the document has its own of the name.
pub(super) fn headers(env: &Value) -> Map<String, Value> {
    let own = env["http"]["headers"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let mut all = Map::new();
    let mut ours = vec![
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "strict-origin-when-cross-origin"),
        ("X-Frame-Options", "SAMEORIGIN"),
    ];
    if env["safety"]["noindex"] == true {
        ours.push(("X-Robots-Tag", "noindex, nofollow"));
    }
    if env["maintenance"] == true {
        ours.push(("Retry-After", "300"));
    }
    for (name, value) in ours {
        if !own.keys().any(|key| key.eq_ignore_ascii_case(name)) || name == "X-Robots-Tag" {
            all.insert(name.to_owned(), json!(value));
        }
    }
    let robots = all.contains_key("X-Robots-Tag");
    all.extend(
        own.into_iter()
            .filter(|(name, _)| !(robots && name.eq_ignore_ascii_case("X-Robots-Tag"))),
    );
    all
}

/// nginx compares locations with the decoded path, so percent signs are resolved here; a
/// source with a query is compared with the request as it came.
pub(super) fn with_decoded_redirects(mut env: Value) -> Value {
    let redirects = env["http"]["redirects"].as_array_mut();
    for redirect in redirects.into_iter().flatten() {
        let from = redirect["from"].as_str().unwrap_or_default().to_owned();
        redirect["exact"] = json!(from.contains('?'));
        if !from.contains('?') {
            redirect["from"] = json!(decoded(&from));
        }
    }
    env
}

/// `10r/s`, with a burst of two such seconds or of ten requests.
pub(super) fn rate_limit(env: &Value) -> Result<Option<View>, RenderError> {
    let Some(text) = env["http"]["rate_limit"].as_str() else {
        return Ok(None);
    };
    let (count, unit) = text.split_once("r/").unwrap_or((text, ""));
    match (count.parse::<u32>(), unit) {
        (Ok(count), "s" | "m") if count > 0 => {
            let burst = if unit == "s" { count * 2 } else { 10 };
            Ok(Some(context! { rate => format!("{count}r/{unit}"), burst }))
        }
        _ => Err(RenderError::Value {
            field: "http.rate_limit",
            value: text.to_owned(),
            reason: "a rate is written like `10r/s`",
        }),
    }
}
