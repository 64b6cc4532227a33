//! The files of one environment: pool, vhost, wp-config, cron, must-use plugin.

use minijinja::{Value as View, context};
use serde_json::{Map, Value, json};

use super::context::Named;
use super::node::{php_version, php_versions};
use super::templates::seen;
use super::{Builder, Item, RenderContext, RenderError, SENSITIVE, Templates, Tree, crypt};
use crate::core::names::EnvironmentNames;

/// The tree that `site_create`, `env_create` and `env_configure` apply.
///
/// # Errors
/// [`RenderError`] when something that the files need is not known, or a value has no safe form.
pub fn environment_tree(
    ctx: &RenderContext<'_>,
    templates: &Templates,
) -> Result<Tree, RenderError> {
    let env = ctx.env_view()?;
    let names = ctx
        .names
        .ok_or(RenderError::Missing("the environment's names"))?;
    check_names(names)?;
    let site = name_part(&env, "site")?;
    let version = php_version(&env["php"]["version"], "php.version")?;
    let others: Vec<String> = php_versions(&ctx.node_view())?
        .into_iter()
        .filter(|other| *other != version)
        .collect();
    let named = Named::of(ctx.secrets);
    let password = basic_auth(ctx, &env, names, &named)?;
    let cron = seconds(&env["cron"]["interval"])?;
    let from = env["from"]
        .as_str()
        .filter(|_| env["safety"]["uploads"] == "proxy");
    let renderer = templates.renderer(named)?;
    let view = context! {
        env => seen(with_decoded_redirects(env.clone())),
        site => seen(ctx.site),
        names => seen(names),
        url => ctx.url,
        secrets => seen(ctx.secrets_view()),
        basic_auth => seen(&password),
        headers => seen(headers(&env)),
        rate_limit => rate_limit(&env)?,
        php_memory => php_size(&env["php"]["memory"], "php.memory")?,
        upload_size => match &env["php"]["ini"]["upload_max_filesize"] {
            Value::Null => "64M".to_owned(),
            size => php_size(size, "php.ini.upload_max_filesize")?,
        },
        environment_type => if env["type"] == "production" { "production" } else { "staging" },
        production_root => from.map(|from| format!("/var/www/sites/{site}/{from}")),
        cron_seconds => cron,
        cron_jitter => cron.map(|seconds| (seconds / 10).max(1)),
    };
    let render = |name: &str| renderer.render(name, &view);

    let mut tree = Builder::default();
    checks_and_reloads(&mut tree, names, &version, &others);
    directories(&mut tree, names, &site);

    let system = names.system.as_str();
    let root = names.root.as_str();
    tree.push(
        Item::file(
            format!("{root}/shared/wp-config.php"),
            render("wordpress/wp-config.php")?,
        )
        .owned("root", system, Some("0440"))
        .sensitive()
        .checked("php-lint"),
    );
    tree.push(
        Item::file(
            format!("{root}/shared/mu-plugins/pressluft.php"),
            render("wordpress/pressluft.php")?,
        )
        .owned("root", system, Some("0640"))
        .checked("php-lint"),
    );

    let pool = |version: &str| format!("/etc/php/{version}/fpm/pool.d/{system}.conf");
    let php = |version: &str| format!("reload-php{version}");
    let mut file = Item::file(pool(&version), render("php/pool.conf")?);
    file.sensitive = holds_secret(&env["php"]["ini"]);
    tree.push(file.checked("php-fpm").then(php(&version)));
    for other in &others {
        tree.push(Item::absent(pool(other)).then(php(other)));
    }

    let htpasswd = format!("/etc/nginx/pressluft/{system}.htpasswd");
    tree.push(
        match password {
            Some(_) => Item::file(htpasswd, render("nginx/htpasswd")?)
                .owned("root", "www-data", Some("0640"))
                .sensitive(),
            None => Item::absent(htpasswd),
        }
        .then("reload-nginx"),
    );
    tree.push(
        Item::file(
            format!("/etc/nginx/sites-enabled/{system}.conf"),
            render("nginx/site.conf")?,
        )
        .checked("nginx")
        .then("reload-nginx"),
    );
    tree.push(
        Item::file(
            format!("/etc/redis/users.d/{system}.acl"),
            render("redis/user.acl")?,
        )
        .root("0600")
        .sensitive()
        .then("redis-acl"),
    );
    tree.push(Item::file(
        format!("/etc/logrotate.d/pressluft-{system}"),
        render("logrotate/environment.conf")?,
    ));

    let service = format!("pressluft-cron-{system}.service");
    let timer = format!("pressluft-cron-{system}.timer");
    let units = "/etc/systemd/system";
    let wanted = format!("{units}/timers.target.wants/{timer}");
    let reload = "daemon-reload";
    if cron.is_some() {
        let unit = render("systemd/cron.service")?;
        tree.push(Item::file(format!("{units}/{service}"), unit).then(reload));
        let unit = render("systemd/cron.timer")?;
        tree.push(
            Item::file(format!("{units}/{timer}"), unit)
                .then(reload)
                .then("start-cron"),
        );
        tree.push(Item::link(wanted, format!("{units}/{timer}")).then(reload));
    } else {
        tree.push(Item::absent(wanted).then("stop-cron"));
        tree.push(Item::absent(format!("{units}/{timer}")).then(reload));
        tree.push(Item::absent(format!("{units}/{service}")).then(reload));
    }
    Ok(tree.finish())
}

