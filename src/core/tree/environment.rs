//! The files of one environment: PHP, vhost, wp-config, cron, must-use plugin, caches.

use minijinja::context;
use serde_json::{Value, json};

use super::cache;
use super::context::Named;
use super::php::{Limits, Php};
use super::templates::seen;
use super::values::{php_size, php_version, php_versions, seconds};
use super::vhost::{basic_auth, headers, rate_limit, with_decoded_redirects};
use super::{Builder, Item, RenderContext, RenderError, SENSITIVE, Templates, Tree};
use crate::core::names::EnvironmentNames;

/// The tree that `site_create`, `env_create` and `env_configure` apply.
///
/// # Errors
/// [`RenderError`] when something that the files need is not known, or a value has no safe form.
pub fn environment_tree(
    ctx: &RenderContext<'_>,
    templates: &Templates,
) -> Result<Tree, RenderError> {
    let env = ctx.env.ok_or(RenderError::Missing("an environment"))?;
    let names = ctx
        .names
        .ok_or(RenderError::Missing("the environment's names"))?;
    check_names(names)?;
    let site = name_part(env, "site")?;
    let version = php_version(&env["php"]["version"], "php.version")?;
    let mut versions = php_versions(ctx.node)?;
    if !versions.contains(&version) {
        versions.push(version.clone());
    }
    let limits = Limits::of(env, ctx.node)?;
    let page_cache = cache::page_cache(env)?;
    let (redis_maxmemory, redis_memory) = cache::redis_limits(ctx.node)?;
    let named = Named::of(ctx.secrets);
    let password = basic_auth(ctx, env, names, &named)?;
    let cron = seconds(&env["cron"]["interval"])?;
    let from = env["from"]
        .as_str()
        .filter(|_| env["safety"]["uploads"] == "proxy");
    let view = context! {
        env => seen(with_decoded_redirects(env.clone())),
        site => seen(ctx.site),
        names => seen(names),
        url => ctx.url,
        basic_auth => seen(password.as_ref().map(without_hash)),
        headers => seen(headers(env)),
        rate_limit => rate_limit(env)?,
        php_memory => php_size(&env["php"]["memory"], "php.memory")?,
        upload_size => match &env["php"]["ini"]["upload_max_filesize"] {
            Value::Null => "64M".to_owned(),
            size => php_size(size, "php.ini.upload_max_filesize")?,
        },
        environment_type => if env["type"] == "production" { "production" } else { "staging" },
        open_basedir => format!("{}/:/usr/local/bin/wp", names.root),
        php_versions => seen(&versions),
        memory_max_megabytes => limits.memory_megabytes,
        tasks_max => limits.tasks,
        page_cache => &page_cache,
        redis_maxmemory,
        redis_memory_max_megabytes => redis_memory,
        cron_memory_max_megabytes => limits.cron_megabytes,
        production_root => from.map(|from| format!("/var/www/sites/{site}/{from}")),
        cron_seconds => cron,
        cron_jitter => cron.map(|seconds| (seconds / 10).max(1)),
    };
    // Whatever a template of the fleet repo does: what others may read has no secret to show.
    let render = |name: &str| templates.render(name, &view, &Named::Hidden);
    let secret_view = context! {
        secrets => seen(ctx.secrets_view()),
        basic_auth => seen(&password),
        ..view.clone()
    };
    let render_secret = |name: &str| templates.render(name, &secret_view, &named);

    let mut tree = Builder::default();
    checks_and_reloads(&mut tree, names, &version, &versions);
    directories(&mut tree, names, &site);

    let system = names.system.as_str();
    let root = names.root.as_str();
    tree.push(
        Item::file(
            format!("{root}/shared/wp-config.php"),
            render_secret("wordpress/wp-config.php")?,
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

    tree.push(
        Item::file(
            format!("{root}/shared/wp-cli.yml"),
            render("wordpress/wp-cli.yml")?,
        )
        .owned("root", system, Some("0640")),
    );
    let php = Php {
        fpm: render("php/fpm.conf")?,
        ini: match holds_secret(&env["php"]["ini"]) {
            true => render_secret("php/environment.ini")?,
            false => render("php/environment.ini")?,
        },
        secret: holds_secret(&env["php"]["ini"]),
        service: render("systemd/php.service")?,
        socket: render("systemd/php.socket")?,
    };
    php.place(&mut tree, names, &versions);

    let htpasswd = format!("/etc/nginx/pressluft/{system}.htpasswd");
    tree.push(
        match password {
            Some(_) => Item::file(htpasswd, render_secret("nginx/htpasswd")?)
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
        .root("0640")
        .checked("nginx")
        .then("close-logs")
        .then("reload-nginx"),
    );
    cache::pages(&mut tree, names, page_cache.is_some(), &render)?;
    cache::objects(&mut tree, names, env["cache"]["object"] == true, &render)?;
    tree.push(
        Item::file(
            format!("/etc/logrotate.d/pressluft-{system}"),
            render("logrotate/environment.conf")?,
        )
        .root("0640"),
    );

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

/// Handlers run in this order: the new PHP answers before nginx asks it, and the one that
/// environments shared goes on until nobody asks it any more.
fn checks_and_reloads(
    tree: &mut Builder,
    names: &EnvironmentNames,
    version: &str,
    versions: &[String],
) {
    let system = names.system.as_str();
    tree.validator("nginx", &["nginx", "-t"]);
    // As the environment's user, and without its logs: a check opens those, outside of the sandbox, and they are in a
    // directory of the site, which can put a link or a pipe in their place.
    let folder = format!("/etc/pressluft/php/{system}");
    tree.validator(
        "php-fpm",
        &[
            "setpriv",
            "--reuid",
            system,
            "--regid",
            system,
            "--clear-groups",
            // The kernel asks for it nowhere. Whoever lacks it cannot look through this process at what it sees, and
            // the site lacks it.
            "--inh-caps=+net_broadcast",
            "--ambient-caps=+net_broadcast",
            "--no-new-privs",
            "--",
            "env",
            &format!("PHP_INI_SCAN_DIR=:{folder}"),
            &format!("php-fpm{version}"),
            "-d",
            "opcache.enable=0",
            "-d",
            "error_log=/dev/null",
            "-t",
            "--fpm-config",
            &format!("{folder}/check.conf"),
        ],
    );
    tree.validator("php-lint", &[&format!("php{version}"), "-l", "%s"]);
    let timer = format!("pressluft-cron-{system}.timer");
    let service = format!("pressluft-php-{system}.service");
    let socket = format!("pressluft-php-{system}.socket");
    tree.handler("stop-cron", &["systemctl", "stop", &timer]);
    cache::stops(tree, system);
    tree.handler("daemon-reload", &["systemctl", "daemon-reload"]);
    cache::starts(tree, system);
    tree.covering(
        "php-socket",
        &["systemctl", "restart", &socket, &service],
        &["restart-php", "reload-php"],
    );
    tree.covering(
        "restart-php",
        &["systemctl", "restart", &service],
        &["reload-php"],
    );
    tree.handler(
        "reload-php",
        &["systemctl", "try-reload-or-restart", &service],
    );
    tree.handler("close-logs", &["chmod", "-R", "o=", "/var/log/nginx"]);
    tree.handler("reload-nginx", &["systemctl", "reload-or-restart", "nginx"]);
    for version in versions {
        // nginx hands over to its new processes on its own time.
        let reload = format!("sleep 2; exec systemctl try-reload-or-restart php{version}-fpm");
        tree.handler(format!("reload-php{version}"), &["sh", "-c", &reload]);
    }
    tree.handler("start-cron", &["systemctl", "restart", &timer]);
}

/// Code belongs to root, and PHP only reads it; what PHP writes is never code.
fn directories(tree: &mut Builder, names: &EnvironmentNames, site: &str) {
    let (system, root) = (names.system.as_str(), names.root.as_str());
    tree.push(Item::directory(format!("/var/www/sites/{site}"), "0711"));
    for below in [
        "",
        "/releases",
        "/shared",
        "/shared/languages",
        "/shared/languages/plugins",
        "/shared/languages/themes",
        "/shared/mu-plugins",
    ] {
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

/// Who logs in, for files that others may read.
fn without_hash(password: &Value) -> Value {
    json!({"user": password["user"], "hash": SENSITIVE})
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