fn checks_and_reloads(
    tree: &mut Builder,
    names: &EnvironmentNames,
    version: &str,
    others: &[String],
) {
    tree.validator("nginx", &["nginx", "-t"]);
    tree.validator("php-fpm", &[&format!("php-fpm{version}"), "-t"]);
    tree.validator("php-lint", &[&format!("php{version}"), "-l", "%s"]);
    let timer = format!("pressluft-cron-{}.timer", names.system);
    tree.handler("stop-cron", &["systemctl", "stop", &timer]);
    tree.handler("daemon-reload", &["systemctl", "daemon-reload"]);
    for version in others.iter().map(String::as_str).chain([version]) {
        let unit = format!("php{version}-fpm");
        tree.handler(
            format!("reload-php{version}"),
            &["systemctl", "reload-or-restart", &unit],
        );
    }
    tree.handler("redis-acl", &["/usr/local/lib/pressluft/redis-acl"]);
    tree.handler("reload-nginx", &["systemctl", "reload-or-restart", "nginx"]);
    tree.handler("start-cron", &["systemctl", "restart", &timer]);
}

/// Code belongs to root, and PHP only reads it; what PHP writes is never code.
fn directories(tree: &mut Builder, names: &EnvironmentNames, site: &str) {
    let (system, root) = (names.system.as_str(), names.root.as_str());
    tree.push(Item::directory(format!("/var/www/sites/{site}"), "0711"));
    for below in ["", "/releases", "/shared", "/shared/mu-plugins"] {
        let path = format!("{root}{below}");
        tree.push(Item::directory(path, "0750").owned("root", system, Some("0750")));
    }
    let uploads = format!("{root}/shared/uploads");
    tree.push(Item::directory(uploads, "0750").owned(system, system, Some("0750")));
    for below in ["tmp", "sessions", "mail", "logs"] {
        let path = format!("{root}/{below}");
        tree.push(Item::directory(path, "0700").owned(system, system, Some("0700")));
    }
    tree.push(Item::directory(
        format!("/var/lib/pressluft/sites/{site}"),
        "0700",
    ));
    tree.push(Item::directory(names.state.clone(), "0700"));
}

/// Whether one of the values refers to a secret.
fn holds_secret(values: &Value) -> bool {
    let values = values.as_object().into_iter().flatten();
    values
        .filter_map(|(_, value)| value.as_str())
        .any(|text| text.starts_with("secret:"))
}

/// Names become parts of paths and units; they are checked long before, and here again.
fn check_names(names: &EnvironmentNames) -> Result<(), RenderError> {
    let fits = |text: &str, extra: &str| {
        !text.is_empty()
            && !text.contains("..")
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || extra.contains(c))
    };
    let host = names.preview_host.as_deref();
    let host = host.ok_or(RenderError::Missing(
        "the node's address or a preview domain",
    ))?;
    for (field, value, extra) in [
        ("names.system", names.system.as_str(), "_-"),
        ("names.root", names.root.as_str(), "_-/"),
        ("names.state", names.state.as_str(), "_-/"),
        ("names.preview_host", host, "-."),
    ] {
        if !fits(value, extra) {
            let reason = "it has characters that a name cannot have";
            return Err(RenderError::Value {
                field,
                value: value.to_owned(),
                reason,
            });
        }
    }
    Ok(())
}

fn name_part(env: &Value, field: &'static str) -> Result<String, RenderError> {
    let value = env[field].as_str().unwrap_or_default();
    if !value.is_empty()
        && value
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    {
        return Ok(value.to_owned());
    }
    let reason = "it has characters that a name cannot have";
    Err(RenderError::Value {
        field,
        value: value.to_owned(),
        reason,
    })
}

/// User and password hash, from `http.basic_auth` or, in copies, from `safety.basic_auth`: a
/// secret that holds `user:password`, or a password alone for a user named like the site.
fn basic_auth(
    ctx: &RenderContext<'_>,
    env: &Value,
    names: &EnvironmentNames,
    named: &Named,
) -> Result<Option<Value>, RenderError> {
    let site = env["site"].as_str().unwrap_or_default();
    let (user, password) = match (
        &env["http"]["basic_auth"],
        env["safety"]["basic_auth"].as_str(),
    ) {
        (Value::Object(own), _) => {
            let reference = own
                .get("password")
                .and_then(Value::as_str)
                .unwrap_or_default();
            (
                own.get("user").and_then(Value::as_str).unwrap_or(site),
                named.resolve(reference)?,
            )
        }
        (_, Some(reference)) => {
            let value = named.resolve(reference)?;
            value.split_once(':').unwrap_or((site, value))
        }
        _ => return Ok(None),
    };
    let hash = match ctx.secrets {
        Some(_) => crypt::hash(password, &names.system),
        None => SENSITIVE.to_owned(),
    };
    Ok(Some(json!({"user": user, "hash": hash})))
}

/// The headers of every answer: ours, unless the document has its own of the name.
fn headers(env: &Value) -> Map<String, Value> {
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
fn with_decoded_redirects(mut env: Value) -> Value {
    let redirects = env["http"]["redirects"].as_array_mut();
    for redirect in redirects.into_iter().flatten() {
        let from = redirect["from"].as_str().unwrap_or_default().to_owned();
        redirect["exact"] = json!(from.contains('?'));
        if !from.contains('?') {
            redirect["from"] = json!(decoded(&from));
        }
        if redirect["status"].is_null() {
            redirect["status"] = json!(301);
        }
    }
    env
}

/// `text` without percent-encoding, or as it is when that gives no UTF-8.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(byte) = bytes.get(index) {
        let hex = text.get(index + 1..index + 3).filter(|_| *byte == b'%');
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) => {
                plain.push(value);
                index += 3;
            }
            None => {
                plain.push(*byte);
                index += 1;
            }
        }
    }
    String::from_utf8(plain).unwrap_or_else(|_| text.to_owned())
}

/// `10r/s`, with a burst of two such seconds or of ten requests.
fn rate_limit(env: &Value) -> Result<Option<View>, RenderError> {
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

/// A size in PHP's words, such as `256M`.
fn php_size(value: &Value, field: &'static str) -> Result<String, RenderError> {
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
fn seconds(value: &Value) -> Result<Option<u64>, RenderError> {
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
